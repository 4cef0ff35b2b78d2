# shellcheck shell=bash
# What the scripts share: where things are, how they speak, and a few small tools. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything the scripts fetch lies in here (ignored by git); deleting the folder undoes them all.
STATE=$ROOT/.tidewatch

# A login shell finds cargo through its profile; an empty environment or a service does not. Tools that set-up built for
# this clone come last.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:$STATE/tools/bin
export PATH

# ONNX Runtime would store events in the user's cache; our own programs turn that off, other users of it here do not.
export ORT_DISABLE_TELEMETRY=1

# Standard output belongs to results (an address, a URL), so everything said to a person goes to standard error.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$@"
    exit 1
}

# Prints the comment block at the head of the running script: its one source of help.
help() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "${BASH_SOURCE[1]}"; }

has() { command -v "$1" >/dev/null 2>&1; }

# Whether as_root works: we are root, or sudo asks for no password.
can_be_root() { [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }; }

# as_root COMMAND…: runs it as root, through sudo where needed.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# verify FILE SHA256: whether the file is there and is the one meant.
verify() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]; }

# free_ports N: N distinct ports of the loopback interface that are free now, chosen by the system. Another process can
# take one before it is used: whoever starts a server on them retries.
free_ports() {
    python3 - "$1" <<'EOF'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
EOF
}

# owns PID WORD: whether the process still runs and names WORD on its command line, so that a number the system has
# given to another program since is never signalled.
owns() { [ -r "/proc/$1/cmdline" ] && tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2"; }

# open_private DIR: makes the folder, for its owner only, as an absolute path in $dir.
open_private() {
    mkdir -p -- "$1"
    # shellcheck disable=SC2034 # the caller's
    dir=$(cd -- "$1" && pwd)
}
