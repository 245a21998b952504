#!/usr/bin/env bash
# libllama, ggml and llama.cpp's common library (chat templates, tool calls, schemas as grammars) as
# static libraries, with our patches, in build/deps/llama/install: include/ and lib/;
# cmake/llama.cmake links them. A changed patch, pin, option or CPU builds anew.
source "$(dirname "$0")/common.sh"
source "$ROOT/scripts/setup/llama_source.sh"

DIR=$BUILD/deps/llama
shopt -s nullglob
patches=("$ROOT"/third_party/llama-patches/*.patch)
parts=(-DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF)
want=$({ cat "${patches[@]}" /dev/null; declare -f configure_llama; echo "${parts[*]} $COMMIT $PYPI_SHA"; cpu_features; } |
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
run "llama.cpp: configuring" "$log" configure_llama "$DIR/src" "$DIR/build" "${parts[@]}" || failed
run "llama.cpp: building (two to six minutes)" "$log" cmake --build "$DIR/build" --target llama llama-common || failed

# Made beside the old one and put in its place at the end; an unchanged header keeps its time, so that
# what includes it is not compiled again.
new=$DIR/install.new
rm -rf "$new"
mkdir -p "$new/include/llama-common/jinja" "$new/lib"
headers=("$DIR"/src/include/*.h "$DIR"/src/ggml/include/*.h)
[ ! -f "$DIR/src/src/llama-ext.h" ] || headers+=("$DIR/src/src/llama-ext.h")
install_header() { # install_header FILE [FOLDER/]
  local old=$DIR/install/include/${2:-}$(basename "$1")
  if cmp -s "$1" "$old"; then cp -p "$old" "$new/include/${2:-}"; else cp "$1" "$new/include/${2:-}"; fi
}
for header in "${headers[@]}"; do install_header "$header"; done
for header in "$DIR"/src/common/*.h; do install_header "$header" llama-common/; done
for header in "$DIR"/src/common/jinja/*.h; do install_header "$header" llama-common/jinja/; done
find "$DIR/build" -name '*.a' -exec cp {} "$new/lib/" \;
cp "$DIR/src/.origin" "$new/origin"
echo "$want" >"$new/stamp"
rm -rf "$DIR/install"
mv "$new" "$DIR/install"
say "llama.cpp: done"
