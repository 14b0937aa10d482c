#!/bin/bash
# Installs the Debian packages Torc is built and tested with, those that are missing; with none missing it
# changes nothing and needs no rights. Runs apt-get as root or through sudo.
set -u

packages=(
  build-essential cmake ninja-build pkg-config
  clang clang-tidy clang-format libclang-rt-14-dev llvm
  libuv1-dev libssl-dev liblmdb-dev libxml2-dev libjansson-dev libinih-dev zlib1g-dev
  libwebsockets-dev libwebsockets-evlib-uv libcurl4-openssl-dev libunbound-dev libavahi-core-dev libavahi-common-dev libunistring-dev
  libcmocka-dev python3-pytest python3-cryptography spin zsh fish
  libopendht-dev gnuplot-nox
  libmicrohttpd-dev libsqlite3-dev libpq-dev sqlite3 postgresql softhsm2 opensc libengine-pkcs11-openssl curl openssl
  knot knot-dnsutils iproute2 coturn tshark libnice-dev nftables conntrack iputils-ping
)

if ! command -v dpkg-query >/dev/null; then
  echo "install-deps: this is no Debian system; Torc needs what these packages hold: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)
  if [ "$status" != "install ok installed" ]; then
    missing+=("$package")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: missing packages: ${missing[*]}" >&2
    echo "install-deps: run this as root, or install sudo, or install them yourself with" >&2
    echo "  apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900)
echo "install-deps: installing ${missing[*]}"
if "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; then
  exit 0
fi
echo "install-deps: trying again with fresh package lists"
if "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; then
  exit 0
fi
echo "install-deps: apt-get could not install: ${missing[*]} (see its messages above)" >&2
exit 1
