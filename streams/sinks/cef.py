"""A finding as a line of the Common Event Format, version 0.

In the header bar and backslash are escaped, in the extension equals sign and backslash.
Custom strings carry a label that says what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.findings import Severity
from streams.sinks import alert_fields, plain_text, wording
from streams.stages.notify.deliveries import Activity

if TYPE_CHECKING:
    from streams.sinks.links import Links
    from streams.stages.notify.deliveries import Delivery

# 0 to 10: 0-3 low, 4-6 medium, 7-8 high, 9-10 very high.
_SEVERITY: Final = {
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
_CUSTOM: Final = ("identifier", "owner", "cause", "path", "realm")
_MILLISECOND: Final = 1_000_000


def line(delivery: Delivery, links: Links, product: str = "") -> str:
    """Line of a delivery, without its end.

    Args:
        delivery: what to tell.
        links: of its finding.
        product: version of Rescind.
    """
    finding = delivery.finding
    title = wording.kind_title(finding.kind)
    head = ("CEF:0", "Rescind", "Rescind", product, finding.kind.value, title)
    header = "|".join((*map(_header, head), str(_SEVERITY[finding.severity])))
    said = "resolved" if delivery.activity is Activity.CLOSE else finding.outcome
    details = alert_fields.details(finding)
    extension = {
        "externalId": finding.id,
        "cat": delivery.activity.name.lower(),
        "rt": str(delivery.created_at // _MILLISECOND),
        "start": str(finding.first_seen // _MILLISECOND),
        "end": str(finding.last_seen // _MILLISECOND),
        "cnt": str(finding.count),
        "act": said or "",
        "dvchost": details.get("point", ""),
        "msg": plain_text.shown(wording.message(finding), 1000),
        "request": links.first(finding),
    }
    named = (name for name in _CUSTOM if name in details)
    for number, name in enumerate(named, 1):
        extension[f"cs{number}Label"] = name
        extension[f"cs{number}"] = details[name]
    values = (f"{key}={_value(text)}" for key, text in extension.items() if text)
    return f"{header}|{' '.join(values)}"


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    # Texts of findings hold no ends of lines: `plain_text.shown` took them out.
    return text.replace("\\", "\\\\").replace("=", "\\=")
