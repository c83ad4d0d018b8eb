#!/bin/sh
# Make a base for the image out of Debian's packages, where no image registry is reached:
#
#   deploy/docker/base.sh rescind-base:bookworm [MIRROR]
#
# Needs root, debootstrap and a Docker engine. The machine's own certificate authorities
# go in, since a company's network may sign what the build downloads.
set -eu
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
	bookworm "$folder" ${2:+"$2"} >&2
bundle=/etc/ssl/certs/ca-certificates.crt
cp "$bundle" "$folder$bundle"
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
tar -C "$folder" -c . | docker import \
	--change "ENV SSL_CERT_FILE=$bundle PIP_CERT=$bundle" - "$1"
