"""Hand-made endings of many sources, and what is read out of them, for trap tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.sources.catalogue import source
from streams.stages.ingest.ingress import Origin, facts_of
from tests.unit.openbao_lines import auth, line, mac

if TYPE_CHECKING:
    from agents_registry.facts import Fact

Event = dict[str, Any]
NOW: Final = 1_800_000_000_000_000_000
TIME: Final = "2026-03-02T09:00:00Z"
LATER: Final = "2026-03-02T10:00:00Z"
OKTA: Final[Event] = {
    "uuid": "u", "eventType": "user.lifecycle.suspend", "published": TIME,
    "outcome": {"result": "SUCCESS"}, "target": [{"type": "User", "id": "00u2"}],
}  # fmt: skip
ENTRA: Final[Event] = {
    "id": "e", "activityDisplayName": "Disable account", "result": "success",
    "activityDateTime": TIME, "targetResources": [{"type": "User", "id": "u2"}],
}  # fmt: skip
KUBERNETES: Final[Event] = {
    "auditID": "k", "stage": "ResponseComplete", "stageTimestamp": TIME,
    "verb": "delete", "user": {"username": "admin"}, "responseStatus": {"code": 200},
    "objectRef": {"resource": "serviceaccounts", "namespace": "a", "name": "b"},
}  # fmt: skip
GITHUB: Final[Event] = {
    "_document_id": "g", "action": "oauth_access.destroy", "@timestamp": TIME,
    "token_id": 5,
}  # fmt: skip
CLOUDTRAIL: Final[Event] = {
    "eventID": "c", "eventSource": "iam.amazonaws.com", "eventTime": TIME,
    "eventName": "DeleteAccessKey",
    "userIdentity": {"type": "IAMUser", "accountId": "1", "accessKeyId": "AKIAOPS",
                     "arn": "arn:aws:iam::1:user/ops", "userName": "ops"},
    "requestParameters": {"accessKeyId": "AKIA2", "userName": "eve"},
}  # fmt: skip
KEYCLOAK: Final[Event] = {
    "id": "kc", "time": 1_772_442_000_000, "type": "LOGOUT", "realmId": "r",
    "clientId": "app", "userId": "u2", "sessionId": "s2", "details": {},
}  # fmt: skip
AUTH0: Final[Event] = {
    "log_id": "a", "data": {"type": "sapi", "date": TIME, "details": {
        "request": {"method": "DELETE", "path": "/api/v2/users/u2"},
        "response": {"statusCode": 204}}},
}  # fmt: skip
SPIRE: Final[Event] = {
    "type": "audit", "method": "BanAgent", "status": "success", "time": TIME,
    "request_id": "s", "spiffe_id": "spiffe://x/agent",
}  # fmt: skip
OPENBAO: Final[Event] = line(
    "auth/token/revoke", auth("root"), data={"token": mac("u2")}
)
ENDINGS: Final = {
    "okta": OKTA, "entra": ENTRA, "kubernetes": KUBERNETES, "github": GITHUB,
    "cloudtrail": CLOUDTRAIL, "keycloak": KEYCLOAK, "auth0": AUTH0, "spire": SPIRE,
    "openbao": OPENBAO,
}  # fmt: skip


def entra(name: str, old: str | None, new: str, **values: Any) -> Event:
    """Make an audit event of a user whose property changed."""
    changed = {"displayName": name, "oldValue": old, "newValue": new}
    target = {"type": "User", "id": "u2", "modifiedProperties": [changed]}
    return ENTRA | {"activityDisplayName": "Update user"} | values | {
        "targetResources": [target]
    }  # fmt: skip


def read(name: str, *made: Event) -> list[Record]:
    """Read events, one a line."""
    return list(source(name).records(b"\n".join(map(orjson.dumps, made))))


def changes(name: str, *made: Event) -> list[Lifecycle]:
    """Give the changes of events that have an effect."""
    found = read(name, *made)
    return [one for one in found if isinstance(one, Lifecycle) and one.effect]


def change(name: str, made: Event) -> Lifecycle:
    """Give the one change of an event."""
    (found,) = changes(name, made)
    return found


def told(name: str, *made: Event) -> list[tuple[str | None, str]]:
    """Give effect and target of each change."""
    return [
        (one.effect, str(one.identifiers[0]) if one.identifiers else "")
        for one in changes(name, *made)
    ]


def uses(name: str, *made: Event) -> list[Access]:
    """Give the accesses of events."""
    return [one for one in read(name, *made) if isinstance(one, Access)]


def facts(name: str, *made: Event) -> set[Fact]:
    """Give the facts of events."""
    origin = Origin("x", "r", received_at=NOW)
    return {
        fact
        for record in read(name, *made)
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin, fresh_id="fresh")
    }


def denied(found: set[Fact], identifier: str) -> bool:
    """Tell whether facts deny a credential, were it presented alone."""
    kind, _, value = identifier.partition(":")
    policy = Policy(dict.fromkeys(VOCABULARY, "allow_and_report"))
    presented = Presented((Identifier(kind, value),))
    return not judge(Registry.build(found), presented, now=NOW, policy=policy).allowed
