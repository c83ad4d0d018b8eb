"""The workflows: what they may do, and that a dry run publishes nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from wheels.version import main, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
ON_A_TAG = "github.event_name == 'push'"
# What reaches somebody else, or proves something in our name.
OUTWARD = re.compile(
    r"docker login|helm registry login|helm push|imagetools create|uv publish"
    r"|gh release|attest-build-provenance"
)


def workflow(name: str) -> dict[Any, Any]:
    """Read one of them."""
    read: dict[Any, Any] = yaml.safe_load(
        (ROOT / ".github/workflows" / name).read_text()
    )
    return read


def steps(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Give each step with its job."""
    for job in workflow(name)["jobs"].values():
        for step in job["steps"]:
            yield job, step


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_of_others_are_pinned_by_commit(path: Path) -> None:
    """A tag may be moved to other code; the comment says which version it is."""
    used = re.findall(r"uses: (.+)", path.read_text("utf-8"))
    assert used
    for each in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v[\d.]+", each), each


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_job_may_read_the_repository_and_no_more(path: Path) -> None:
    """What it needs besides, it names itself; the checkout keeps no credential."""
    assert workflow(path.name)["permissions"] == {"contents": "read"}
    for _, step in steps(path.name):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_only_a_tag_publishes() -> None:
    """By hand everything is built, and nothing leaves the run."""
    release = workflow("release.yml")  # "on" is a boolean in YAML 1.1
    assert release[True] == {"push": {"tags": ["v*"]}, "workflow_dispatch": None}
    outward = [
        (job, step)
        for job, step in steps("release.yml")
        if OUTWARD.search(f"{step.get('run', '')}{step.get('uses', '')}")
    ]
    assert len(outward) >= 7
    for job, step in outward:
        assert ON_A_TAG in (job.get("if"), step.get("if")), step
    (build,) = [
        s for _, s in steps("release.yml") if "--provenance" in s.get("run", "")
    ]
    built, _, pushed = build["run"].partition('if [ "$GITHUB_EVENT_NAME" = push ]')
    pushed, _, kept = pushed.partition("\nfi\n")
    assert "push=true" in pushed
    assert "push" not in built + kept
    assert "wheels/attested.py" in built


def test_what_makes_an_image_is_named_by_digest() -> None:
    """Base, builder and scanner: a tag in a registry of others may be moved."""
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    images = set(re.findall(r"vars\.(IMAGE_\w+)", text))
    (checked,) = [
        step["run"]
        for _, step in steps("release.yml")
        if "@sha256:" in step.get("run", "")
    ]
    assert images == {"IMAGE_BASE", "IMAGE_BUILDER", "IMAGE_SCANNER"}
    assert set(re.findall(r'(IMAGE_\w+)="\$', checked)) == images


def test_an_expression_never_stands_in_a_script() -> None:
    """A branch may be named like a command: values come in by variables."""
    for path in FILES:
        for _, step in steps(path.name):
            assert "${{" not in step.get("run", "")


def test_no_registry_is_named() -> None:
    """Where a release goes is said by variables of the repository."""
    text = "".join(path.read_text("utf-8") for path in FILES)
    assert not re.search(r"ghcr\.io|docker\.io|quay\.io|pypi\.org", text)


def test_all_parts_have_one_version() -> None:
    """Those that a tag is compared with."""
    found = versions(ROOT)
    assert len(found) == 5
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(("tag", "code"), [("", 1), ("0.1.0", 1), ("v9.9.9", 1)])
def test_a_tag_of_another_version_is_refused(
    tag: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is built."""
    (own, *_) = versions(ROOT).values()
    monkeypatch.setattr(sys, "argv", ["version.py", tag])
    assert main() == code
    monkeypatch.setattr(sys, "argv", ["version.py", f"v{own}"])
    assert main() == 0


def test_uv_is_the_one_of_the_makefile() -> None:
    """So that what is published was built by what was tried."""
    (version,) = re.findall(
        r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    assert re.findall(r"uv==(\S+)", text) == [version]
