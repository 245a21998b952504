#!/usr/bin/env bash
# run.sh [SECTION...] [--json FILE]: measures and prints one table. `make bench` sets up and builds first.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONDONTWRITEBYTECODE=1
exec "$ROOT/build/venv/bin/python" "$ROOT/bench/run.py" "$@"
