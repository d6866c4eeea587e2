#!/bin/sh
# Renders templates to configuration: replaces ${NAME} for every variable that is set, and nothing else.
# NGINX_ENVSUBST_FILTER (a regular expression) limits the names.
set -e
templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
stream_conf=${NGINX_ENVSUBST_STREAM_OUTPUT_DIR:-/etc/nginx/stream-conf.d}
stream_suffix=${NGINX_ENVSUBST_STREAM_TEMPLATE_SUFFIX:-.stream-template}

say() { [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "${0##*/}: $*"; }

# The names in the environment that match the filter, in the form that envsubst takes.
names() {
    # shellcheck disable=SC2016 # for envsubst
    awk 'BEGIN {
        for (name in ENVIRON)
            if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/ && name ~ ENVIRON["NGINX_ENVSUBST_FILTER"]) printf "${%s} ", name
    }'
}

# render SUFFIX DIRECTORY: renders each template with that suffix to the same path below the directory.
render() {
    if ! [ -w "$2" ]; then
        say "ERROR: $templates exists, but $2 is not writable"
        return 0
    fi
    find "$templates" -follow -type f -name "*$1" | while IFS= read -r template; do
        target=$2/${template#"$templates/"}
        target=${target%"$1"}
        mkdir -p "${target%/*}"
        say "Running envsubst on $template to $target"
        envsubst "$known" <"$template" >"$target"
    done
}

[ -d "$templates" ] || exit 0
known=$(names)
render "${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}" "${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}"

[ -n "$(find "$templates" -follow -type f -name "*$stream_suffix" | head -n 1)" ] || exit 0
mkdir -p "$stream_conf"
if grep -Eq '^[[:space:]]*stream[[:space:]]*\{' /etc/nginx/nginx.conf; then
    say "/etc/nginx/nginx.conf contains a stream block; include $stream_conf/*.conf to enable stream templates"
elif [ -w /etc/nginx/nginx.conf ]; then
    say "Appending stream block to /etc/nginx/nginx.conf to include $stream_conf/*.conf"
    printf 'stream {\n    include %s/*.conf;\n}\n' "$stream_conf" >>/etc/nginx/nginx.conf
else
    say "info: can not modify /etc/nginx/nginx.conf (read-only file system?)"
    exit 0
fi
render "$stream_suffix" "$stream_conf"
