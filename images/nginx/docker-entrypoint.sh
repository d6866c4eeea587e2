#!/bin/sh
# Runs the files in /docker-entrypoint.d in the order of their names, then executes the command. Executable *.sh are run,
# executable *.envsh are sourced in this shell: the variables that they export reach nginx.
# bookend starts this as the app, not as a preStart handler: a loop that a script starts in the background continues beside
# nginx, and its output is the container's.
set -e

say() { [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "$0: $*"; }

configure() {
    case "$1" in
        *.envsh | *.sh) ;;
        *) say "Ignoring $1" && return ;;
    esac
    if ! [ -x "$1" ]; then
        say "Ignoring $1, not executable"
        return
    fi
    case "$1" in
        *.envsh)
            say "Sourcing $1"
            # shellcheck disable=SC1090 # any file
            . "$1"
            # Undo shell options that it has set.
            set -e +u +x
            ;;
        *)
            say "Launching $1"
            "$1"
            ;;
    esac
}

case "${1:-}" in
    nginx | nginx-debug)
        # A failure, or an `exit` in a sourced file, ends the container: name the script.
        trap 'echo "$0: $script ended with $?: nginx is not started" >&2' EXIT
        script=
        # Split only at line breaks and without globbing; each script sees the usual settings.
        IFS='
'
        set -f
        for script in $(find /docker-entrypoint.d/ -follow -type f 2>/dev/null | sort -V); do
            set +f
            unset IFS
            configure "$script"
        done
        set +f
        unset IFS
        if [ -n "$script" ]; then
            say "Configuration complete; ready for start up"
        else
            say "No files found in /docker-entrypoint.d/, skipping configuration"
        fi
        trap - EXIT
        ;;
esac
exec "$@"
