#!/usr/bin/env bash
# corpus.sh: fetches public documents, puts each through bulkhead-extract, compares with independent readers
# (docs/corpus.md). Needs the network, about 600 MB of disk and some minutes.
source "$(dirname "$0")/setup/common.sh"
for tool in soffice pandoc pdftotext mvn go npm; do
  command -v "$tool" >/dev/null || { bash "$ROOT/scripts/setup/packages.sh" corpus; break; }
done
VENV=$BUILD/corpus/venv
mkdir -p "$BUILD/corpus"
if [ ! -x "$VENV/bin/python" ]; then
  run "corpus: independent readers" "$BUILD/corpus/venv.log" bash -c "python3 -m venv '$VENV' &&
    '$VENV/bin/python' -m pip install --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
      --requirement '$ROOT/scripts/corpus/requirements.txt'" || die "the readers could not be installed (above)"
fi
python3 "$ROOT/scripts/corpus/fetch.py"
exec "$VENV/bin/python" "$ROOT/scripts/corpus/run.py" "$@"
