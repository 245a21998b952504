#!/usr/bin/env bash
# build.sh PRESET: configures and builds; the release build's programs land in build/.
source "$(dirname "$0")/setup/common.sh"
preset=${1:-release}
cd "$ROOT"
mkdir -p build
echo "Building ($preset)"
log=$BUILD/$preset.log
if [ ! -f "build/$preset/build.ninja" ]; then
  cmake --preset "$preset" >"$log" 2>&1 || { tail -20 "$log" >&2; die "cmake failed (log: build/$preset.log)"; }
fi
# Of the fuzz build only the fuzz targets are of use.
goal=all
[ "$preset" = fuzz ] && goal=fuzzers
# Progress on a terminal, a quiet log elsewhere.
if [ -t 1 ]; then
  ninja -C "build/$preset" "$goal" || die "the build failed (above)"
else
  ninja -C "build/$preset" "$goal" >"$log" 2>&1 || { grep -E 'error|FAILED' -A5 "$log" | head -60 >&2; die "the build failed (log: build/$preset.log)"; }
fi
if [ "$preset" = release ]; then
  for program in bulkhead bulkhead-engine bulkhead-extract; do
    ln -f "build/release/bin/$program" "build/$program" 2>/dev/null || cp "build/release/bin/$program" "build/$program"
  done
fi
say "built"
