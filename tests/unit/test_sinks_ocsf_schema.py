"""Alerts against the released schema of OCSF, class 2004."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from jsonschema import Draft202012Validator, ValidationError
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.sinks import ocsf
from streams.sinks.links import NOWHERE, Links
from streams.stages.notify.deliveries import Activity
from streams.stages.notify.trial import trial
from tests.unit.test_sinks_ocsf import AGENT, TOKEN, USED, a_finding

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

LINKS = Links("https://rescind.example")
# What 1.9.0 adds to a Detection Finding (its changelog of 2026-08-03), as the objects
# of ocsf/ocsf-schema (Apache-2.0) state it: ai_agent in evidences, and the attestation
# of the profile record_integrity, which its base_event applies to each class. The
# compiled schema of 1.9.0 is in no package; its dictionary (tag 1.9.0) has the data
# types of 1.8.0, and its changelog takes no attribute away and gives none of ours
# another type. Its profile ai_operation, which has the delegation, is not for
# findings, so a delegation stands under ``unmapped`` and is held to its object alone.
AI_AGENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["uid"],
    "properties": {
        "uid": {"type": "string"},
        "instance_uid": {"type": "string"},
        "name": {"type": "string"},
        "type": {"type": "string"},
        "type_id": {"enum": [0, 1, 2, 3, 4, 99]},
        "version": {"type": "string"},
    },
}
FINGERPRINT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["algorithm_id", "value"],
    "properties": {
        "algorithm": {"type": "string"},
        "algorithm_id": {"type": "integer"},
        "value": {"type": "string"},
        "serialization": {"type": "string"},
        "serialization_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 7, 8, 99]},
        "encoding": {"type": "string"},
        "encoding_id": {"type": "integer"},
    },
}
ATTESTATION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["fingerprint"]}, {"required": ["signatures"]}],
    "properties": {
        "uid": {"type": "string"},
        "authority_uid": {"type": "string"},
        "fingerprint": FINGERPRINT,
        "chain_uid": {"type": "string"},
        "prev_event": {"type": "object"},
        "signatures": {"type": "array"},
    },
}
DELEGATION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["uid"],
    "properties": {
        "uid": {"type": "string"},
        "parent_uid": {"type": "string"},
        "issuer_uid": {"type": "string"},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "audience": {"type": "string"},
        "created_time": {"type": "integer"},
        "expiration_time": {"type": "integer"},
    },
}


@functools.cache
def released() -> Draft202012Validator:
    """Give what validates a Detection Finding of 1.8.0."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
    return Draft202012Validator(schema.get_class_schema("detection_finding"))


@functools.cache
def newest() -> Draft202012Validator:
    """Give what validates one of 1.9.0: 1.8.0 and what 1.9.0 adds to the class."""
    schema = copy.deepcopy(released().schema)
    schema["$defs"]["evidences"]["properties"]["ai_agent"] = AI_AGENT
    schema["properties"]["attestation"] = ATTESTATION
    return Draft202012Validator(schema)


def sent(event: dict[str, Any]) -> Any:
    """Give an event as a receiver reads it."""
    return json.loads(orjson.dumps(event))


OLDER = ocsf.OcsfLayout("1.8.0")


def an_event(
    activity: Activity = Activity.CREATE,
    layout: ocsf.OcsfLayout = OLDER,
    **values: Any,
) -> Any:
    """Give the event of a finding."""
    finding = a_finding(**values)
    return sent(ocsf.event(finding, activity, at=USED, uid="m.1", layout=layout))


@pytest.mark.parametrize(
    ("activity", "links"),
    [(Activity.CREATE, LINKS), (Activity.UPDATE, NOWHERE), (Activity.CLOSE, LINKS)],
)
@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_is_valid(
    kind: FindingKind, activity: Activity, links: Links
) -> None:
    """Required fields, their types, their values, and no field that is not there."""
    released().validate(an_event(activity, ocsf.OcsfLayout("1.8.0", links), kind=kind))


@pytest.mark.parametrize(
    "values",
    [
        {"path": (), "cause": None, "cause_at": None, "cause_effect": None},
        {"point": "", "owner": None, "event_ids": ()},
        {"presented": AGENT, "path": (), "point": ""},
        {"path": tuple(Identifier("vault.accessor", str(n)) for n in range(40))},
        {"presented": Identifier("aws.user", "é" * 128), "point": "\x00\n" * 300},
        {"related": tuple(f"{n:032x}" for n in range(20))},
    ],
    ids=["no cause", "bare", "principal", "long path", "odd texts", "related"],
)
def test_every_shape_is_valid(values: dict[str, Any]) -> None:
    """What a finding may lack, and what may be long or strange in it."""
    released().validate(an_event(**values))


def test_the_test_is_valid() -> None:
    """It goes to the same receivers."""
    for activity in Activity:
        delivery = trial("soc", "acme", activity, USED)
        newest().validate(sent(ocsf.of_delivery(delivery)))
        released().validate(sent(ocsf.of_delivery(delivery, OLDER)))


@pytest.mark.parametrize("kind", FindingKind)
@pytest.mark.parametrize("activity", Activity)
def test_every_kind_is_valid_in_the_newest_version(
    kind: FindingKind, activity: Activity
) -> None:
    """With what it adds, and nothing that it does not know."""
    layout = ocsf.OcsfLayout(version="1.9.0", links=LINKS)
    newest().validate(an_event(activity, layout, kind=kind))


