#!/usr/bin/env bash
# packages.sh [bench|dev]: the distribution packages that packages.txt (packages-bench.txt,
# packages-dev.txt) lists. SQLCipher 4.6 comes from the release's own backports suite.
source "$(dirname "$0")/common.sh"
what=${1:-}
list=$ROOT/scripts/setup/packages${what:+-$what}.txt
label=packages${what:+" ($what)"}

# One query for all; a package is wanted when it is absent or too old.
have=$(dpkg-query -W -f='${db:Status-Status} ${Package} ${Version}\n' 2>/dev/null | sed -n 's/^installed //p') ||
  die "this set-up needs Debian's dpkg. Install what $(short "$list") names by hand, then run \`make build\`."
missing() { # one NAME[/SUITE] a line
  local name lowest suite version
  declare -A versions=()
  while read -r name version; do versions[$name]=$version; done <<<"$have"
  while read -r name lowest suite; do
    case $name in ''|'#'*) continue ;; esac
    version=${versions[$name]:-}
    if [ -n "$version" ]; then
      [ -z "$lowest" ] && continue
      dpkg --compare-versions "$version" ge "$lowest" && continue
    fi
    echo "$name${suite:+/bookworm-$suite}"
  done <"$list"
}
mapfile -t wanted < <(missing)
if [ ${#wanted[@]} = 0 ]; then
  say "$label: all installed"
  exit 0
fi
# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ "$codename" = bookworm ] ||
  die "this set-up is written for Debian 12 (bookworm), this is ${codename:-another system}.
  Install by hand what $(short "$list") names: ${wanted[*]}"

log=$(mktemp)
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }
# A foreign source that does not answer must not stop us: the install step knows whether all is there.
refresh() {
  run "$label: refreshing apt's lists" "$log" apt update || say "$label: apt-get update complained (above), going on"
}
# The sources as apt itself reads them, in whichever format they are written: "ADDRESS SUITE" a line.
# It names only those whose lists it has.
# shellcheck disable=SC2016
sources() { apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | sort -u; }
# The backports suite, on the mirror that this machine uses already.
add_backports() {
  local entry=/etc/apt/sources.list.d/bulkhead-backports.sources mirror
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(sources | awk '$2 == "bookworm" {print $1; exit}')
  [ -n "$mirror" ] || die "apt has no source for the suite bookworm that answers.
  Add one to /etc/apt, and bookworm-backports, and run this again."
  say "$label: adding the suite bookworm-backports ($entry)"
  {
    printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\n' "$mirror"
    [ ! -f "$keyring" ] || echo "Signed-By: $keyring"
  } | as_root tee "$entry" >/dev/null
}
refresh
case " ${wanted[*]} " in
  *"/bookworm-backports "*) sources | grep -q ' bookworm-backports$' || { add_backports; refresh; } ;;
esac
run "$label: installing ${#wanted[@]} (a minute or two)" "$log" \
  apt install -y --no-install-recommends "${wanted[@]}" ||
  die "apt-get could not install the packages (above; whole log: $log). Mend what it says, or install by hand
  ${wanted[*]}
  and run this again."
rm -f "$log"
have=$(dpkg-query -W -f='${db:Status-Status} ${Package} ${Version}\n' | sed -n 's/^installed //p')
mapfile -t wanted < <(missing)
[ ${#wanted[@]} = 0 ] || die "these packages are still absent or too old: ${wanted[*]} (lowest versions: $(short "$list"))"
say "$label: done"
