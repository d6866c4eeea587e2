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
'*-c+[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--config=[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; a list or a table is said in TOML]:KEY=VALUE:_default' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
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
'*-c+[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--config=[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; a list or a table is said in TOML]:KEY=VALUE:_default' \
'-h[Print help]' \
'--help[Print help]' \
'*::command -- The application and its arguments; replaces app.command:_default' \
&& ret=0
;;
(sidecar)
_arguments "${_arguments_options[@]}" : \
'*-c+[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--config=[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; a list or a table is said in TOML]:KEY=VALUE:_default' \
'-h[Print help]' \
'--help[Print help]' \
'*::command -- Taken in to be refused with a reason\: whoever says it means `bookend run`:_default' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'*-c+[A configuration file, as \`bookend run\` takes it; read before FILES]:FILE:_files' \
'*--config=[A configuration file, as \`bookend run\` takes it; read before FILES]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; a list or a table is said in TOML]:KEY=VALUE:_default' \
'--sidecar[Check it for \`bookend sidecar\`; without, it may be for either]' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Configuration files; where several set the same key, the last one wins:_files' \
&& ret=0
;;
(hook)
_arguments "${_arguments_options[@]}" : \
'--timeoutSeconds=[How long to wait for the answer \[default\: as long as the handlers take\]]:SECONDS:_default' \
'--socket=[The running bookend'\''s socket \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
':hook -- Which handlers are to run, of a sidecar'\''s container NAME/...; the answer comes when they are done:(postStart preStop)' \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
'--socket=[The running bookend'\''s socket \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
':probe -- Which probe:(startup readiness liveness)' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--socket=[The running bookend'\''s socket \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--json[As JSON, for programs]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(events)
_arguments "${_arguments_options[@]}" : \
'--socket=[The running bookend'\''s socket \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'-f[Go on until the container ends]' \
'--follow[Go on until the container ends]' \
'--json[One JSON object a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(stop)
_arguments "${_arguments_options[@]}" : \
'--socket=[The running bookend'\''s socket \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'--wait[Tell what happens until the container has ended]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(signal)
_arguments "${_arguments_options[@]}" : \
'--socket=[The running bookend'\''s socket \[default\: \$BOOKEND_SOCKET, else /run/bookend.sock\]]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
':signal -- SIGHUP, HUP or 1; the application gets it as if bookend had received it:_default' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--stopSignal=[The image'\''s STOPSIGNAL, which nobody can see from inside; or STOPSIGNAL in the environment]:SIGNAL:_default' \
'*-c+[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--config=[Configuration file (TOML); may be given several times, the last one wins]:FILE:_files' \
'*--set=[Set one key, stronger than files and environment; a list or a table is said in TOML]:KEY=VALUE:_default' \
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
':seconds -- Seconds; fractions are fine:_default' \
&& ret=0
;;
(wait)
_arguments "${_arguments_options[@]}" : \
'--timeoutSeconds=[How long to wait; 0\: look once]:SECONDS:_default' \
'--caFile=[A file with the authorities that https trusts, instead of the system'\''s]:FILE:_files' \
'--insecureSkipVerify[Take any certificate, as a kubelet does]' \
'-h[Print help]' \
'--help[Print help]' \
'*::targets -- tcp\://HOST\:PORT, http\://HOST\[\:PORT\]\[/PATH\], https\://... or file\:PATH; all of them are waited for:_default' \
&& ret=0
;;
(copy)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':destination -- A file, replaced if it is there, or a directory, which then gets a file named bookend:_files' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':shell -- The shell they are for:(bash zsh fish)' \
&& ret=0
;;
(import)
_arguments "${_arguments_options[@]}" : \
'--container=[Which container; may be left out where there is only one]:NAME:_default' \
'--manifest=[Write the manifest with the container under bookend there; the bookend.toml goes to stdout]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
':file -- The manifest (YAML)\: a Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob among its documents:_files' \
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
'::COMMAND:(run sidecar check doctor schema hook probe status events stop signal sleep wait copy completions import man pause help)' \
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
'sidecar:Answer the hooks of apps in other containers, and start none' \
'check:Validate the configuration and show what is in effect' \
'hook:Run the handlers of a hook, as an exec hook in an image without a shell' \
'probe:Say whether all is well, as an exec probe or a HEALTHCHECK' \
'status:Show what the running bookend does' \
'events:Show what has happened, and follow what happens' \
'stop:Begin a stop, as a stop signal does' \
'signal:Send a signal to the application' \
'doctor:Say what in this image or pod would drop requests at a stop, and the fix' \
'schema:Print the JSON Schema of the configuration' \
'sleep:Wait for so many seconds, in images that have no sleep(1)' \
'wait:Wait until a port, a URL or a file is there' \
'copy:Put this very binary there, in images that have no cp(1)' \
'completions:Print the completions of a shell' \
'import:Carry a Kubernetes manifest'\''s lifecycle and probes over (in builds with the feature \`import\`)' \
'man:Print the manual page, as man(1) reads it' \
'pause:Do nothing but reap until SIGTERM or SIGINT\: a pod'\''s pause container' \
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
(( $+functions[_bookend__subcmd__import_commands] )) ||
_bookend__subcmd__import_commands() {
    local commands; commands=()
    _describe -t commands 'bookend import commands' commands "$@"
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
