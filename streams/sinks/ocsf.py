"""A finding as an OCSF Detection Finding (class 2004), of 1.8.0 or 1.9.0.

``finding_info.uid`` stays the same over create, update and close, so a SIEM keeps one
finding up to date. Times are milliseconds, as OCSF counts them. Names come from the
schema (events/findings/detection_finding.json and its objects); what has no place in
it stands under ``unmapped``. Nothing secret can be in it: a finding holds identifiers
alone.

1.9.0 adds the agent to an evidence, and to each event the attestation of the profile
``record_integrity``: a fingerprint of the event's canonical form, by which it shows
whether it was altered. Its ``delegation`` belongs to the profile ``ai_operation``,
which is not for findings: it stands under ``unmapped``, in the words of that object.
"""

from __future__ import annotations

import hashlib
import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from attrs import frozen

from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from streams.model.findings import SUMMARY, FindingKind, Severity
from streams.sinks import alert_fields, ends, parties, plain_text, wording
from streams.sinks.kind_groups import ORDERED
from streams.sinks.links import NOWHERE, Links
from streams.stages.access.agent_kinds import is_account, is_agent
from streams.stages.notify.deliveries import Activity

if TYPE_CHECKING:
    from streams.model.findings import Finding
    from streams.stages.notify.deliveries import Delivery

Version = Literal["1.8.0", "1.9.0"]
CLASS: Final = 2004
MILLISECOND: Final = 1_000_000
# Standard Webhooks asks for less than 20 kB; identifiers have up to 256 bytes.
MAX_PATH: Final = 12
MAX_EVENTS: Final = 20
_MAX_TEXT: Final = 128
_NEW: Final = 1
_RESOLVED: Final = 4
_HIGH_CONFIDENCE: Final = 3
_RULE: Final = 1
_USER_CREDENTIAL: Final = 19
_RESOURCE_UID: Final = 10
_SHA256: Final = 3
_JCS: Final = 2
_NO_CREDENTIALS: Final = frozenset(
    {"source", "guard", "realm", "rescind.actuator", "rescind.test", SUMMARY}
)


@frozen
class OcsfLayout:
    """What an installation chooses of its events.

    Attributes:
        version: of the schema; 1.8.0 has no ``ai_agent`` and no ``attestation``.
        links: to what explains a finding.
        product: version of Rescind; empty where it is not said.
    """

    version: Version = "1.9.0"
    links: Links = NOWHERE
    product: str = ""


DEFAULT: Final = OcsfLayout()


def body(delivery: Delivery, layout: OcsfLayout = DEFAULT) -> bytes:
    """JSON of a delivery, the same bytes in every attempt.

    Receivers of one layout get the same event, with the same id: it is made once.
    """
    message = delivery.finding, delivery.activity, delivery.created_at, delivery.id
    return _body(*message, layout)


@lru_cache(maxsize=64)
def _body(
    finding: Finding, activity: Activity, at: int, uid: str, layout: OcsfLayout
) -> bytes:
    return orjson.dumps(event(finding, activity, at=at, uid=uid, layout=layout))


def of_delivery(delivery: Delivery, layout: OcsfLayout = DEFAULT) -> dict[str, Any]:
    """Event of a delivery."""
    return event(
        delivery.finding,
        delivery.activity,
        at=delivery.created_at,
        uid=delivery.id,
        layout=layout,
    )


def event(
    finding: Finding,
    activity: Activity,
    *,
    at: int,
    uid: str,
    layout: OcsfLayout = DEFAULT,
) -> dict[str, Any]:
    """Return the finding as an OCSF event.

    Args:
        finding: as it is at that time.
        activity: whether it is new, changed or over.
        at: when the event came to be, ns.
        uid: of the event (``metadata.uid``), another one for each update.
        layout: version and links.
    """
    name = activity.name.title()
    closed = activity is Activity.CLOSE
    made = {
        "activity_id": int(activity),
        "activity_name": name,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {name}",
        "time": at // MILLISECOND,
        "start_time": finding.first_seen // MILLISECOND,
        "end_time": finding.last_seen // MILLISECOND,
        "count": finding.count,
        "severity_id": int(finding.severity),
        "severity": finding.severity.name.title(),
        "status_id": _RESOLVED if closed else _NEW,
        "status": "Resolved" if closed else "New",
        "confidence_id": _HIGH_CONFIDENCE,
        "confidence": "High",
        "is_alert": not closed and finding.severity > Severity.INFORMATIONAL,
        "message": wording.message(finding),
        "metadata": {
            "version": layout.version,
            "uid": uid,
            "product": {
                "name": "Rescind",
                "vendor_name": "Rescind",
                **({"version": layout.product} if layout.product else {}),
            },
        },
        "finding_info": _info(finding, layout.links),
        "evidences": [_evidence(finding, layout.version)],
        "resources": _resources(finding),
        "observables": _observables(finding),
        "unmapped": _unmapped(finding),
        **_remediation(finding, layout.links),
    }
    return made if layout.version == "1.8.0" else _attested(made, finding)


