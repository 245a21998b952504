# Shared by the set-up steps. Source it; it runs nothing.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build
say() { printf '  %s\n' "$*"; }
die() { printf '\nset-up stopped: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# sha FILE HASH: is FILE there, with this SHA-256?
sha() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }
# A file once verified is not hashed again while its size and time stay.
stamp_of() { stat -c '%s %Y' "$1" 2>/dev/null; }
