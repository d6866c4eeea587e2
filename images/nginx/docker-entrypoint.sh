#!/bin/sh
# Runs what /docker-entrypoint.d holds, in the order of the names, then becomes the command. Executable
# *.sh are run, executable *.envsh are sourced in this very shell: what they export reaches nginx.
# It is the command bookend starts, not a preStart handler: a loop that a script leaves in the
# background goes on beside nginx, and its output is the container's.
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
            # shellcheck disable=SC1090 # whatever is there
            . "$1"
            # Its options are its own.
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
        # A failure, or an `exit` in what is sourced, ends the container: say whose it is.
        trap 'echo "$0: $script ended with $?: nginx is not started" >&2' EXIT
        script=
        # Split at line breaks alone, without globbing; each script finds both as ever.
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
