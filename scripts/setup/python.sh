#!/usr/bin/env bash
# A virtual environment in build/venv for the demo's driver and the acceptance tests: what
# requirements.txt pins by version and hash, and nothing else.
source "$(dirname "$0")/common.sh"
VENV=$BUILD/venv
PINS=$ROOT/scripts/setup/requirements.txt
want=$(sha256sum "$PINS" | cut -d' ' -f1)
# Started as well as stamped: an environment whose interpreter was replaced doesn't start any more.
if [ "$(cat "$VENV/stamp" 2>/dev/null)" = "$want" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
  say "python: ready"
  exit 0
fi
mkdir -p "$BUILD"
log=$BUILD/python.log
rm -rf "$VENV"
install() {
  local pip=("$VENV/bin/python" -m pip install --disable-pip-version-check --no-cache-dir --only-binary :all:
             --require-hashes --requirement "$PINS")
  python3 -m venv "$VENV" || return 1
  if [ -d "$DOWNLOADS" ] && "${pip[@]}" --no-index --find-links "$DOWNLOADS"; then return; fi
  "${pip[@]}"
}
run "python: making a virtual environment (10 s)" "$log" install ||
  die "the packages of $(short "$PINS") could not be installed (above; whole log: $(short "$log")).
  Where PyPI can't be reached: put their wheels for $(python3 -V) into $(short "$DOWNLOADS")/ and run this again."
echo "$want" >"$VENV/stamp"
say "python: done"