@pytest.mark.parametrize("kind", FindingKind)
@pytest.mark.parametrize("activity", Activity)
def test_the_newest_version_adds_what_the_docs_list_and_nothing_else(
    kind: FindingKind, activity: Activity
) -> None:
    """Without that it is an event of 1.8.0, which stays to be chosen."""
    layout = ocsf.OcsfLayout(version="1.9.0", links=LINKS)
    event = an_event(activity, layout, kind=kind)
    older = an_event(activity, ocsf.OcsfLayout("1.8.0", LINKS), kind=kind)

    del event["attestation"], event["metadata"]["profiles"]
    event["unmapped"].pop("delegation", None)
    for evidence in event["evidences"]:
        evidence.pop("ai_agent", None)
    assert "1.9.0" == event["metadata"].pop("version")
    assert "1.8.0" == older["metadata"].pop("version")
    assert older == event


# The attributes that 1.9.0 deprecates in a finding and the objects that ours has.
DEPRECATED: Final = {"comment", "app_name", "app_uid"}


@pytest.mark.parametrize("kind", FindingKind)
def test_nothing_that_the_newest_version_deprecates_is_sent(kind: FindingKind) -> None:
    """It may go with the next one."""
    layout = ocsf.OcsfLayout(version="1.9.0", links=LINKS)
    found = set(_names(an_event(layout=layout, kind=kind)))

    assert set() == DEPRECATED & found
    assert {"actor", "metadata"} & found


def _names(plain: Any) -> Iterator[str]:
    """Yield the names of all attributes."""
    if isinstance(plain, dict):
        yield from plain
        plain = list(plain.values())
    if isinstance(plain, list):
        for each in plain:
            yield from _names(each)


def test_the_newest_version_says_whose_authority_was_used() -> None:
    """The credential and what it hangs on, in the words of a delegation."""
    layout = ocsf.OcsfLayout(version="1.9.0")
    delegation = an_event(layout=layout)["unmapped"]["delegation"]

    Draft202012Validator(DELEGATION).validate(delegation)
    assert {"uid": TOKEN.value, "parent_uid": AGENT.value} == delegation
    assert "delegation" not in an_event()["unmapped"]
    principal = an_event(layout=layout, presented=AGENT, path=(AGENT,))
    assert "delegation" not in principal["unmapped"]


def test_the_newest_version_shows_whether_a_record_was_altered() -> None:
    """Its fingerprint is that of all of it but itself, in canonical JSON (RFC 8785)."""
    event = an_event(layout=ocsf.OcsfLayout(version="1.9.0"), owner="Ann \u00fc \u0007")
    assert ["record_integrity"] == event["metadata"]["profiles"]
    fingerprint = event["attestation"].pop("fingerprint")

    def digest() -> str:
        text = json.dumps(
            event, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        return hashlib.sha256(text.encode()).hexdigest()

    assert (3, 2, digest()) == (
        fingerprint["algorithm_id"], fingerprint["serialization_id"],
        fingerprint["value"],
    )  # fmt: skip
    event["severity_id"] = 1
    assert fingerprint["value"] != digest()


def test_the_newest_version_names_the_agent() -> None:
    """Behind the switch: 1.8.0 has no place for it."""
    layout = ocsf.OcsfLayout(version="1.9.0")
    event = an_event(layout=layout)

    newest().validate(event)
    assert event["metadata"]["version"] == "1.9.0"
    assert event["evidences"][0]["ai_agent"]["uid"] == AGENT.value
    with pytest.raises(ValidationError, match=r"ai_agent|attestation"):
        released().validate(event)
    assert "ai_agent" not in an_event()["evidences"][0]
    nobody = an_event(layout=layout, presented=TOKEN, path=(TOKEN,))
    assert "ai_agent" not in nobody["evidences"][0]


def test_links_lead_to_what_explains_it() -> None:
    """Why it is dead, and what else ended with the ancestor that was named."""
    event = an_event(layout=ocsf.OcsfLayout("1.8.0", LINKS))

    assert event["finding_info"]["src_url"] == (
        "https://rescind.example/v1/why/vault.accessor%3Ahmac-token-1?realm=acme"
    )
    assert event["remediation"]["references"][1] == (
        "https://rescind.example/v1/blast-radius/agent.id%3Abilling-bot?realm=acme"
    )


@pytest.mark.parametrize("field", ["severity_id", "finding_info", "metadata", "time"])
def test_a_missing_field_is_caught(field: str) -> None:
    """The schema is one that can fail."""
    event = an_event()
    del event[field]

    with pytest.raises(ValidationError, match=field):
        released().validate(event)


@pytest.mark.parametrize(
    "change",
    [
        {"status_id": 77},
        {"time": "today"},
        {"realm": "acme"},
        {"evidences": [{"verdict": "x"}]},
    ],
    ids=["no such value", "no number", "no such field", "evidence of nothing"],
)
def test_a_wrong_field_is_caught(change: dict[str, Any]) -> None:
    """As above."""
    with pytest.raises(ValidationError):
        released().validate(an_event() | change)
