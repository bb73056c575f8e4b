#!/bin/sh
# Builds the k3s stand-in and prints the directory that holds it: k3s (one file, as k3s is) and images/*.tar.
# Cached by content: what these sources, the Go version and the machine's architecture made once is not made again.
# Needs Go (see find_go), gcc and libseccomp-dev with pkg-config for runc, and Go's module proxy on a first run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

die() { echo "$0: $*" >&2; exit 1; }

# Go 1.21 and later fetch the toolchain that go.mod asks for as a module; older ones cannot.
find_go() {
  for go in ${CROFT_GO:+"$CROFT_GO"} go /usr/local/go/bin/go /usr/lib/go-1.26/bin/go; do
    minor=$("$go" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || continue
    if [ "${minor:-0}" -ge 21 ]; then command -v "$go"; return; fi
  done
  die "the k3s stand-in needs Go 1.21 or later: install it, or name it with CROFT_GO=/path/to/go"
}

go=$(find_go)
command -v gcc >/dev/null || die "the k3s stand-in needs gcc (Debian: gcc libc6-dev)"
pkg-config --exists libseccomp 2>/dev/null || die "runc needs libseccomp (Debian: libseccomp-dev pkg-config)"

hash=$(cd "$here" && { "$go" env GOVERSION GOARCH; find . -type f ! -name '.keep' | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c1-24)
cache=${CROFT_CACHE:-$HOME/.cache/croft}/lab-k3s
out=$cache/$hash
if [ -e "$out/k3s" ]; then echo "$out"; exit 0; fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$out/k3s" ]; then echo "$out"; exit 0; fi

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
say() { echo "$(date +%T) $*" >&2; }
export GOFLAGS="-buildvcs=false -trimpath -p=${CROFT_BUILD_JOBS:-2}" GOWORK=off
build() { nice -n 15 "$go" build -ldflags "-s -w $ldflags" "$@" >&2; }

cp -r "$here/." "$work/src"
bin=$work/src/payload
mkdir -p "$bin" "$work/out/images" "$work/programs"

say "CNI plugins"
plugins=github.com/containernetworking/plugins/plugins
ldflags="" CGO_ENABLED=0
export CGO_ENABLED
(cd "$work/src/tools/cni" && build -o "$bin/" $plugins/ipam/host-local $plugins/main/bridge $plugins/main/loopback $plugins/meta/portmap)

say "runc"
(cd "$work/src/tools/runc" && ldflags="-X main.version=$(sed -n 's/.*opencontainers\/runc v//p' go.mod)" && CGO_ENABLED=1 build -tags seccomp -o "$bin/" github.com/opencontainers/runc)

say "containerd"
containerd=github.com/containerd/containerd/v2
(cd "$work/src/tools/containerd" && ldflags="-X $containerd/version.Version=$(sed -n "s#.*$containerd ##p" go.mod | head -n 1)" &&
  build -tags "no_btrfs no_zfs no_devmapper" -o "$bin/" $containerd/cmd/containerd $containerd/cmd/containerd-shim-runc-v2 $containerd/cmd/ctr)

say "Kubernetes (6 to 9 minutes on two cores when nothing is cached)"
version=$(sed -n 's/.*k8s.io\/kubernetes v\(.*\)/\1/p' "$here/go.mod")
minor=$(echo "$version" | cut -d. -f2)
base=k8s.io/component-base/version client=k8s.io/client-go/pkg/version
ldflags="-X main.payloadHash=$hash"
for package in $base $client; do
  ldflags="$ldflags -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done
(cd "$work/src" && build -tags "netgo osusergo providerless" -o "$work/out/k3s" .)

say "images"
ldflags=""
gcc -Os -static -s -o "$work/programs/pause" "$here/programs/pause.c"
gcc -Os -static -s -o "$work/programs/hold" "$here/programs/hold.c"
(cd "$work/src" && build -o "$work/programs/httpd" ./programs/httpd)

# An image of one file, as `docker save` writes it: layer, configuration, manifest.
image() { # name:tag program
  dir=$work/image/$2
  mkdir -p "$dir"
  tar -C "$work/programs" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$dir/layer.tar" "$2"
  digest=$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)
  arch=$("$go" env GOARCH)
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/%s"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$arch" "$2" "$digest" >"$dir/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$1" >"$dir/manifest.json"
  tar -C "$dir" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/out/images/$2.tar" config.json layer.tar manifest.json
}
# k3s' default sandbox image: the name is k3s', the content is ours.
image docker.io/rancher/mirrored-pause:3.6 pause
image croft.local/hold:1 hold
image croft.local/httpd:1 httpd

mv "$work/out" "$out"
# Each build is a quarter of a gigabyte: the three newest stay, and no remains of killed ones (we hold the lock).
find "$cache" -mindepth 1 -maxdepth 1 -type d -name 'build.*' ! -path "$work" -exec rm -rf {} +
find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name 'build.*' -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2- | xargs -r rm -rf
say "done: $out"
echo "$out"
