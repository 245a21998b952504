#!/usr/bin/env bash
# build.sh PRESET [GOAL]: configures and builds. GOAL is `all` (the default: tests and measuring tools too) or
# `programs`, the three programs alone. The release build's programs land in build/.
source "$(dirname "$0")/setup/common.sh"
preset=${1:-release}
goal=${2:-all}
# Of the fuzz build only the fuzz targets are of use.
[ "$preset" != fuzz ] || goal=fuzzers
case $goal in
  all) what="programs and tests" ;;
  programs) what="bulkhead, bulkhead-engine, bulkhead-extract"; goal=bulkhead ;;
  fuzzers) what="fuzz targets" ;;
  *) die "usage: build.sh PRESET [all|programs]" ;;
esac
cd "$ROOT"
mkdir -p build
echo "Building ($preset)"
log=$BUILD/$preset.log
if [ ! -f "build/$preset/build.ninja" ]; then
  cmake --preset "$preset" >"$log" 2>&1 || { tail -20 "$log" >&2; die "cmake failed (log: build/$preset.log)"; }
fi
run "$what" "$log" ninja -C "build/$preset" "$goal" ||
  { grep -E 'error|FAILED' -A5 "$log" | head -60 >&2; die "the build failed (log: build/$preset.log)"; }
if [ "$preset" = release ]; then
  for program in bulkhead bulkhead-engine bulkhead-extract; do
    ln -f "build/release/bin/$program" "build/$program" 2>/dev/null || cp "build/release/bin/$program" "build/$program"
  done
fi
say "built"
