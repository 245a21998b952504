#!/usr/bin/env bash
# format.sh [--fix]: is every C++ file laid out as .clang-format says? --fix lays them out.
source "$(dirname "$0")/../setup/common.sh"
cd "$ROOT" || exit 1
FORMAT=clang-format-19
command -v $FORMAT >/dev/null || die "$FORMAT is not installed: run \`make setup\`"
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cc' '*.h')
case ${1:-} in
  --fix) printf '%s\0' "${files[@]}" | xargs -0 $FORMAT -i; say "format: ${#files[@]} files laid out" ;;
  '')
    printf '%s\0' "${files[@]}" | xargs -0 -n 40 -P 2 $FORMAT --dry-run -Werror --ferror-limit=1 ||
      die "the places above are not laid out as .clang-format says: run \`make format\`"
    say "format: ${#files[@]} files" ;;
  *) die "usage: format.sh [--fix]" ;;
esac
