"""The host agent is on each node, and its table is where other pods read it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.shared.command import _arguments, main
from enforcement.shared.layout import MODE
from tests.deploy.test_chart import lax, values_of
from tests.deploy.test_refusals import kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

AGENT = {"enabled": True, "existingTokenSecret": {"name": "agent-guard"}}
TLS = {"existingSecret": "rescind-tls", "caKey": "ca.crt"}


@pytest.fixture(scope="module")
def made(render: Render) -> Rendered:
    """Give the example with a host agent."""
    return render(values_of("gateway-values.yaml"))


def packages(repository: Path) -> list[str]:
    """Name what the image installs of ours."""
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    found: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return found


def test_the_program_knows_its_arguments(made: Rendered, repository: Path) -> None:
    """And finds its token and the folder where they are mounted."""
    container = made.container("agent")
    *python, code = container["command"]
    assert python == ["python", "-c"]
    assert code == f"from {main.__module__} import {main.__name__}; main()"
    assert main.__module__.partition(".")[0] in packages(repository)
    told = _arguments(container["args"])
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert told.url == "http://rel-rescind:8750"
    assert told.token_file == Path(mounts["guard"]) / "token"
    assert told.path.parent == Path(mounts["table"])
    # One agent a node, with a name that stays.
    assert told.name == "rel-rescind-agent-$(NODE_NAME)"
    assert "NODE_NAME" in made.environment("agent")


@pytest.mark.parametrize(
    ("answer", "live", "ready"),
    [(b"200 OK", True, True), (b"503 Service Unavailable", True, False)],
)
def test_its_probes_ask_on_its_socket(
    made: Rendered, tmp_path: Path, answer: bytes, *, live: bool, ready: bool
) -> None:
    """An agent without a lease is not ready, and needs no restart."""
    container, path = made.container("agent"), tmp_path / "agent.sock"
    told = _arguments(container["args"])
    assert told.socket.parent == told.path.parent

    def passes(probe: str) -> bool:
        *python, code = container[probe]["exec"]["command"]
        assert python == ["python", "-c"]
        assert str(told.socket) in code
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()

            def serve() -> None:
                asking, _ = listening.accept()
                with asking:
                    asking.recv(1024)
                    asking.sendall(b"HTTP/1.0 " + answer + b"\r\n\r\n")

            threading.Thread(target=serve, daemon=True).start()
            asked = code.replace(str(told.socket), str(path))
            done = subprocess.run(
                [sys.executable, "-c", asked], timeout=20, check=False
            )
        path.unlink()
        return not done.returncode

    assert live is passes("livenessProbe")
    assert live is passes("startupProbe")
    assert ready is passes("readinessProbe")


def test_readers_share_its_group_alone(made: Rendered) -> None:
    """Of the process that writes; the one that prepares the folder may only give it."""
    own = made.container("agent")["securityContext"]
    assert (own["runAsUser"], own["runAsGroup"]) == (65532, 65532)
    assert MODE & 0o070 == 0o040
    assert not MODE & 0o007
    (first,) = made.pod("agent")["initContainers"]
    assert lax(first) == ["capabilities"]
    assert first["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["CHOWN"],
    }
    assert [each["name"] for each in first["volumeMounts"]] == ["table"]


def test_on_kafka_the_relay_feeds_it(render: Render) -> None:
    """Over its TLS, with the CA and not the key."""
    made = render(kafka(agent=AGENT, relay={"enabled": True}, tls=TLS))
    told = _arguments(made.container("agent")["args"])
    assert told.url == "https://rel-rescind-relay:8750"
    mounts = {m["name"] for m in made.container("agent")["volumeMounts"]}
    assert mounts == {"table", "guard", "server-ca"}
    trusted = made.environment("agent")["SSL_CERT_FILE"]
    assert trusted == "/etc/rescind/server-ca/ca.crt"


def test_the_page_mounts_what_the_agent_writes(
    repository: Path, made: Rendered
) -> None:
    """The path, the group and the folder of the page are those of the pods."""
    text = (repository / "docs/deploy.md").read_text("utf-8")
    page = text.partition("## The host agent")[2].partition("\n## ")[0]
    told = _arguments(made.container("agent")["args"])
    (volume,) = [v for v in made.pod("agent")["volumes"] if v["name"] == "table"]
    assert f'SharedGuard("{told.path}")' in page
    assert f"path: {volume['hostPath']['path']}," in page
    assert "supplementalGroups: [65532]" in page
    assert f"`{told.socket}`" in page
