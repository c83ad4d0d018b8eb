"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES: Final = (
    "activityDisplayName", "ActivityDisplayName",
    "signInEventTypes", "SignInEventTypes", "AppDisplayName", "appDisplayName",
)  # fmt: skip


def _speaks(body: Mapping[str, Any]) -> bool:
    if "subscriptionId" in body and ("changeType" in body or "lifecycleEvent" in body):
        return True
    if "AuditData" in body or ("Operation" in body and "RecordType" in body):
        return True
    inner = body.get("properties")
    both = (body, inner if isinstance(inner, dict) else {})
    return any(name in one for one in both for name in _NAMES)


VENDOR = Descriptor(
    name="entra",
    reader="streams.sources.entra.entra:Entra",
    speaks=_speaks,
    page="entra.md",
    samples="tests/samples/entra",
    polls={
        "entra": "streams.sources.entra.poll:EntraPoll",
        "m365": "streams.sources.entra.m365_poll:M365Poll",
    },
    hooks={"graph": "streams.sources.entra.hook:GraphHook"},
)
