#!/usr/bin/env bash
# llama.cpp, pinned: the whole source tree as the npm package node-llama-cpp carries it (a git
# bundle), fetched with npm where it is there, else by hand. Our patches are applied in order; a
# changed patch builds anew.
source "$(dirname "$0")/common.sh"

PACKAGE=node-llama-cpp@3.22.1
TGZ_SHA=a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f
BUNDLE_SHA=5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51
COMMIT=de3ff815ea7d559ee917f063901b8986f038abc6
# The same release as PyPI carries it, for machines without npm (larger).
PYPI_PACKAGE=llama_cpp_python
PYPI_VERSION=0.3.36
PYPI_SHA=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

DIR=$BUILD/deps/llama
TARGETS=${1:-library}   # library, or server (the stock server, for `make bench`)
mkdir -p "$DIR"
patches=("$ROOT"/third_party/llama-patches/*.patch)
want=$(cat "${patches[@]}" "$0" | sha256sum | cut -d' ' -f1)
if [ "$TARGETS" = library ] && [ "$(cat "$DIR/install/stamp" 2>/dev/null)" = "$want" ]; then
  say "llama.cpp: built"
  exit 0
fi

fetch_npm() {
  command -v npm >/dev/null || return 1
  (cd "$DIR" && npm pack --silent "$PACKAGE" >/dev/null 2>&1) || return 1
}
fetch_pypi() {
  python3 -m pip download -q --no-deps --no-build-isolation --no-binary :all: -d "$DIR" \
    "$PYPI_PACKAGE==$PYPI_VERSION" >/dev/null 2>&1 || [ -f "$DIR/$PYPI_PACKAGE-$PYPI_VERSION.tar.gz" ]
}
tgz=$DIR/node-llama-cpp-3.22.1.tgz
pypi=$DIR/$PYPI_PACKAGE-$PYPI_VERSION.tar.gz
if ! sha "$tgz" $TGZ_SHA && ! sha "$pypi" $PYPI_SHA; then
  say "llama.cpp: fetching source"
  fetch_npm || fetch_pypi || true
fi
source_tree() {
  rm -rf "$DIR/src"
  if sha "$tgz" $TGZ_SHA; then
    tar -xzf "$tgz" -C "$DIR" package/llama/gitRelease.bundle
    sha "$DIR/package/llama/gitRelease.bundle" $BUNDLE_SHA || die "the llama.cpp bundle's hash is wrong"
    git clone -q "$DIR/package/llama/gitRelease.bundle" "$DIR/src" 2>/dev/null
    [ "$(git -C "$DIR/src" rev-parse HEAD)" = $COMMIT ] || die "the llama.cpp bundle holds another commit"
    rm -rf "$DIR/package"
  elif sha "$pypi" $PYPI_SHA; then
    mkdir -p "$DIR/unpack"
    tar -xzf "$pypi" -C "$DIR/unpack" --strip-components=1
    mv "$DIR/unpack/vendor/llama.cpp" "$DIR/src"
    rm -rf "$DIR/unpack"
  else
    die "llama.cpp's source could not be fetched. Put node-llama-cpp-3.22.1.tgz (npm package
  $PACKAGE, sha256 $TGZ_SHA)
  at ${tgz#"$ROOT"/} and run this again."
  fi
}
# The patched tree is made anew when the patches differ from those it holds.
if [ "$(cat "$DIR/src/.bulkhead-stamp" 2>/dev/null)" != "$want" ]; then
  source_tree
  for patch in "${patches[@]}"; do
    patch -s -p1 -d "$DIR/src" <"$patch" || die "patch $(basename "$patch") does not apply"
  done
  echo "$want" >"$DIR/src/.bulkhead-stamp"
fi

configure() { # configure FOLDER [options...]
  local folder=$1; shift
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake -S "$DIR/src" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-19 \
    -DCMAKE_CXX_COMPILER=clang++-19 -DBUILD_SHARED_LIBS=OFF -DGGML_OPENMP=OFF -DGGML_NATIVE=ON -DGGML_CCACHE=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF \
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF "${launcher[@]}" "$@"
}
run() { # run LABEL COMMAND...
  local label=$1 log=$DIR/build.log; shift
  say "$label"
  "$@" >"$log" 2>&1 || { tail -20 "$log" >&2; die "building llama.cpp failed (log: ${log#"$ROOT"/})"; }
}
if [ "$TARGETS" = server ]; then
  [ -x "$DIR/server/bin/llama-server" ] && { say "llama.cpp stock server: built"; exit 0; }
  run "llama.cpp stock server: configuring" configure "$DIR/server" -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON
  run "llama.cpp stock server: building (about ten minutes on two cores)" cmake --build "$DIR/server" --target llama-server
  exit 0
fi
run "llama.cpp: configuring" configure "$DIR/build" -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF
run "llama.cpp: building (one to four minutes)" cmake --build "$DIR/build" --target llama
rm -rf "$DIR/install"
mkdir -p "$DIR/install/include" "$DIR/install/lib"
cp "$DIR"/src/include/*.h "$DIR"/src/ggml/include/*.h "$DIR/src/src/llama-ext.h" "$DIR/install/include/"
find "$DIR/build" -name '*.a' -exec cp {} "$DIR/install/lib/" \;
echo "$want" >"$DIR/install/stamp"
say "llama.cpp: done"
