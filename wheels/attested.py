"""Check the SBOM and the provenance of the images in an OCI archive.

``python wheels/attested.py IMAGE.tar REVISION``: exit code 1, with the reason, where an
image has no attestation, where its SBOM lacks our package or has another version than
``uv.lock``, or where its provenance names another revision or a base without a digest.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE: Final = Path(__file__).resolve().parent.parent
SBOM: Final = "https://spdx.dev/Document"
OF: Final = "vnd.docker.reference.digest"
SETTINGS: Final = "https://mobyproject.org/buildkit@v1#metadata"


class AttestationError(Exception):
    """An image that may not be released, and why."""


def _blob(archive: tarfile.TarFile, digest: str) -> dict[str, Any]:
    """Read a JSON document of an archive."""
    member = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
    assert member is not None
    document: dict[str, Any] = json.load(member)
    return document


def manifests(
    archive: tarfile.TarFile, index: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Go through all descriptors of manifests, also below other indexes."""
    for each in index["manifests"]:
        if each["mediaType"].endswith(("index.v1+json", "list.v2+json")):
            yield from manifests(archive, _blob(archive, each["digest"]))
        else:
            yield each


def packages(predicate: dict[str, Any]) -> dict[str, str]:
    """Map the Python packages of an SPDX document to their versions."""
    return {
        each["name"].lower().replace("_", "-"): each.get("versionInfo", "")
        for each in predicate["packages"]
        for reference in each.get("externalRefs", ())
        if reference["referenceLocator"].startswith("pkg:pypi/")
    }


def pinned(lock: str) -> dict[str, set[str]]:
    """Map the packages of a lock file to their versions: one may have several."""
    found: dict[str, set[str]] = {}
    for each in tomllib.loads(lock)["package"]:
        found.setdefault(each["name"], set()).add(each["version"])
    return found


def check_sbom(predicate: dict[str, Any], lock: dict[str, set[str]]) -> int:
    """Compare an SBOM with the lock file; return the number of Python packages."""
    found = packages(predicate)
    for name in ("rescind", "aiohttp", "cryptography", "fastavro"):
        if name not in found:
            raise AttestationError(f"the SBOM does not name {name}")
    for name, version in found.items():
        if name in lock and version not in lock[name]:
            raise AttestationError(
                f"the SBOM has {name} {version}, uv.lock {lock[name]}"
            )
    return len(found)


def check_provenance(predicate: dict[str, Any], revision: str) -> str:
    """Check revision and materials; return the source. SLSA 0.2 has another form."""
    if "runDetails" in predicate:
        metadata = predicate["runDetails"]["metadata"]
        vcs = metadata.get("buildkit_metadata", {}).get("vcs", {})
        materials = predicate["buildDefinition"]["resolvedDependencies"]
    else:
        vcs = predicate["metadata"].get(SETTINGS, {}).get("vcs", {})
        materials = predicate["materials"]
    if vcs.get("revision") != revision:
        raise AttestationError(
            f"the provenance has the revision {vcs.get('revision')}, not {revision}"
        )
    if not materials or not all(each.get("digest") for each in materials):
        raise AttestationError("the provenance has a material without a digest")
    return str(vcs.get("source", "no source"))


def check(path: Path, revision: str, lock: dict[str, set[str]]) -> list[str]:
    """Check all images of an archive; return a line about each."""
    lines = []
    with tarfile.open(path) as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        found = list(manifests(archive, json.load(index)))
        attested = {
            each["annotations"][OF]: each
            for each in found
            if OF in each.get("annotations", {})
        }
        for each in found:
            if each in attested.values():
                continue
            platform = each["platform"]["architecture"]
            if each["digest"] not in attested:
                raise AttestationError(f"{platform}: no attestation")
            said = [
                _blob(archive, layer["digest"])
                for layer in _blob(archive, attested[each["digest"]]["digest"])[
                    "layers"
                ]
            ]
            boms = [s["predicate"] for s in said if s["predicateType"] == SBOM]
            origins = [s["predicate"] for s in said if "slsa" in s["predicateType"]]
            if len(boms) != 1 or len(origins) != 1:
                raise AttestationError(
                    f"{platform}: {len(boms)} SBOMs, {len(origins)} provenances"
                )
            count = check_sbom(boms[0], lock)
            source = check_provenance(origins[0], revision)
            lines.append(
                f"{platform} {each['digest']}: {count} Python packages, {source}"
            )
    if not lines:
        raise AttestationError("no image")
    return lines


def main() -> int:
    """Print what was found; give the exit code."""
    path, revision = sys.argv[1:]
    try:
        lock = pinned((TREE / "uv.lock").read_text("utf-8"))
        print("\n".join(check(Path(path), revision, lock)))
    except AttestationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
