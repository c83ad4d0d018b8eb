#!/bin/sh
# Make a base for the image out of Debian's packages, where no image registry is reached:
#
#   deploy/docker/base.sh rescind-base:bookworm [MIRROR [amd64|arm64]]
#
# Needs root, debootstrap and a Docker engine; for the other architecture also
# qemu-user-static, known to the kernel (/proc/sys/fs/binfmt_misc/qemu-aarch64). The
# machine's own certificate authorities go in, since a company's network may sign what the
# build downloads.
set -eu
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
architecture=${3:-$(dpkg --print-architecture)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
	--arch="$architecture" bookworm "$folder" ${2:+"$2"} >&2
bundle=/etc/ssl/certs/ca-certificates.crt
cp "$bundle" "$folder$bundle"
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
tar -C "$folder" -c . | docker import --platform "linux/$architecture" \
	--change "ENV SSL_CERT_FILE=$bundle PIP_CERT=$bundle" - "$1"
