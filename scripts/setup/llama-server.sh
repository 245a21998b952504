#!/usr/bin/env bash
# The stock llama.cpp server of the same source, without our patches: the peer that `make bench`
# measures against, and the server that the llama-server adapter is tested with. Ends up as build/deps/llama-server/bin/llama-server.
source "$(dirname "$0")/common.sh"
source "$ROOT/scripts/setup/llama_source.sh"

DIR=$BUILD/deps/llama-server
want=$({ declare -f configure_llama; echo "$COMMIT $PYPI_SHA"; cpu_features; } | sha256sum | cut -d' ' -f1)
if [ "$(cat "$DIR/bin/stamp" 2>/dev/null)" = "$want" ]; then
  say "llama.cpp stock server: built ($(cat "$DIR/bin/origin"))"
  exit 0
fi
mkdir -p "$DIR"
source_tree "$DIR/src"

log=$DIR/build.log
failed() { die "building the stock server failed (above; whole log: $(short "$log")). Mend what it says and run this again."; }
build_folder "$DIR/build"
run "llama.cpp stock server: configuring" "$log" configure_llama "$DIR/src" "$DIR/build" \
  -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON || failed
run "llama.cpp stock server: building (about ten minutes on two cores)" "$log" \
  cmake --build "$DIR/build" --target llama-server || failed
mkdir -p "$DIR/bin"
cp "$DIR/build/bin/llama-server" "$DIR/bin/llama-server"
cp "$DIR/src/.origin" "$DIR/bin/origin"
echo "$want" >"$DIR/bin/stamp"
# Half a gigabyte of objects and source that nothing needs once it is built.
rm -rf "$DIR/build" "$DIR/src"
say "llama.cpp stock server: done"
