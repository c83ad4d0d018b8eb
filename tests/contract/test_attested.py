"""What an image says of itself is looked into before it is released."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from wheels.attested import SETTINGS, AttestationError, check, pinned

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contract

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LOCK = pinned(
    "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        for name, version in (
            ("rescind", "0.1.0"), ("aiohttp", "3.14.5"), ("cryptography", "50.0.2"),
            ("fastavro", "1.13.1"), ("numpy", "2.4.6"), ("numpy", "2.5.5"),
        )
    )
)  # fmt: skip
VERSIONS = {
    "rescind": "0.1.0", "aiohttp": "3.14.5", "cryptography": "50.0.2",
    "fastavro": "1.13.1", "numpy": "2.5.5",
}  # fmt: skip
BASE = [{"uri": "pkg:docker/base", "digest": {"sha256": "ab"}}]


def bill(**changed: str | None) -> dict[str, Any]:
    """Make an SPDX document of Python packages; None takes one out."""
    return {
        "packages": [
            {
                "name": name,
                "versionInfo": version,
                "externalRefs": [{"referenceLocator": f"pkg:pypi/{name}@{version}"}],
            }
            for name, version in (VERSIONS | changed).items()
            if version
        ]
    }


def origin(
    revision: str = "c0ffee", materials: list[Any] = BASE, *, first: bool = False
) -> dict[str, Any]:
    """Make a provenance of SLSA 1, or of the first form."""
    vcs = {"vcs": {"revision": revision, "source": "https://code.example/rescind"}}
    if first:
        return {"materials": materials, "metadata": {SETTINGS: vcs}}
    return {
        "buildDefinition": {"resolvedDependencies": materials},
        "runDetails": {"metadata": {"buildkit_metadata": vcs}},
    }


class Archive:
    """An OCI archive in the making."""

    def __init__(self, path: Path) -> None:
        """Be empty."""
        self.path = path
        self.blobs: dict[str, bytes] = {}

    def put(self, document: object) -> str:
        """Keep a document; return its digest."""
        content = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[f"blobs/{digest.replace(':', '/')}"] = content
        return digest

    def image(
        self, architecture: str, *said: tuple[str, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Make an image and what is said of it; return both descriptors."""
        digest = self.put({"layers": [], "architecture": architecture})
        image = {
            "mediaType": MANIFEST,
            "digest": digest,
            "platform": {"architecture": architecture},
        }
        if not said:
            return [image]
        layers = [
            {"digest": self.put({"predicateType": kind, "predicate": predicate})}
            for kind, predicate in said
        ]
        return [
            image,
            {
                "mediaType": MANIFEST,
                "digest": self.put({"layers": layers}),
                "platform": {"architecture": "unknown"},
                "annotations": {"vnd.docker.reference.digest": digest},
            },
        ]

    def write(self, *descriptors: dict[str, Any]) -> Path:
        """Write the archive, with one index in another as BuildKit does."""
        inner = self.put({"manifests": descriptors})
        outer = {"manifests": [{"mediaType": INDEX, "digest": inner}]}
        self.blobs["index.json"] = json.dumps(outer).encode()
        with tarfile.open(self.path, "w") as archive:
            for name, content in self.blobs.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return self.path


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Begin an archive."""
    return Archive(tmp_path / "image.tar")


def said(
    packages: dict[str, Any], provenance: dict[str, Any]
) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Name the two attestations by their types."""
    return (
        ("https://spdx.dev/Document", packages),
        ("https://slsa.dev/provenance/v1", provenance),
    )


def test_both_platforms_are_looked_into(archive: Archive) -> None:
    """Either form of provenance is read."""
    path = archive.write(
        *archive.image("amd64", *said(bill(), origin())),
        *archive.image("arm64", *said(bill(numpy="2.4.6"), origin(first=True))),
    )
    amd64, arm64 = check(path, "c0ffee", LOCK)
    assert amd64.startswith("amd64 sha256:")
    assert arm64.endswith(": 5 Python packages, https://code.example/rescind")


@pytest.mark.parametrize(
    ("packages", "provenance", "reason"),
    [
        (bill(rescind=None), origin(), "does not name rescind"),
        (bill(numpy="1.0"), origin(), "the SBOM has numpy 1.0, uv.lock"),
        (bill(), origin("badc0de"), "the revision badc0de, not c0ffee"),
        (bill(), origin(materials=[{"uri": "base"}]), "a material without a digest"),
        (bill(), origin(materials=[]), "a material without a digest"),
    ],
)
def test_what_does_not_fit_is_refused(
    archive: Archive, packages: dict[str, Any], provenance: dict[str, Any], reason: str
) -> None:
    """With the reason."""
    path = archive.write(*archive.image("amd64", *said(packages, provenance)))
    with pytest.raises(AttestationError, match=reason):
        check(path, "c0ffee", LOCK)


def test_an_image_about_which_nothing_is_said_is_refused(archive: Archive) -> None:
    """Also beside one that has all; so is an archive without an image."""
    whole = archive.image("amd64", *said(bill(), origin()))
    with pytest.raises(AttestationError, match="arm64: no attestation"):
        check(archive.write(*whole, *archive.image("arm64")), "c0ffee", LOCK)
    half = archive.image("arm64", *said(bill(), origin())[:1])
    with pytest.raises(AttestationError, match="arm64: 1 SBOMs, 0 provenances"):
        check(archive.write(*whole, *half), "c0ffee", LOCK)
    with pytest.raises(AttestationError, match="no image"):
        check(archive.write(), "c0ffee", LOCK)
