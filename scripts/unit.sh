#!/usr/bin/env bash
# unit.sh PRESET: the unit and compile-fail tests of a build.
source "$(dirname "$0")/setup/common.sh"
cd "$BUILD/${1:-release}"
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$ROOT/scripts/check/sanitizers/lsan.supp:print_suppressions=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
ctest --output-on-failure -j 2
