"""docs/api/asyncapi.yaml says of the topics what the layout and the rights say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.engines.kafka.records.layout import NAMES
from streams.engines.kafka.topics.acls import Operation, Role, acls
from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "api"
API: dict[str, Any] = yaml.load(
    (FOLDER / "asyncapi.yaml").read_text(), yaml.CSafeLoader
)
ACTIONS = {Operation.READ: "receive", Operation.WRITE: "send"}


def test_every_topic_is_described() -> None:
    """And no other."""
    channels = API["channels"]

    assert set(channels) == set(NAMES)
    for name, channel in channels.items():
        full = channel["address"].replace("{prefix}", "rescind")
        assert full == KafkaSettings().topic(name)


def test_every_part_does_what_it_has_the_right_to_do() -> None:
    """A right that is added must be added there."""
    described = {
        (name, each["action"], each["channel"]["$ref"].removeprefix("#/channels/"))
        for name, each in API["operations"].items()
    }
    settings = KafkaSettings()
    short = {settings.topic(name): name for name in NAMES}
    rights = {
        (role.value, ACTIONS[right.operation], short[right.name])
        for role in Role
        if role is not Role.TOPICS
        for right in acls(settings, {})
        if right.principal == f"User:rescind-{role}"
        and right.name in short
        and right.operation in ACTIONS
    }

    def named(role: str, action: str, topic: str) -> str:
        return role + action.title() + topic.title()

    assert described == {(named(*one), *one[1:]) for one in rights}


def test_every_schema_lies_in_one_topic() -> None:
    """A message is described by the file that it is written with."""
    messages = API["components"]["messages"]
    placed = [
        name
        for channel in API["channels"].values()
        for name, each in channel["messages"].items()
        if each["$ref"] == f"#/components/messages/{name}"
    ]
    files = {path.stem: path for path in (ROOT / "schemas" / "avro").glob("*.avsc")}

    assert sorted(placed) == sorted(messages) == sorted(files)
    for name, message in messages.items():
        path = FOLDER / message["payload"]["schema"]["$ref"]
        assert path.resolve() == files[name]
        assert message["summary"] == json.loads(path.read_text())["doc"]
