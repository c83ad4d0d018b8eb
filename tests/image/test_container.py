"""The image, built and run as a cluster runs it: no root, nothing to write to."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.devkafka.broker import Cluster, prepare
from streams.devkafka.launch import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "docker" / "Dockerfile"
CONFINED = (
    "--read-only", "--user", "65532:65532", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges", "--network", "host", "--tmpfs", "/tmp",  # noqa: S108 - in the container
)  # fmt: skip


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Call the engine's command."""
    command = ["docker", *arguments]
    return subprocess.run(command, check=check, text=True, capture_output=True)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Build the image on RESCIND_IMAGE_BASE, or take that of RESCIND_IMAGE."""
    if given := os.environ.get("RESCIND_IMAGE"):
        yield given
        return
    base = os.environ.get("RESCIND_IMAGE_BASE", "python:3.13-slim-bookworm")
    tag = f"rescind-test:{uuid.uuid4().hex[:12]}"
    docker(
        "build", "--network", "host", "--file", str(RECIPE),
        "--build-arg", f"BASE={base}", "--tag", tag, str(ROOT),
    )  # fmt: skip
    yield tag
    docker("rmi", "--force", tag)


def run(image: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end, confined."""
    return docker("run", "--rm", *CONFINED, image, *arguments, check=False)


def test_the_demo_runs_confined(image: str) -> None:
    """The embedded server, a guard and a receiver; their numbers are of this run."""
    done = run(image, "demo")

    assert done.returncode == 0, done.stderr
    assert "denied after" in done.stdout
    assert "all signatures verified" in done.stdout


def test_the_demo_on_kafka_runs_confined(image: str, tmp_path: Path) -> None:
    """Ingress, workers and a guard of the image, around a broker beside it."""
    cluster = Cluster(tmp_path / "kafka", Processes(prepare(tmp_path / "learn")))
    try:
        cluster.start()
        asyncio.run(cluster.ready())
        brokers = cluster.bootstrap
        done = run(image, "demo-kafka", "--count", "20", "--bootstrap-servers", brokers)
    finally:
        cluster.close()

    assert done.returncode == 0, done.stderr
    assert "accepted (202) -> denied at the guard" in done.stdout


def test_it_is_what_the_chart_expects(image: str) -> None:
    """The user, the program, and no secret in its layers' history."""
    (told,) = json.loads(docker("inspect", image).stdout)

    assert told["Config"]["User"] == "65532:65532"
    assert told["Config"]["Entrypoint"] == ["/opt/rescind/bin/rescind"]
    listed = run(image, "--help").stdout
    for role in ("serve", "ingress", "worker", "notify", "pdp", "topics"):
        assert role in listed
