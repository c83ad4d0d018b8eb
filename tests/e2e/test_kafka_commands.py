"""The commands of Kafka, as a person runs them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.forked_program import RESCIND, run_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def rescind(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end with these RESCIND_KAFKA_ variables."""
    environment = {f"RESCIND_KAFKA_{name}": text for name, text in variables.items()}
    own = {**os.environ, **environment}
    return run_to_end(*args, cwd=Path.cwd(), env=own, timeout=60)


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def dev_kafka() -> Iterator[dict[str, str]]:
    """Run `rescind dev-kafka`; give the variables that it tells to export."""
    process = subprocess.Popen(
        [RESCIND, "dev-kafka", "--port", str(free_port())],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        told: dict[str, str] = {}
        for line in process.stdout:
            if line.startswith("  export RESCIND_KAFKA_"):
                name, _, text = line.strip().partition("=")
                told[name.removeprefix("export RESCIND_KAFKA_")] = text
            if "MIN_INSYNC_REPLICAS" in told:
                break
        yield told
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        process.stdout.close()
    assert code == 0


def test_dev_kafka_comes_with_the_topics(dev_kafka: dict[str, str]) -> None:
    """What it tells to export reaches a broker whose topics are as they should be."""
    done = rescind("topics", "check", **dev_kafka)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the topics are as they should be\n"


def test_plan_apply_and_check_follow_each_other(dev_kafka: dict[str, str]) -> None:
    """Plan tells what apply does; check fails before it and succeeds after it."""
    own = {**dev_kafka, "PREFIX": "acme"}
    planned = rescind("topics", "plan", **own)
    assert planned.returncode == 0
    assert "apply does: acme.facts.v1: missing" in planned.stdout
    assert rescind("topics", "check", **own).returncode == 1
    assert rescind("topics", "apply", **own).returncode == 0
    assert rescind("topics", "check", **own).returncode == 0


def test_other_partition_count_is_refused(dev_kafka: dict[str, str]) -> None:
    """No command changes a number of partitions; all three say so."""
    other = {**dev_kafka, "PARTITIONS": "5"}
    for command in ("plan", "apply", "check"):
        done = rescind("topics", command, **other)
        assert done.returncode == 1
        assert "fixed for life" in done.stdout + done.stderr


def test_unreachable_broker_is_a_message_and_code_two() -> None:
    """Where nothing listens the program says so in a line, without a trace."""
    done = rescind("topics", "plan", BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert "no broker answers at 127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_setting_is_a_message_and_code_two() -> None:
    """A setting that cannot be is told by name."""
    done = rescind("topics", "plan", PARTITIONS="none")
    assert done.returncode == 2
    assert "partitions" in done.stderr
    assert "Traceback" not in done.stderr


LINES = {
    "table": "User:edge                        Read           topic x.facts.v1",
    "json": '{"principal":"User:edge","operation":"Read",'
    '"resource":"topic","name":"x.facts.v1"}',
    "commands": "kafka-acls.sh --add --allow-principal 'User:edge' --operation Read "
    "--topic 'x.facts.v1'",
}


@pytest.mark.parametrize("output", LINES)
def test_acls_are_printed_without_a_broker(output: str) -> None:
    """The rights of a role are lines to read, to process or to run."""
    args = ("topics", "acls", "--user", "guard=edge", "--output", output)
    done = rescind(*args, PREFIX="x")
    assert done.returncode == 0
    assert LINES[output] in done.stdout.splitlines()


def test_acls_of_no_role_are_refused() -> None:
    """A role that does not exist is told, not ignored."""
    done = rescind("topics", "acls", "--user", "root=edge")
    assert done.returncode == 2
    assert "root" in done.stderr


def test_prepare_fetches_and_ends() -> None:
    """`dev-kafka --prepare` leaves a start with nothing to fetch."""
    assert rescind("dev-kafka", "--prepare").returncode == 0
