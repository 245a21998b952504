#!/usr/bin/env bash
# format.sh [--all|--fix]: is the C++ laid out as .clang-format says? By default the lines changed since
# $FORMAT_BASE (the last commit, if not set), so that a change answers for itself; --all is every
# tracked file, --fix rewrites them.
source "$(dirname "$0")/../setup/common.sh"
cd "$ROOT" || exit 1
FORMAT=clang-format-19
command -v $FORMAT >/dev/null || die "$FORMAT is not installed: run \`make setup\`"
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cc' '*.h')
case ${1:-} in
  --fix) printf '%s\0' "${files[@]}" | xargs -0 $FORMAT -i; say "format: ${#files[@]} files rewritten" ;;
  --all)
    off=$(for file in "${files[@]}"; do $FORMAT "$file" | cmp -s - "$file" || echo "$file"; done)
    [ -z "$off" ] || { echo "$off" >&2; die "the files above are not laid out as .clang-format says: run \`make format\`"; }
    say "format: ${#files[@]} files" ;;
  '')
    status=0
    change=$(git clang-format-19 --binary $FORMAT --quiet --diff "${FORMAT_BASE:-HEAD}" -- '*.cc' '*.h') || status=$?
    # It says nothing, or shows a change (and then exits 1, or 0 in older versions).
    [ -z "$change" ] || { echo "$change" >&2; die "lay these lines out as shown: git clang-format-19 ${FORMAT_BASE:-HEAD}"; }
    [ $status = 0 ] || die "git clang-format-19 failed (above)"
    say "format: the changed lines are fine" ;;
  *) die "usage: format.sh [--all|--fix]" ;;
esac
