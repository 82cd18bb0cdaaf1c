# SPDX-License-Identifier: LGPL-2.1-or-later
# Shared by the scripts of this folder: packages, builds, words for people. Sourced, not run.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin DEBIAN_FRONTEND=noninteractive
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

build_packages="build-essential cmake ninja-build pkg-config libev-dev libmsgpack-dev libjansson-dev libyaml-dev libssl-dev libvirt-dev libxml2-dev libpng-dev libcurl4-openssl-dev libnl-route-3-dev libnftables-dev zlib1g-dev libzstd-dev"
run_packages="qemu-system-x86 qemu-utils fdisk util-linux genisoimage dnsmasq-base"
guest_packages="linux-image-cloud-amd64 busybox-static qemu-guest-agent e2fsprogs syslinux syslinux-common mtools dosfstools fdisk cpio binutils python3 isolinux"
registry_packages="docker-registry apache2-utils openssl"
libvirt_packages="libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients"
test_packages="$libvirt_packages libcmocka-dev ovmf iproute2 nftables clang libclang-rt-14-dev neovim python3-msgpack python3-yaml util-linux $registry_packages zstd"

if [ -t 2 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

missing_packages() {
    local p
    for p in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
    done
}

# Installs what is missing of the named packages. The kernel package is not installed where only its files are wanted.
need_packages() {
    local missing log
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || fail "these packages are missing, and only root can install them: ${missing[*]}"
    step "installing ${#missing[@]} packages"
    log=$(mktemp)
    if ! { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "could not install: ${missing[*]}"
    fi
    rm -f "$log"
}

# build PRESET [cmake options]: configures and builds into build/PRESET; quiet unless it fails. BUILD_TARGET: one target only.
build() {
    local preset=$1 log
    shift
    log=$(mktemp)
    step "building $preset"
    if ! { cmake -S "$top" --preset "$preset" "$@" && cmake --build "$top/build/$preset" -j "$(nproc)" --target "${BUILD_TARGET:-all}"; } >"$log" 2>&1; then
        grep -E -A8 'error|Error|FAILED' "$log" | head -n 60 >&2 || tail -n 40 "$log" >&2
        rm -f "$log"
        fail "build of '$preset' failed"
    fi
    rm -f "$log"
}
