#!/usr/bin/env bash
# fuzz.sh [TARGET...]: replays every target's seeds, then fuzzes each for FUZZ_SECONDS (default 60;
# 0: seeds only). New inputs are kept in build/fuzz/corpus/ and used by the next run; a find is named
# with its file and the command that shows it again, and the run fails.
source "$(dirname "$0")/setup/common.sh"
cd "$ROOT"
seconds=${FUZZ_SECONDS:-60}
[[ $seconds =~ ^[0-9]+$ ]] || die "FUZZ_SECONDS must be a whole number of seconds, not '$seconds'"
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for source in fuzz/*_fuzzer.cc; do targets+=("$(basename "$source" _fuzzer.cc)"); done
fi
# A gigabyte and ten seconds for one small input are finds too.
options=(-rss_limit_mb=1024 -timeout=10 -max_len=4096 -print_final_stats=0 -verbosity=0)
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$ROOT/scripts/check/sanitizers/lsan.supp:print_suppressions=0}
found=0
for target in "${targets[@]}"; do
  program=build/fuzz/fuzz/${target}_fuzzer
  [ -x "$program" ] || die "there is no $program: is '$target' a target of fuzz/, and was scripts/build.sh fuzz run?"
  kept=build/fuzz/corpus/$target finds=build/fuzz/finds/$target log=build/fuzz/$target.log
  mkdir -p "$kept" "$finds"
  say "$target"
  # Seeds one by one, each by its name, before anything is changed at random.
  mapfile -t seeds < <(find "fuzz/corpus/$target" -type f | sort)
  [ ${#seeds[@]} -gt 0 ] || die "fuzz/corpus/$target holds no seed"
  status=0
  "$program" "${options[@]}" -artifact_prefix="$finds/" "${seeds[@]}" >"$log" 2>&1 || status=$?
  if [ "$status" = 0 ] && [ "$seconds" -gt 0 ]; then
    "$program" "${options[@]}" -artifact_prefix="$finds/" -max_total_time="$seconds" \
      "$kept" "fuzz/corpus/$target" >"$log" 2>&1 || status=$?
  fi
  if [ "$status" != 0 ]; then
    found=1
    grep -aE '^(property broken|SUMMARY|.*runtime error|==[0-9]+==ERROR|Test unit written|artifact_prefix)' "$log" >&2 || tail -n 20 "$log" >&2
    say "  a find: see build/fuzz/$target.log; run $program on the file it names"
  fi
done
[ "$found" = 0 ] || die "fuzzing found something (above)"
say "no finds in ${#targets[@]} targets"
