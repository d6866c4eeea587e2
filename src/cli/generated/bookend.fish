# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bookend_global_optspecs
    string join \n c/config= set= profile= h/help V/version
end

function __fish_bookend_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bookend_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bookend_using_subcommand
    set -l cmd (__fish_bookend_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bookend -n "__fish_bookend_needs_command" -s c -l config -d 'Configuration file (TOML); repeatable, the last one wins; `-` is standard input' -r -F
complete -c bookend -n "__fish_bookend_needs_command" -l set -d 'Set one key, stronger than files and environment; lists and tables in TOML' -r
complete -c bookend -n "__fish_bookend_needs_command" -l profile -d 'Defaults for a server, as app.profile: nginx, gunicorn, ..., or auto' -r
complete -c bookend -n "__fish_bookend_needs_command" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_needs_command" -s V -l version -d 'Print version'
complete -c bookend -n "__fish_bookend_needs_command" -a "run" -d 'Run the container\'s application (the default)'
complete -c bookend -n "__fish_bookend_needs_command" -a "sidecar" -d 'Run the hooks of apps in other containers, and start no app'
complete -c bookend -n "__fish_bookend_needs_command" -a "check" -d 'Validate the configuration and show the values in effect'
complete -c bookend -n "__fish_bookend_needs_command" -a "hook" -d 'Run the handlers of a hook: an exec hook for images without a shell'
complete -c bookend -n "__fish_bookend_needs_command" -a "probe" -d 'Report startup, readiness or liveness: an exec probe or a HEALTHCHECK'
complete -c bookend -n "__fish_bookend_needs_command" -a "status" -d 'Show the state of the running bookend'
complete -c bookend -n "__fish_bookend_needs_command" -a "events" -d 'List the handlers that ran, and follow new events'
complete -c bookend -n "__fish_bookend_needs_command" -a "stop" -d 'Begin a stop, as a stop signal does'
complete -c bookend -n "__fish_bookend_needs_command" -a "signal" -d 'Send a signal to the application'
complete -c bookend -n "__fish_bookend_needs_command" -a "reload" -d 'Let the application read its changed files again, and wait for the result'
complete -c bookend -n "__fish_bookend_needs_command" -a "doctor" -d 'Find what would lose requests at a stop, and how to fix it'
complete -c bookend -n "__fish_bookend_needs_command" -a "schema" -d 'Print the JSON Schema of the configuration'
complete -c bookend -n "__fish_bookend_needs_command" -a "sleep" -d 'Wait for a number of seconds: for images without sleep(1)'
complete -c bookend -n "__fish_bookend_needs_command" -a "wait" -d 'Wait until a port, a URL or a file is available'
complete -c bookend -n "__fish_bookend_needs_command" -a "copy" -d 'Copy this binary: for images without cp(1)'
complete -c bookend -n "__fish_bookend_needs_command" -a "completions" -d 'Print the completion script of a shell'
complete -c bookend -n "__fish_bookend_needs_command" -a "man" -d 'Print the manual page in the format of man(1)'
complete -c bookend -n "__fish_bookend_needs_command" -a "pause" -d 'Only reap until SIGTERM or SIGINT: the pause container of a pod'
complete -c bookend -n "__fish_bookend_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bookend -n "__fish_bookend_using_subcommand run" -s c -l config -d 'Configuration file (TOML); repeatable, the last one wins; `-` is standard input' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand run" -l set -d 'Set one key, stronger than files and environment; lists and tables in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand run" -l profile -d 'Defaults for a server, as app.profile: nginx, gunicorn, ..., or auto' -r
complete -c bookend -n "__fish_bookend_using_subcommand run" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand sidecar" -s c -l config -d 'Configuration file (TOML); repeatable, the last one wins; `-` is standard input' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand sidecar" -l set -d 'Set one key, stronger than files and environment; lists and tables in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand sidecar" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand check" -s c -l config -d 'Configuration file, as `bookend run` takes it; read before FILES' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand check" -l set -d 'Set one key, stronger than files and environment; lists and tables in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand check" -l profile -d 'Defaults for a server, as app.profile' -r
complete -c bookend -n "__fish_bookend_using_subcommand check" -l runtime -d 'Compare with the stop of kubernetes, docker, compose, podman, ecs, nomad or cloud-run' -r -f -a "kubernetes\t''
docker\t''
compose\t''
podman\t''
ecs\t''
nomad\t''
cloud-run\t''"
complete -c bookend -n "__fish_bookend_using_subcommand check" -l runtime-grace -d 'Grace period that is set at the runtime [default: the default of the runtime]' -r
complete -c bookend -n "__fish_bookend_using_subcommand check" -l sidecar -d 'Check it as `bookend sidecar` would, instead of `bookend run`'
complete -c bookend -n "__fish_bookend_using_subcommand check" -l strict -d 'Exit with 1 if there is a warning'
complete -c bookend -n "__fish_bookend_using_subcommand check" -l json -d 'Print one JSON object'
complete -c bookend -n "__fish_bookend_using_subcommand check" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand hook" -l timeout-seconds -d 'Longest time to wait for the response [default: as long as the handlers take]' -r
complete -c bookend -n "__fish_bookend_using_subcommand hook" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand hook" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand hook" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand probe" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand probe" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand probe" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand status" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand status" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand status" -l json -d 'Print the JSON object of `GET /status`'
complete -c bookend -n "__fish_bookend_using_subcommand status" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand events" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand events" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand events" -s f -l follow -d 'Print new events until the container ends'
complete -c bookend -n "__fish_bookend_using_subcommand events" -l json -d 'Print one JSON object per line'
complete -c bookend -n "__fish_bookend_using_subcommand events" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand stop" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand stop" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand stop" -l wait -d 'Print the events of the stop until the container has ended'
complete -c bookend -n "__fish_bookend_using_subcommand stop" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand signal" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand signal" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand signal" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand reload" -l socket -d 'Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand reload" -l peer-uid -d 'Trust a bookend that runs as this user, besides root and the user of this command' -r
complete -c bookend -n "__fish_bookend_using_subcommand reload" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l stop-signal -d 'The image\'s STOPSIGNAL, which is not visible inside a container [default: $STOPSIGNAL]' -r
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -s c -l config -d 'Configuration file (TOML); repeatable, the last one wins; `-` is standard input' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l set -d 'Set one key, stronger than files and environment; lists and tables in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l profile -d 'Defaults for a server, as app.profile: nginx, gunicorn, ..., or auto' -r
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand schema" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand sleep" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand wait" -l timeout-seconds -d 'Longest time to wait; 0 tries once' -r
complete -c bookend -n "__fish_bookend_using_subcommand wait" -l ca-file -d 'File with the certificate authorities that https trusts [default: those of the system]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand wait" -l insecure-skip-verify -d 'Accept any certificate, as a kubelet does'
complete -c bookend -n "__fish_bookend_using_subcommand wait" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand copy" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand completions" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand man" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand pause" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "run" -d 'Run the container\'s application (the default)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "sidecar" -d 'Run the hooks of apps in other containers, and start no app'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "check" -d 'Validate the configuration and show the values in effect'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "hook" -d 'Run the handlers of a hook: an exec hook for images without a shell'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "probe" -d 'Report startup, readiness or liveness: an exec probe or a HEALTHCHECK'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "status" -d 'Show the state of the running bookend'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "events" -d 'List the handlers that ran, and follow new events'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "stop" -d 'Begin a stop, as a stop signal does'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "signal" -d 'Send a signal to the application'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "reload" -d 'Let the application read its changed files again, and wait for the result'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "doctor" -d 'Find what would lose requests at a stop, and how to fix it'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "schema" -d 'Print the JSON Schema of the configuration'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "sleep" -d 'Wait for a number of seconds: for images without sleep(1)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "wait" -d 'Wait until a port, a URL or a file is available'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "copy" -d 'Copy this binary: for images without cp(1)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "man" -d 'Print the manual page in the format of man(1)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "pause" -d 'Only reap until SIGTERM or SIGINT: the pause container of a pod'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal reload doctor schema sleep wait copy completions man pause help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
