# Shared by the scripts in tools/. Sourced with the repository as the working directory.
EINET_DEPS="${EINET_DEPS:-$PWD/.deps}"
LOGS="$PWD/build/logs"
mkdir -p "$LOGS" "$EINET_DEPS"

# As many compilers as there are cores, and 2 GiB of memory for each.
JOBS=$(awk -v cores="$(nproc)" '/MemAvailable/ { n = int($2 / 2097152); print (n < 1) ? 1 : (n < cores) ? n : cores }' /proc/meminfo)

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }
