"""Tell from the content which source wrote an input."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from streams.sources.reading.envelope import Event, events
from streams.sources.reading.kubernetes_carriers import as_native

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST: Final = "digestStartTime"  # CloudTrail's digest files lie beside its logs
_SAMPLE_BYTES: Final = 1 << 18
_SAMPLE_EVENTS: Final = 1_000
_SIGN_INS: Final = ("signInEventTypes", "SignInEventTypes", "AppDisplayName",
                    "appDisplayName")  # fmt: skip
_TOKEN: Final = re.compile(
    rb"^\s*eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$", re.ASCII | re.MULTILINE
)
_KEYCLOAK: Final = ("org.keycloak", "io.quarkus")
_SPIRE_LINE: Final = re.compile(
    rb'\btime=\\?"[^"\n]{10,40}" level=\w+ msg=[^\n]*\btype=audit\b'
)
_KEYCLOAK_LINE: Final = re.compile(
    rb"^\d{4}-[^\n{]{10,200}\[org\.keycloak\.events\]", re.MULTILINE
)


def guess(bodies: Iterable[dict[str, Any]]) -> str | None:
    """Give the name of the source that the first recognised event speaks for."""
    for body in bodies:
        if ("eventName" in body and "eventSource" in body) or DIGEST in body:
            return "cloudtrail"
        # The audit device's format: internal/audit/format.go of OpenBao
        if body.get("type") in ("request", "response") and isinstance(
            body.get("request"), dict
        ):
            return "openbao"
        if "iss" in body and isinstance(body.get("events"), dict):  # RFC 8417
            return "ssf"
        if isinstance(body.get("sets"), dict):  # a poll response, RFC 8936
            return "ssf"
        if str(body.get("loggerName") or body.get("log.logger")).startswith(_KEYCLOAK):
            return "keycloak"
        if "realmId" in body and ("operationType" in body or "type" in body):
            return "keycloak"
        for name, speaks in _SHAPES.items():
            if speaks(body):
                return name
    return None


def _okta(body: dict[str, Any]) -> bool:
    return "outcome" in body and ("eventType" in body or "eventtype" in body)


def _kubernetes(body: dict[str, Any]) -> bool:
    inner = as_native(body)
    return "verb" in inner and isinstance(inner.get("user"), dict)


def _entra(body: dict[str, Any]) -> bool:
    if "subscriptionId" in body and ("changeType" in body or "lifecycleEvent" in body):
        return True
    if "AuditData" in body or ("Operation" in body and "RecordType" in body):
        return True
    inner = body.get("properties")
    return any(
        name in one
        for one in (body, inner if isinstance(inner, dict) else {})
        for name in ("activityDisplayName", "ActivityDisplayName", *_SIGN_INS)
    )


def _github(body: dict[str, Any]) -> bool:
    action = body.get("action")
    if "secret_type" in body and "locations_url" in body:
        return True
    if not isinstance(action, str):
        return False
    return "sender" in body or ("." in action and "actor" in body)


_SHAPES: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "kubernetes": _kubernetes,
    "okta": _okta,
    "entra": _entra,
    "github": _github,
    "openai": lambda body: "effective_at" in body and "actor" in body,
    "anthropic": lambda body: "organization_id" in body and "actor" in body,
    "auth0": lambda body: "log_id" in body and ("data" in body or "type" in body),
    "gitguardian": lambda body: (
        ("incident" in body and "action" in body) or "gitguardian_url" in body
    ),
    "litellm": lambda body: str(body.get("table_name")).startswith("LiteLLM_"),
    "spire": lambda body: body.get("type") == "audit" and "method" in body,
}


def guess_bytes(data: bytes) -> str | None:
    """Give the name of the source that an input comes from, by its first events.

    Where its beginning tells nothing (a torn or a giant line), all of it is searched.
    """
    if _TOKEN.search(data, 0, _SAMPLE_BYTES):
        return "ssf"
    if _KEYCLOAK_LINE.search(data, 0, _SAMPLE_BYTES):
        return "keycloak"
    if _SPIRE_LINE.search(data, 0, _SAMPLE_BYTES):
        return "spire"
    for piece in (data[:_SAMPLE_BYTES], data):
        found = (one for one in events(piece, "") if isinstance(one, Event))
        name = guess(one.body for one in islice(found, _SAMPLE_EVENTS))
        if name is not None or len(piece) == len(data):
            return name
    return None