def _attested(event: dict[str, Any], finding: Finding) -> dict[str, Any]:
    """Add what 1.9.0 has besides: the delegation that was used, and the attestation."""
    if _is_credential(finding.presented):
        above = [one for one in finding.path if one != finding.presented][:1]
        parent = {"parent_uid": above[0].value} if above else {}
        event["unmapped"]["delegation"] = {"uid": finding.presented.value, **parent}
    event["metadata"]["profiles"] = ["record_integrity"]
    attestation: dict[str, Any] = {"authority_uid": f"rescind:{finding.realm}"}
    event["attestation"] = attestation
    # All keys are ASCII and no number has a fraction, so this is RFC 8785.
    canonical = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    attestation["fingerprint"] = {
        "algorithm_id": _SHA256,
        "algorithm": "SHA-256",
        "serialization_id": _JCS,
        "serialization": "JCS",
        "value": hashlib.sha256(canonical).hexdigest(),
    }
    return event


def _info(finding: Finding, links: Links) -> dict[str, Any]:
    kind = finding.kind.value
    link = links.first(finding)
    source = {"src_url": link} if link else {}
    return {
        **source,
        "uid": finding.id,
        "title": wording.title(finding),
        "desc": plain_text.shown(finding.message, 1024),
        "types": [kind],
        "analytic": {"name": kind, "uid": kind, "type_id": _RULE, "type": "Rule"},
        "first_seen_time": finding.first_seen // MILLISECOND,
        "last_seen_time": finding.last_seen // MILLISECOND,
        "related_events_count": finding.count,
        "related_events": [
            {"uid": plain_text.shown(uid, _MAX_TEXT)}
            for uid in finding.event_ids[:MAX_EVENTS]
        ]
        + [
            {
                "uid": uid,
                "type_uid": CLASS * 100 + Activity.CREATE,
                "type_name": "Detection Finding: Create",
                "title": "A finding about the same credential",
            }
            for uid in finding.related
        ],
    }


def _evidence(finding: Finding, version: Version) -> dict[str, Any]:
    tried = finding.kind is FindingKind.TEST
    by = plain_text.shown(finding.ended_by or "", _MAX_TEXT) if tried else ""
    if speaker := wording.speaker(finding) or by:
        return {"actor": {"user": {"uid": speaker, "type_id": 99, "type": "Speaker"}}}
    user = _user(finding)
    if credential := _credential(finding):
        user["credential_uid"] = credential
    acted = finding.kind is not FindingKind.LEAK  # its holder exposed nothing
    evidence: dict[str, Any] = {"actor": {"user": user}} if acted else {"user": user}
    point = plain_text.shown(finding.point, _MAX_TEXT)
    if point and wording.is_use(finding):
        evidence["api"] = {
            "operation": "present_credential",
            "service": {"name": point, "uid": point},
        }
    if address := plain_text.shown(finding.address or "", _MAX_TEXT):
        evidence["src_endpoint"] = {_address_name(address): address}
    if user_agent := plain_text.shown(finding.user_agent or "", _MAX_TEXT):
        evidence["http_request"] = {"user_agent": user_agent}
    agent = parties.agent(finding)
    shared = finding.kind is FindingKind.SHARED_SERVICE_ACCOUNT  # an account
    if agent is not None and not shared and version != "1.8.0":
        evidence["ai_agent"] = {"uid": agent.value, "name": agent.value}
    return evidence


def _user(finding: Finding) -> dict[str, Any]:
    """Name the user; who is unknown does not get the name of the credential."""
    named = parties.principal(finding)
    if named is None and _is_credential(finding.presented):
        return {"name": "unknown", "type_id": 0, "type": "Unknown"}
    named = named or finding.presented
    return {"uid": named.value, "type_id": 99, "type": named.kind}


