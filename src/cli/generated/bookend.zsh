#compdef bookend

autoload -U is-at-least

_bookend() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'*-c+[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--config=[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; lists and tables in TOML]:KEY=VALUE:_default' \
'--profile=[Defaults for a server, as app.profile\: nginx, gunicorn, ..., or auto]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
'::command -- The application and its arguments; replaces app.command:_default' \
":: :_bookend_commands" \
"*::: :->bookend" \
&& ret=0
    case $state in
    (bookend)
        words=($line[2] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:bookend-command-$line[2]:"
        case $line[2] in
            (run)
_arguments "${_arguments_options[@]}" : \
'*-c+[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--config=[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; lists and tables in TOML]:KEY=VALUE:_default' \
'--profile=[Defaults for a server, as app.profile\: nginx, gunicorn, ..., or auto]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
'*::command -- The application and its arguments; replaces app.command:_default' \
&& ret=0
;;
(sidecar)
_arguments "${_arguments_options[@]}" : \
'*-c+[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--config=[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; lists and tables in TOML]:KEY=VALUE:_default' \
'-h[Print help]' \
'--help[Print help]' \
'*::command -- Accepted only to be refused with a reason\: a command belongs to `bookend run`:_default' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'*-c+[Configuration file, as \`bookend run\` takes it; read before FILES]:FILE:_files' \
'*--config=[Configuration file, as \`bookend run\` takes it; read before FILES]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; lists and tables in TOML]:KEY=VALUE:_default' \
'--profile=[Defaults for a server, as app.profile]:NAME:_default' \
'--runtime=[Compare with the stop of kubernetes, docker, compose, podman, ecs, nomad or cloud-run]:NAME:(kubernetes docker compose podman ecs nomad cloud-run)' \
'--runtime-grace=[Grace period that is set at the runtime \[default\: the default of the runtime\]]:SECONDS:_default' \
'--sidecar[Check it as \`bookend sidecar\` would, instead of \`bookend run\`]' \
'--strict[Exit with 1 if there is a warning]' \
'--json[Print one JSON object]' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Configuration files; the last one that sets a key wins; `-` is standard input:_files' \
&& ret=0
;;
(hook)
_arguments "${_arguments_options[@]}" : \
'--timeout-seconds=[Longest time to wait for the response \[default\: as long as the handlers take\]]:SECONDS:_default' \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'-h[Print help]' \
'--help[Print help]' \
':hook -- Hook to run; in a sidecar with the container'\''s NAME:(postStart preStop)' \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'-h[Print help]' \
'--help[Print help]' \
':probe -- The probe to run:(startup readiness liveness)' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'--json[Print the JSON object of \`GET /status\`]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(events)
_arguments "${_arguments_options[@]}" : \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'-f[Print new events until the container ends]' \
'--follow[Print new events until the container ends]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(stop)
_arguments "${_arguments_options[@]}" : \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'--wait[Print the events of the stop until the container has ended]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(signal)
_arguments "${_arguments_options[@]}" : \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'-h[Print help]' \
'--help[Print help]' \
':signal -- SIGHUP, HUP or 1; the application gets it as if bookend had received it:(SIGHUP SIGINT SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGTERM SIGCONT SIGTSTP SIGWINCH SIGIO)' \
&& ret=0
;;
(reload)
_arguments "${_arguments_options[@]}" : \
'--socket=[Socket of the running bookend \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--peer-uid=[Trust a bookend that runs as this user, besides root and the user of this command]:UID:_default' \
'-h[Print help]' \
'--help[Print help]' \
'::name -- The name of an entry of \[\[reload\]\]; without it all are reloaded:_default' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--stop-signal=[The image'\''s STOPSIGNAL, which is not visible inside a container \[default\: \$STOPSIGNAL\]]:SIGNAL:_default' \
'*-c+[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--config=[Configuration file (TOML); repeatable, the last one wins; \`-\` is standard input]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; lists and tables in TOML]:KEY=VALUE:_default' \
'--profile=[Defaults for a server, as app.profile\: nginx, gunicorn, ..., or auto]:NAME:_default' \
'--json[Print one JSON object]' \
'-h[Print help]' \
'--help[Print help]' \
'*::command -- The application and its arguments; replaces app.command:_default' \
&& ret=0
;;
(schema)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(sleep)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':seconds -- Number of seconds, fractions are accepted; or `infinity`:_default' \
&& ret=0
;;
(wait)
_arguments "${_arguments_options[@]}" : \
'--timeout-seconds=[Longest time to wait; 0 tries once]:SECONDS:_default' \
'--ca-file=[File with the certificate authorities that https trusts \[default\: those of the system\]]:FILE:_files' \
'--insecure-skip-verify[Accept any certificate, as a kubelet does]' \
'-h[Print help]' \
'--help[Print help]' \
'*::targets -- tcp\://HOST\:PORT, http\://HOST\[\:PORT\]\[/PATH\], https\://... or file\:PATH; all are waited for:_default' \
&& ret=0
;;
(copy)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':destination -- A file, which is replaced if it exists, or a directory, which gets a file named bookend:_files' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':shell -- The shell that reads the script:(bash zsh fish)' \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
'::COMMAND:(run sidecar check doctor schema hook probe status events stop signal reload sleep wait copy completions man pause help)' \
&& ret=0
;;
        esac
    ;;
esac
}

(( $+functions[_bookend_commands] )) ||
_bookend_commands() {
    local commands; commands=(
'run:Run the container'\''s application (the default)' \
'sidecar:Run the hooks of apps in other containers, and start no app' \
'check:Validate the configuration and show the values in effect' \
'hook:Run the handlers of a hook\: an exec hook for images without a shell' \
'probe:Report startup, readiness or liveness\: an exec probe or a HEALTHCHECK' \
'status:Show the state of the running bookend' \
'events:List the handlers that ran, and follow new events' \
'stop:Begin a stop, as a stop signal does' \
'signal:Send a signal to the application' \
'reload:Let the application read its changed files again, and wait for the result' \
'doctor:Find what would lose requests at a stop, and how to fix it' \
'schema:Print the JSON Schema of the configuration' \
'sleep:Wait for a number of seconds\: for images without sleep(1)' \
'wait:Wait until a port, a URL or a file is available' \
'copy:Copy this binary\: for images without cp(1)' \
'completions:Print the completion script of a shell' \
'man:Print the manual page in the format of man(1)' \
'pause:Only reap until SIGTERM or SIGINT\: the pause container of a pod' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'bookend commands' commands "$@"
}
(( $+functions[_bookend__subcmd__check_commands] )) ||
_bookend__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'bookend check commands' commands "$@"
}
(( $+functions[_bookend__subcmd__completions_commands] )) ||
_bookend__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'bookend completions commands' commands "$@"
}
(( $+functions[_bookend__subcmd__copy_commands] )) ||
_bookend__subcmd__copy_commands() {
    local commands; commands=()
    _describe -t commands 'bookend copy commands' commands "$@"
}
(( $+functions[_bookend__subcmd__doctor_commands] )) ||
_bookend__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'bookend doctor commands' commands "$@"
}
(( $+functions[_bookend__subcmd__events_commands] )) ||
_bookend__subcmd__events_commands() {
    local commands; commands=()
    _describe -t commands 'bookend events commands' commands "$@"
}
(( $+functions[_bookend__subcmd__help_commands] )) ||
_bookend__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'bookend help commands' commands "$@"
}
(( $+functions[_bookend__subcmd__hook_commands] )) ||
_bookend__subcmd__hook_commands() {
    local commands; commands=()
    _describe -t commands 'bookend hook commands' commands "$@"
}
(( $+functions[_bookend__subcmd__man_commands] )) ||
_bookend__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'bookend man commands' commands "$@"
}
(( $+functions[_bookend__subcmd__pause_commands] )) ||
_bookend__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'bookend pause commands' commands "$@"
}
(( $+functions[_bookend__subcmd__probe_commands] )) ||
_bookend__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'bookend probe commands' commands "$@"
}
(( $+functions[_bookend__subcmd__reload_commands] )) ||
_bookend__subcmd__reload_commands() {
    local commands; commands=()
    _describe -t commands 'bookend reload commands' commands "$@"
}
(( $+functions[_bookend__subcmd__run_commands] )) ||
_bookend__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'bookend run commands' commands "$@"
}
(( $+functions[_bookend__subcmd__schema_commands] )) ||
_bookend__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'bookend schema commands' commands "$@"
}
(( $+functions[_bookend__subcmd__sidecar_commands] )) ||
_bookend__subcmd__sidecar_commands() {
    local commands; commands=()
    _describe -t commands 'bookend sidecar commands' commands "$@"
}
(( $+functions[_bookend__subcmd__signal_commands] )) ||
_bookend__subcmd__signal_commands() {
    local commands; commands=()
    _describe -t commands 'bookend signal commands' commands "$@"
}
(( $+functions[_bookend__subcmd__sleep_commands] )) ||
_bookend__subcmd__sleep_commands() {
    local commands; commands=()
    _describe -t commands 'bookend sleep commands' commands "$@"
}
(( $+functions[_bookend__subcmd__status_commands] )) ||
_bookend__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'bookend status commands' commands "$@"
}
(( $+functions[_bookend__subcmd__stop_commands] )) ||
_bookend__subcmd__stop_commands() {
    local commands; commands=()
    _describe -t commands 'bookend stop commands' commands "$@"
}
(( $+functions[_bookend__subcmd__wait_commands] )) ||
_bookend__subcmd__wait_commands() {
    local commands; commands=()
    _describe -t commands 'bookend wait commands' commands "$@"
}

if [ "$funcstack[1]" = "_bookend" ]; then
    _bookend "$@"
else
    compdef _bookend bookend
fi
