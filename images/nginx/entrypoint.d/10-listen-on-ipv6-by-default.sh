#!/bin/sh
# Enables IPv6 for the image's default server if IPv6 is available and the file is unchanged.
set -e
conf=/etc/nginx/conf.d/default.conf
say() { [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "${0##*/}: $*"; }

[ -e /proc/net/if_inet6 ] || exit 0
if ! [ -w "$conf" ]; then
    say "info: can not modify $conf (read-only file system?)"
    exit 0
fi
grep -qx '    listen 80;' "$conf" || exit 0
if grep -q 'listen \[::\]:80;' "$conf"; then exit 0; fi
changed=$(sed 's/^    listen 80;$/&\n    listen [::]:80;/' "$conf")
printf '%s\n' "$changed" >"$conf"
say "info: Enabled listen on IPv6 in $conf"
