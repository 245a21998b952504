#!/usr/bin/env bash
# unit.sh PRESET: the unit and compile-fail tests of a build.
source "$(dirname "$0")/setup/common.sh"
cd "$BUILD/${1:-release}"
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
ctest --output-on-failure -j 2
