#!/usr/bin/env bash
# setup.sh test|demo|bench: everything a fresh Debian 12 machine needs. Safe to run again at any time:
# what is there is left alone, what was cut off goes on. `demo` adds the 1.5B chat model, `bench` the
# other peers to measure against.
source "$(dirname "$0")/setup/common.sh"
what=${1:-test}
case $what in test|demo|bench) ;; *) die "usage: setup.sh test|demo|bench" ;; esac
mkdir -p "$BUILD"
# Two at once would write the same files. The lock goes with this process: no child keeps it (9>&-).
exec 9>"$BUILD/.setup.lock"
flock -n 9 || { echo "Waiting for another set-up to finish"; flock 9; }

echo "Setting up ($what)"
steps=$ROOT/scripts/setup
models=$what
[ "$what" != bench ] || models="test"
# A model of one's own needs no other one fetched.
[ -z "${MODEL:-}" ] || models="test"
step() { local name=$1; shift; bash "$steps/$name.sh" "$@" 9>&- || exit; }
step packages
step llama
step models "$models"
if [ "$what" != demo ]; then
  step postgres
  step llama-server
fi
step python
[ "$what" != bench ] || step packages bench
