# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bookend_global_optspecs
    string join \n c/config= set= h/help V/version
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

complete -c bookend -n "__fish_bookend_needs_command" -s c -l config -d 'Configuration file (TOML); may be given several times, the last one wins' -r -F
complete -c bookend -n "__fish_bookend_needs_command" -l set -d 'Set one key, stronger than files and environment; a list or a table is said in TOML' -r
complete -c bookend -n "__fish_bookend_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bookend -n "__fish_bookend_needs_command" -s V -l version -d 'Print version'
complete -c bookend -n "__fish_bookend_needs_command" -a "run" -d 'Run the container\'s application (the default)'
complete -c bookend -n "__fish_bookend_needs_command" -a "sidecar" -d 'Answer the hooks of apps in other containers, and start none'
complete -c bookend -n "__fish_bookend_needs_command" -a "check" -d 'Validate the configuration and show what is in effect'
complete -c bookend -n "__fish_bookend_needs_command" -a "hook" -d 'Run the handlers of a hook, as an exec hook in an image without a shell'
complete -c bookend -n "__fish_bookend_needs_command" -a "probe" -d 'Say whether all is well, as an exec probe or a HEALTHCHECK'
complete -c bookend -n "__fish_bookend_needs_command" -a "status" -d 'Show what the running bookend does'
complete -c bookend -n "__fish_bookend_needs_command" -a "events" -d 'Show what has happened, and follow what happens'
complete -c bookend -n "__fish_bookend_needs_command" -a "stop" -d 'Begin a stop, as a stop signal does'
complete -c bookend -n "__fish_bookend_needs_command" -a "signal" -d 'Send a signal to the application'
complete -c bookend -n "__fish_bookend_needs_command" -a "doctor" -d 'Say what in this image or pod would drop requests at a stop, and the fix'
complete -c bookend -n "__fish_bookend_needs_command" -a "schema" -d 'Print the JSON Schema of the configuration'
complete -c bookend -n "__fish_bookend_needs_command" -a "sleep" -d 'Wait for so many seconds, in images that have no sleep(1)'
complete -c bookend -n "__fish_bookend_needs_command" -a "wait" -d 'Wait until a port, a URL or a file is there'
complete -c bookend -n "__fish_bookend_needs_command" -a "copy" -d 'Put this very binary there, in images that have no cp(1)'
complete -c bookend -n "__fish_bookend_needs_command" -a "completions" -d 'Print the completions of a shell'
complete -c bookend -n "__fish_bookend_needs_command" -a "import" -d 'Carry a Kubernetes manifest\'s lifecycle and probes over (in builds with the feature `import`)'
complete -c bookend -n "__fish_bookend_needs_command" -a "man" -d 'Print the manual page, as man(1) reads it'
complete -c bookend -n "__fish_bookend_needs_command" -a "pause" -d 'Do nothing but reap until SIGTERM or SIGINT: a pod\'s pause container'
complete -c bookend -n "__fish_bookend_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bookend -n "__fish_bookend_using_subcommand run" -s c -l config -d 'Configuration file (TOML); may be given several times, the last one wins' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand run" -l set -d 'Set one key, stronger than files and environment; a list or a table is said in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand run" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand sidecar" -s c -l config -d 'Configuration file (TOML); may be given several times, the last one wins' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand sidecar" -l set -d 'Set one key, stronger than files and environment; a list or a table is said in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand sidecar" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand check" -s c -l config -d 'A configuration file, as `bookend run` takes it; read before FILES' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand check" -l set -d 'Set one key, stronger than files and environment; a list or a table is said in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand check" -l sidecar -d 'Check it for `bookend sidecar`; without, it may be for either'
complete -c bookend -n "__fish_bookend_using_subcommand check" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand hook" -l timeoutSeconds -d 'How long to wait for the answer [default: as long as the handlers take]' -r
complete -c bookend -n "__fish_bookend_using_subcommand hook" -l socket -d 'The running bookend\'s socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand hook" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand probe" -l socket -d 'The running bookend\'s socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand probe" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand status" -l socket -d 'The running bookend\'s socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand status" -l json -d 'As JSON, for programs'
complete -c bookend -n "__fish_bookend_using_subcommand status" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand events" -l socket -d 'The running bookend\'s socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand events" -s f -l follow -d 'Go on until the container ends'
complete -c bookend -n "__fish_bookend_using_subcommand events" -l json -d 'One JSON object a line'
complete -c bookend -n "__fish_bookend_using_subcommand events" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand stop" -l socket -d 'The running bookend\'s socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand stop" -l wait -d 'Tell what happens until the container has ended'
complete -c bookend -n "__fish_bookend_using_subcommand stop" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand signal" -l socket -d 'The running bookend\'s socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand signal" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l stopSignal -d 'The image\'s STOPSIGNAL, which nobody can see from inside; or STOPSIGNAL in the environment' -r
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -s c -l config -d 'Configuration file (TOML); may be given several times, the last one wins' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l set -d 'Set one key, stronger than files and environment; a list or a table is said in TOML' -r
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c bookend -n "__fish_bookend_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand schema" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand sleep" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand wait" -l timeoutSeconds -d 'How long to wait; 0: look once' -r
complete -c bookend -n "__fish_bookend_using_subcommand wait" -l caFile -d 'A file with the authorities that https trusts, instead of the system\'s' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand wait" -l insecureSkipVerify -d 'Take any certificate, as a kubelet does'
complete -c bookend -n "__fish_bookend_using_subcommand wait" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand copy" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand completions" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand import" -l container -d 'Which container; may be left out where there is only one' -r
complete -c bookend -n "__fish_bookend_using_subcommand import" -l manifest -d 'Write the manifest with the container under bookend there; the bookend.toml goes to stdout' -r -F
complete -c bookend -n "__fish_bookend_using_subcommand import" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand man" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand pause" -s h -l help -d 'Print help'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "run" -d 'Run the container\'s application (the default)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "sidecar" -d 'Answer the hooks of apps in other containers, and start none'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "check" -d 'Validate the configuration and show what is in effect'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "hook" -d 'Run the handlers of a hook, as an exec hook in an image without a shell'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "probe" -d 'Say whether all is well, as an exec probe or a HEALTHCHECK'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "status" -d 'Show what the running bookend does'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "events" -d 'Show what has happened, and follow what happens'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "stop" -d 'Begin a stop, as a stop signal does'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "signal" -d 'Send a signal to the application'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "doctor" -d 'Say what in this image or pod would drop requests at a stop, and the fix'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "schema" -d 'Print the JSON Schema of the configuration'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "sleep" -d 'Wait for so many seconds, in images that have no sleep(1)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "wait" -d 'Wait until a port, a URL or a file is there'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "copy" -d 'Put this very binary there, in images that have no cp(1)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "completions" -d 'Print the completions of a shell'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "import" -d 'Carry a Kubernetes manifest\'s lifecycle and probes over (in builds with the feature `import`)'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "man" -d 'Print the manual page, as man(1) reads it'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "pause" -d 'Do nothing but reap until SIGTERM or SIGINT: a pod\'s pause container'
complete -c bookend -n "__fish_bookend_using_subcommand help; and not __fish_seen_subcommand_from run sidecar check hook probe status events stop signal doctor schema sleep wait copy completions import man pause help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
