#!/bin/bash
# Do with the image what the workflow `release` does, against any registry: build each
# platform with SBOM and provenance, look into them, push by digest, join the platforms
# under one tag, pull by digest, and run the demo.
#
#   deploy/docker/try-release.sh REGISTRY SCANNER PLATFORM=BASE...
#   deploy/docker/try-release.sh 127.0.0.1:5055 127.0.0.1:5055/scanner \
#     amd64=127.0.0.1:5055/base:amd64 arm64=127.0.0.1:5055/base:arm64
#
# Needs Docker with buildx, whose builder is of the driver docker-container or remote, and
# for another platform than the machine's own qemu in the kernel's binfmt_misc. base.sh and
# scanner/ make BASE and SCANNER where no public registry is reached.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
registry=$1 scanner=$2
shift 2
cd "$(dirname "$0")/../.."
[ -z "$(git status --porcelain)" ] || { echo "commit first: provenance names the commit" >&2; exit 2; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
images=()
for each in "$@"; do
	platform=${each%%=*}
	attested=(docker buildx build --quiet --file deploy/docker/Dockerfile
		--build-arg BASE="${each#*=}" --platform "linux/$platform"
		--attest "type=sbom,generator=$scanner" --provenance mode=max
		--metadata-file "$out/metadata.json")
	"${attested[@]}" --output "type=oci,dest=$out/$platform.tar" . >/dev/null
	python3 wheels/attested.py "$out/$platform.tar" "$(git rev-parse HEAD)"
	"${attested[@]}" --output \
		"type=image,name=$registry/rescind,push-by-digest=true,name-canonical=true,push=true" . >/dev/null
	images+=("$registry/rescind@$(jq -r '.["containerimage.digest"]' "$out/metadata.json")")
done
docker buildx imagetools create --tag "$registry/rescind:tried" "${images[@]}"
digest=$(docker buildx imagetools inspect "$registry/rescind:tried" --format '{{json .Manifest}}' | jq -r .digest)
docker buildx imagetools inspect "$registry/rescind@$digest"
for each in "$@"; do
	platform=linux/${each%%=*}
	docker pull --quiet --platform "$platform" "$registry/rescind@$digest"
	for command in --version demo; do
		docker run --rm --platform "$platform" --read-only --tmpfs /tmp --user 65532 --cap-drop ALL \
			--security-opt no-new-privileges --network host "$registry/rescind@$digest" "$command"
	done
done
