#!/usr/bin/env bash
# Fetches the identity providers that `make providers` runs on loopback: Keycloak's own distribution and oidc-provider.
set -euo pipefail
cd "$(dirname "$0")/../.."
KEYCLOAK=26.7.3
KEYCLOAK_SHA256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f
OIDC_PROVIDER=9.13.3
folder=build/providers
mkdir -p "$folder"
for program in java mvn unzip node npm; do
  command -v "$program" >/dev/null || { echo "make providers needs $program (Java 17 or newer, Node.js 18 or newer)" >&2; exit 1; }
done

if [ "$(cat "$folder/keycloak/.version" 2>/dev/null)" != "$KEYCLOAK" ]; then
  rm -rf "$folder/keycloak" "$folder/keycloak-$KEYCLOAK"
  mvn -q dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK:zip -DoutputDirectory="$folder"
  archive=$folder/keycloak-quarkus-dist-$KEYCLOAK.zip
  echo "$KEYCLOAK_SHA256  $archive" | sha256sum --check --quiet
  unzip -q "$archive" -d "$folder"
  rm "$archive"
  mv "$folder/keycloak-$KEYCLOAK" "$folder/keycloak"
  echo "$KEYCLOAK" >"$folder/keycloak/.version"
fi
if [ "$(cat "$folder/oidc-provider/.version" 2>/dev/null)" != "$OIDC_PROVIDER" ]; then
  rm -rf "$folder/oidc-provider"
  mkdir -p "$folder/oidc-provider"
  npm install --silent --ignore-scripts --no-fund --no-audit --prefix "$folder/oidc-provider" "oidc-provider@$OIDC_PROVIDER"
  echo "$OIDC_PROVIDER" >"$folder/oidc-provider/.version"
fi
