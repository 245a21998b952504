#!/usr/bin/env bash
# Everything a fresh Debian 12 machine needs. `setup.sh test` or `setup.sh demo`; safe to run again,
# goes on where it was interrupted.
source "$(dirname "$0")/setup/common.sh"
echo "Setting up"
steps=$ROOT/scripts/setup
bash "$steps/packages.sh"
bash "$steps/llama.sh"
bash "$steps/models.sh" "${1:-test}"
bash "$steps/python.sh"
