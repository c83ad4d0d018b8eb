"""Topics and users of Strimzi are those that `rescind topics` lays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from streams.engines.kafka.records.layout import topics
from streams.engines.kafka.topics.acls import Role, acls
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.deploy.conftest import Rendered

    Render = Callable[[Mapping[str, Any]], Rendered]

pytestmark = pytest.mark.contract

COMPONENTS = {
    "topics": [Role.TOPICS],
    "ingress": [Role.INGRESS],
    "registry": [Role.REGISTRY, Role.CLOSURE, Role.AUDIT],
    "sentinel": [Role.SENTINEL],
    "notify": [Role.NOTIFY],
    "insights": [Role.INSIGHTS],
    "relay": [Role.RELAY],
    "pdp": [Role.GUARD],
}


@pytest.fixture(scope="module")
def made(render: Render, chart_folder: Path) -> Rendered:
    """Give what the example renders to, with every component."""
    text = (chart_folder / "ci/strimzi-values.yaml").read_text("utf-8")
    values = yaml.safe_load(text)
    values["settings"]["webhook"] = {"url": "https://soc.example", "secrets": []}
    return render(values | {"notify": {"enabled": True}})


def test_topics_are_the_layout(made: Rendered) -> None:
    """Partitions, copies and every setting; an uninstall leaves them."""
    found = {}
    for each in made.of("KafkaTopic"):
        kept = each["metadata"]["annotations"]["helm.sh/resource-policy"]
        assert kept == "keep"
        spec = each["spec"]
        name = each["metadata"]["name"]
        found[name] = (spec["partitions"], spec["replicas"], spec["config"])

    assert found == {
        topic.name: (topic.partitions, topic.replication_factor, dict(topic.configs))
        for topic in topics(KafkaSettings())
    }


def test_users_have_the_least_rights(made: Rendered) -> None:
    """As `rescind topics acls` prints them for the roles of each component."""
    settings = KafkaSettings()
    raw, realms = ["idp-events"], ["default", "lab"]
    wanted = {
        component: {
            (each.resource, each.name, str(each.operation))
            for each in acls(settings, {}, raw, realms)
            if each.principal in {f"User:rescind-{role}" for role in roles}
        }
        for component, roles in COMPONENTS.items()
    }
    found = {
        each["metadata"]["name"].removeprefix("rescind-"): {
            (acl["resource"]["type"], acl["resource"]["name"], operation)
            for acl in each["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        }
        for each in made.of("KafkaUser")
    }

    assert found == wanted


def test_each_pod_is_its_user(made: Rendered) -> None:
    """The operator puts a user's password into a Secret of the user's name."""
    users = {each["metadata"]["name"] for each in made.of("KafkaUser")}
    for component in COMPONENTS:
        given = made.environment(component)
        user = given["RESCIND_KAFKA_SASL__USERNAME"]
        assert user in users
        secret = given["RESCIND_KAFKA_SASL__PASSWORD"]["secretKeyRef"]
        assert secret == {"name": user, "key": "password"}


def test_the_job_comes_with_its_user(made: Rendered) -> None:
    """As a hook before the install it would wait for a user that comes after."""
    job = made.pods["topics"]
    assert "annotations" not in job["metadata"]
    assert job["metadata"]["name"].endswith("-topics-1")
