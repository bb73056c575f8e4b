#!/bin/sh
# Builds upstream's virtctl from its published Go module, as it is, and prints its path. Cached by content.
# Needs Go 1.24 or later (or an older one that may fetch the toolchain module) and Go's module proxy on a first run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

die() { echo "$0: $*" >&2; exit 1; }

find_go() {
  for go in ${CROFT_GO:+"$CROFT_GO"} go /usr/local/go/bin/go /usr/lib/go-1.26/bin/go; do
    minor=$("$go" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || continue
    if [ "${minor:-0}" -ge 21 ]; then command -v "$go"; return; fi
  done
  die "virtctl needs Go 1.21 or later: install it, or name it with CROFT_GO=/path/to/go"
}

go=$(find_go)
version=$(sed -n 's/^require kubevirt.io\/kubevirt \(v.*\)/\1/p; s/^\tkubevirt.io\/kubevirt \(v[0-9.]*\)$/\1/p' "$here/go.mod" | head -n 1)
hash=$(cd "$here" && { "$go" env GOVERSION GOARCH; LC_ALL=C sha256sum build.sh go.mod go.sum main.go; } | sha256sum | cut -c1-24)
cache=${CROFT_CACHE:-$HOME/.cache/croft}/lab-virtctl
out=$cache/$hash/virtctl
if [ -e "$out" ]; then echo "$out"; exit 0; fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$out" ]; then echo "$out"; exit 0; fi
echo "$(date +%T) virtctl $version (3 to 6 minutes on two cores when nothing is cached)" >&2
mkdir -p "$cache/$hash"
cd "$here"
CGO_ENABLED=0 GOWORK=off GOFLAGS="-buildvcs=false -trimpath -p=${CROFT_BUILD_JOBS:-2}" nice -n 15 "$go" build \
  -ldflags "-s -w -X kubevirt.io/client-go/version.gitVersion=$version" -o "$out.new" . >&2
mv "$out.new" "$out"
echo "$out"