def _resources(finding: Finding) -> list[dict[str, Any]]:
    resources: list[dict[str, Any]] = [
        {"uid": identifier.value, "type": identifier.kind}
        for identifier in dict.fromkeys((finding.presented, *_path(finding)))
    ]
    gone = finding.kind is FindingKind.OWNERLESS
    of_other = parties.name_holder(finding) or parties.caller(finding)
    if finding.owner and not gone and not of_other:
        resources[0]["owner"] = {"name": plain_text.shown(finding.owner, _MAX_TEXT)}
    return resources


def _observables(finding: Finding) -> list[dict[str, Any]]:
    observables: list[dict[str, Any]] = []
    credential = _credential(finding)
    if credential and not wording.speaker(finding):
        leaked = finding.kind is FindingKind.LEAK
        observables.append(
            {
                "name": f"evidences.{'' if leaked else 'actor.'}user.credential_uid",
                "type_id": _USER_CREDENTIAL,
                "type": "User Credential ID",
                "value": credential,
            }
        )
    if finding.path:
        observables.append(
            {
                "name": "resources.uid",
                "type_id": _RESOURCE_UID,
                "type": "Resource UID",
                "value": finding.path[-1].value,
            }
        )
    return observables


def _remediation(finding: Finding, links: Links) -> dict[str, Any]:
    advice = wording.remedy(finding)
    if not advice:
        return {}
    listed = list(links.of(finding).values())
    shown = {"references": listed} if listed else {}
    return {"remediation": {"desc": advice, **shown}}


def _unmapped(finding: Finding) -> dict[str, Any]:
    failed = finding.kind is FindingKind.ENFORCEMENT_FAILURE
    gone = finding.owner if finding.kind is FindingKind.OWNERLESS else None
    holder = parties.name_holder(finding)
    owner = plain_text.shown(finding.owner or "", _MAX_TEXT)
    of_caller = owner if parties.caller(finding) else ""
    former = {"former_owner": plain_text.shown(gone, _MAX_TEXT)} if gone else {}
    return {
        "realm": finding.realm,
        "identifier": str(finding.presented),
        "point": wording.place(finding),
        "outcome": finding.outcome,
        "via": finding.via,
        "path": [str(identifier) for identifier in _path(finding)],
        "path_length": len(finding.path),
        "cause": (finding.cause or ends.who(finding) or finding.reason)
        and _cause(finding),
        # A guard that failed was not late.
        "late_by": None if failed else finding.late_by,
        **former,
        **({"name_holder": holder} if holder else {}),
        **({"owner_of_caller": of_caller} if of_caller else {}),
        **alert_fields.told_by(finding),
        **alert_fields.told_in_words(finding),
    }


def _cause(finding: Finding) -> dict[str, Any]:
    """Say what ended it; who only said that is no one who did it."""
    by = plain_text.shown(finding.ended_by or "", _MAX_TEXT) or None
    authority = plain_text.shown(finding.authority or "", _MAX_TEXT) or None
    event_type = ends.event_type(finding)
    reason = plain_text.shown(finding.reason or "", _MAX_TEXT) or None
    told = finding.kind is FindingKind.LEAK or finding.kind in ORDERED
    return {
        "id": finding.cause,
        "effect": finding.cause_effect,
        "at": finding.cause_at and finding.cause_at // MILLISECOND,
        alert_fields.did_what(finding) if told else "by": by
        or (authority if told else None),
        "authority": authority,
        "reason": None if event_type else reason,
        **({"event_type": event_type} if event_type else {}),
        "told_at": finding.told_at and finding.told_at // MILLISECOND,
    }


def _address_name(address: str) -> str:
    """Attribute of an endpoint that an address belongs to."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "hostname"  # CloudTrail names a service that called for somebody
    return "ip"


def _path(finding: Finding) -> tuple[Identifier, ...]:
    """Path, shortened in the middle where it is long."""
    path = finding.path
    if len(path) <= MAX_PATH:
        return path
    return (*path[: MAX_PATH // 2], *path[-MAX_PATH // 2 :])


def _is_credential(identifier: Identifier) -> bool:
    """Whether a name is a credential's; kinds of mappings are not known here."""
    kind = identifier.kind
    if kind in _NO_CREDENTIALS or is_agent(kind) or is_account(kind):
        return False
    return VOCABULARY.get(kind, NodeClass.CREDENTIAL) is NodeClass.CREDENTIAL


def _credential(finding: Finding) -> str:
    """Value of the credential that a finding is about; "" without one."""
    if _is_credential(finding.presented):
        return finding.presented.value
    held = parties.credential(finding)
    return plain_text.shown(held.partition(":")[2] or held, _MAX_TEXT)
