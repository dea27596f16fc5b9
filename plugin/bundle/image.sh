#!/usr/bin/env bash
# Build the image on this computer without a registry or a daemon, by buildah on a Debian from mmdebstrap. Its Python is the
# highest that the tests run on. The result is in .build/image: the image as an archive for `docker load`, `skopeo` and
# `buildah pull`, its root file system, and its list of components.
#
# The argument, if any, is another architecture, as Debian names it. The kernel must be able to run its programs
# (qemu-user-static with binfmt_misc). The result is in .build/image-ARCHITECTURE.
set -euo pipefail
architecture=${1:-$(dpkg --print-architecture)}
cd "$(dirname "$0")/../.."
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
missing=()
for program in buildah mmdebstrap; do command -v "$program" >/dev/null || missing+=("$program"); done
if [ ${#missing[@]} -gt 0 ]; then
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" apt-get install -qy --no-install-recommends "${missing[@]}"
fi

out=.build/image
[ "$architecture" = "$(dpkg --print-architecture)" ] || out=.build/image-$architecture
mkdir -p "$out"
# Keep everything inside the checkout, and nothing from an earlier build.
build() { "${as_root[@]}" buildah --root "$PWD/$out/storage" --runroot "$PWD/$out/run" --storage-driver vfs "$@"; }
forget() { build rm --all >/dev/null 2>&1; "${as_root[@]}" rm -rf "$out/storage" "$out/run"; }
trap forget EXIT
"${as_root[@]}" rm -rf "$out/storage" "$out/run" "$out/rootfs" "$out/image.tar"

if [ ! -e "$out/base.tar" ]; then
    "${as_root[@]}" mmdebstrap --quiet --variant=essential --architectures="$architecture" --skip=check/qemu \
        --include=python3,python3-venv,libstdc++6,ca-certificates trixie "$out/making.tar"
    "${as_root[@]}" mv "$out/making.tar" "$out/base.tar"
fi
base=$(build from --platform "linux/$architecture" scratch)
build add --quiet "$base" "$out/base.tar" / >/dev/null
build commit --quiet "$base" localhost/python >/dev/null

# The certificates of this computer: a proxy before PyPI may have a CA of its own.
build build --quiet --platform "linux/$architecture" --isolation chroot --network host --volume /etc/ssl/certs:/etc/ssl/certs:ro \
    --build-arg PYTHON=localhost/python --build-arg REVISION="$(git rev-parse HEAD)" --tag localhost/plugin .
image=$(build from --platform "linux/$architecture" localhost/plugin)
"${as_root[@]}" cp -a "$(build mount "$image")" "$out/rootfs"
build push --quiet localhost/plugin "oci-archive:$PWD/$out/image.tar:velero-plugin-for-vmservice"
cp "$out/rootfs/sbom.cdx.json" "$out/sbom.cdx.json"
du -sh "$out/rootfs" "$out/image.tar"
