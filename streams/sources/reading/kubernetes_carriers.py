"""Take Kubernetes audit events out of what the clouds wrap them in.

Azure puts the event as JSON text, or as an object, into ``properties.log``. Google
rewrites it: it keeps the method, the resource's name and a google.rpc.Code, and drops
``user.extra``, so what a use presented is not in the log, only who it was.

Source: Azure, "Monitor AKS, resource logs"; Google Cloud, "GKE audit logging
information"; google.rpc.Code.
"""

from __future__ import annotations

from typing import Any, Final

from streams.sources.reading.fields import mapping, nested, text

_VERBS: Final = {
    "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
}  # fmt: skip
_DENIED: Final = {7: 403, 16: 401}  # PERMISSION_DENIED, UNAUTHENTICATED
_FAILED: Final = 500
_NAMESPACES: Final = "namespaces"


def as_native(body: dict[str, Any]) -> dict[str, Any]:
    """Native form of an event; anything unknown is given back as it is."""
    if "verb" in body:
        return body
    payload = body.get("protoPayload")
    if type(payload) is dict:
        return _gke(body, payload)
    log = mapping(body.get("properties")).get("log")
    return body if log is None else mapping(nested(log))


def _gke(body: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    method = (text(payload.get("methodName")) or "").rpartition(".")[2]
    caller = mapping(payload.get("authenticationInfo")).get("principalEmail")
    reference = _reference(text(payload.get("resourceName")) or "")
    request = mapping(payload.get("requestMetadata"))
    status = mapping(payload.get("status")).get("code", 0)
    ok = 201 if method == "create" else 200
    failed = _DENIED.get(status, _FAILED) if type(status) is int else _FAILED
    code = ok if status == 0 else failed
    return {
        "auditID": body.get("insertId"),
        "stageTimestamp": body.get("timestamp"),
        "verb": method if method in _VERBS else None,
        "user": {"username": caller} if text(caller) else {},
        "objectRef": reference,
        "responseStatus": {"code": code},
        "annotations": mapping(body.get("labels")),
        "requestObject": payload.get("request"),
        "sourceIPs": [request.get("callerIp")],
        "userAgent": request.get("callerSuppliedUserAgent"),
    }


def _reference(name: str) -> dict[str, Any]:
    """Read group/version[/namespaces/NS]/RESOURCE[/NAME[/SUBRESOURCE]]."""
    group, *parts = name.split("/")
    parts = parts[1:]  # the version
    found: dict[str, Any] = {"apiGroup": "" if group == "core" else group}
    if len(parts) > 2 and parts[0] == _NAMESPACES:  # noqa: PLR2004 - more than itself
        found["namespace"] = parts[1]
        parts = parts[2:]
    found |= zip(("resource", "name", "subresource"), parts, strict=False)
    return found
