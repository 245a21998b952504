#!/usr/bin/env bash
# acceptance.sh PRESET [PYTEST ARGUMENT...]: the acceptance tests on the instrumented programs of a build.
# What a sanitizer says goes to build/PRESET/reports/, one file a process; any such file is a failure, also
# where the test itself would not have noticed.
source "$(dirname "$0")/../../setup/common.sh"
preset=$1
shift
reports=$BUILD/$preset/reports
rm -rf "$reports"
mkdir -p "$reports"
# Leaks are the unit tests' business: a process that no debugger may look into can't be searched for them.
export ASAN_OPTIONS=detect_leaks=0:log_path=$reports/report
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/report
export TSAN_OPTIONS=second_deadlock_stack=1:log_path=$reports/report
export BULKHEAD_PROGRAMS=$BUILD/$preset/bin
# ggml is not instrumented: ThreadSanitizer can't see the barriers of its thread pool, and in the sandboxed
# worker it can't name a function either, so that it could be told to leave ggml out.
[ "$preset" != tsan ] || export BULKHEAD_ENGINE_THREADS=1
# The sandboxed processes can't write there: what they say is in the logs of their stacks.
stacks=$(mktemp -d)
trap 'rm -rf "$stacks"' EXIT
status=0
"$BUILD/venv/bin/python" -m pytest -q --basetemp "$stacks/t" "$ROOT/tests/acceptance" "$@" || status=$?
"$BUILD/venv/bin/python" "$ROOT/scripts/check/sanitizers/reports.py" "$BULKHEAD_PROGRAMS" "$stacks" "$reports"
if [ -n "$(ls "$reports")" ]; then
  head -60 "$reports"/*
  die "the sanitizer found something (above; all of it: $(short "$reports"))"
fi
exit $status
