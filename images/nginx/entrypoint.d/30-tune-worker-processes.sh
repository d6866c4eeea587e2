#!/bin/sh
# With NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE: as many workers as the container has CPUs. nginx' own `auto` counts the
# CPUs that it may run on (cpuset) and ignores the quota of the cgroup.
set -eu
[ -n "${NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE:-}" ] || exit 0
conf=/etc/nginx/nginx.conf
if ! [ -w "$conf" ]; then
    echo "${0##*/}: error: can not modify $conf (read-only file system?)" >&2
    exit 0
fi

# cpu.max (cgroup v2) or cfs_quota and cfs_period (v1): "50000 100000"; "max" and -1 mean no quota.
quota() {
    cat /sys/fs/cgroup/cpu.max 2>/dev/null ||
        cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null || echo max
}
# shellcheck disable=SC2046 # two words
set -- $(quota)
workers=$(nproc)
if [ "$1" != max ] && [ "$1" -gt 0 ]; then
    by_quota=$((($1 + $2 - 1) / $2))
    [ "$by_quota" -ge "$workers" ] || workers=$by_quota
fi
changed=$(sed -E "s/^worker_processes .*/worker_processes $workers;/" "$conf")
printf '%s\n' "$changed" >"$conf"
