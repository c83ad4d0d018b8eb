"""The pod to restore and to move a volume is one that the chart could have made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.test_chart import insecure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

VALUES = {"IMAGE": "rescind:0.1.0", "CLAIM": "data-rel-rescind-0", "RELEASE": "rel"}


@pytest.fixture(scope="module")
def pod(repository: Path) -> dict[str, Any]:
    """Give it with the three values put in, as the sed of its head does."""
    text = (repository / "deploy/kubernetes/data-pod.yaml").read_text("utf-8")
    text = "".join(each for each in text.splitlines(True) if each[0] != "#")
    for name, value in VALUES.items():
        assert text.count(name) == 1
        text = text.replace(name, value)
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def test_it_is_as_restricted_as_the_server(pod: dict[str, Any], render: Render) -> None:
    """The same user and groups too: else the server could not read what it wrote."""
    server = render({}).pod("embedded")
    assert [] == insecure(pod["spec"])
    assert pod["spec"]["securityContext"] == server["securityContext"]


def test_it_sees_what_the_server_sees(pod: dict[str, Any], render: Render) -> None:
    """The data and the settings at the same places, and the CA of Kafka."""
    served = render({"settings": {"realm": "prod"}})
    kafka_tls = {"enabled": True, "existingSecret": "ca"}
    on_kafka = {"bootstrapServers": "kafka:9092", "tls": kafka_tls}
    made = render({"kafka": on_kafka, "existingSettingsSecret": {"name": "s"}})
    (container,) = pod["spec"]["containers"]
    (job,) = (made.container("topics"),)

    def places(each: Mapping[str, Any]) -> dict[str, str]:
        return {mount["name"]: mount["mountPath"] for mount in each["volumeMounts"]}

    assert places(served.container("embedded")).items() <= places(container).items()
    assert places(job).items() <= places(container).items()
    volumes = {each["name"] for each in pod["spec"]["volumes"]}
    assert places(container).keys() == volumes
    given = {each["name"]: each["value"] for each in container["env"]}
    server = served.environment("embedded")
    assert given["RESCIND_DATA_DIR"] == server["RESCIND_DATA_DIR"]


def test_no_service_and_no_policy_takes_it(pod: dict[str, Any], render: Render) -> None:
    """It would be called as a server, or kept from the brokers."""
    labels = pod["metadata"]["labels"].items()
    for each in render({}).objects:
        spec = each.get("spec", {})
        wanted = spec.get("podSelector") or spec.get("selector")
        if wanted:
            assert not wanted.get("matchLabels", wanted).items() <= labels


def test_the_page_puts_in_the_same_values(repository: Path) -> None:
    """Each command that makes the pod replaces all three, and names the file."""
    text = (repository / "docs/kubernetes.md").read_text("utf-8")
    made = re.findall(r"sed -e .*\\\n.*data-pod\.yaml", text)
    assert len(made) == 2
    for command in made:
        assert set(re.findall(r"'s\|([A-Z]+)\|", command)) == VALUES.keys()
