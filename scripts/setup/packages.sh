#!/usr/bin/env bash
# Distribution packages. SQLCipher 4.6 comes from the release's own backports suite.
source "$(dirname "$0")/common.sh"

mapfile -t wanted < <(grep -v '^#' "$ROOT/scripts/setup/packages.txt")
installed() { dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
missing=()
for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
sqlcipher_ok() {
  local version
  version=$(dpkg-query -W -f='${Version}' libsqlcipher-dev 2>/dev/null) || return 1
  dpkg --compare-versions "$version" ge 4.6
}
if [ ${#missing[@]} = 0 ] && sqlcipher_ok; then
  say "packages: all installed"
  exit 0
fi
command -v apt-get >/dev/null || die "this needs Debian 12 (apt-get not found). Install by hand: ${wanted[*]} libsqlcipher-dev (>= 4.6)"
[ "$(. /etc/os-release && echo "$VERSION_CODENAME")" = bookworm ] ||
  die "this set-up is written for Debian 12 (bookworm). Install by hand: ${wanted[*]} libsqlcipher-dev (>= 4.6)"

# The backports suite on the mirror that this machine uses already.
add_backports() {
  local list=/etc/apt/sources.list.d/bulkhead-backports.list mirror
  grep -rqs 'bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d/ && return
  mirror=$(grep -rhs '^URIs:' /etc/apt/sources.list.d/*.sources | awk '{print $2}' | grep -v -- '-security' | head -1 || true)
  [ -n "$mirror" ] || mirror=$(grep -rhs '^deb ' /etc/apt/sources.list /etc/apt/sources.list.d/*.list |
    sed 's/\[[^]]*\]//' | awk '$3 == "bookworm" {print $2}' | head -1 || true)
  [ -n "$mirror" ] || die "no Debian mirror found in /etc/apt; add the suite bookworm-backports and run this again"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" |
    as_root tee "$list" >/dev/null
}
say "packages: installing ${#missing[@]} and SQLCipher (a minute or two)"
log=$(mktemp)
add_backports
export DEBIAN_FRONTEND=noninteractive
{ as_root apt-get update -q &&
  as_root apt-get install -y -q --no-install-recommends "${wanted[@]}" &&
  as_root apt-get install -y -q --no-install-recommends -t bookworm-backports libsqlcipher-dev; } >"$log" 2>&1 ||
  { tail -20 "$log" >&2; die "apt-get failed (see above, whole log in $log)"; }
rm -f "$log"
sqlcipher_ok || die "libsqlcipher-dev is older than 4.6; enable bookworm-backports and run this again"
say "packages: done"
