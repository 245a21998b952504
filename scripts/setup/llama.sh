#!/usr/bin/env bash
# libllama and ggml as static libraries, with our patches, in build/deps/llama/install:
# include/ and lib/; cmake/llama.cmake links them. A changed patch, pin, option or CPU builds anew.
source "$(dirname "$0")/common.sh"
source "$ROOT/scripts/setup/llama_source.sh"

DIR=$BUILD/deps/llama
shopt -s nullglob
patches=("$ROOT"/third_party/llama-patches/*.patch)
want=$({ cat "${patches[@]}" /dev/null; declare -f configure_llama; echo "$COMMIT $PYPI_SHA"; cpu_features; } |
  sha256sum | cut -d' ' -f1)
if [ "$(cat "$DIR/install/stamp" 2>/dev/null)" = "$want" ]; then
  say "llama.cpp: built ($(cat "$DIR/install/origin"), ${#patches[@]} patch(es))"
  exit 0
fi
mkdir -p "$DIR"
source_tree "$DIR/src" "${patches[@]}"

log=$DIR/build.log
failed() { die "building llama.cpp failed (above; whole log: $(short "$log")). Mend what it says and run this again."; }
build_folder "$DIR/build"
run "llama.cpp: configuring" "$log" configure_llama "$DIR/src" "$DIR/build" \
  -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF || failed
run "llama.cpp: building (one to four minutes)" "$log" cmake --build "$DIR/build" --target llama || failed

# Made beside the old one and put in its place at the end; an unchanged header keeps its time, so that
# what includes it is not compiled again.
new=$DIR/install.new
rm -rf "$new"
mkdir -p "$new/include" "$new/lib"
headers=("$DIR"/src/include/*.h "$DIR"/src/ggml/include/*.h)
[ ! -f "$DIR/src/src/llama-ext.h" ] || headers+=("$DIR/src/src/llama-ext.h")
for header in "${headers[@]}"; do
  old=$DIR/install/include/$(basename "$header")
  if cmp -s "$header" "$old"; then cp -p "$old" "$new/include/"; else cp "$header" "$new/include/"; fi
done
find "$DIR/build" -name '*.a' -exec cp {} "$new/lib/" \;
cp "$DIR/src/.origin" "$new/origin"
echo "$want" >"$new/stamp"
rm -rf "$DIR/install"
mv "$new" "$DIR/install"
say "llama.cpp: done"
