#!/usr/bin/env bash
# A virtual environment in build/venv for the demo's driver and the acceptance tests.
source "$(dirname "$0")/common.sh"
VENV=$BUILD/venv
want=$(sha256sum "$ROOT/scripts/setup/requirements.txt" | cut -d' ' -f1)
[ "$(cat "$VENV/stamp" 2>/dev/null)" = "$want" ] && { say "python: ready"; exit 0; }
say "python: making a virtual environment"
rm -rf "$VENV"
python3 -m venv "$VENV"
log=$BUILD/python.log
"$VENV/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$ROOT/scripts/setup/requirements.txt" \
  >"$log" 2>&1 || { tail -5 "$log" >&2; die "pip could not install the packages of scripts/setup/requirements.txt"; }
echo "$want" >"$VENV/stamp"
say "python: done"
