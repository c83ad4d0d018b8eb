"""Findings as messages of RFC 5424, framed for a stream (RFC 6587, 3.4.1; RFC 5425)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import orjson
from attrs import frozen

from streams.model.findings import Severity
from streams.model.times import rfc3339
from streams.sinks import cef, ocsf

if TYPE_CHECKING:
    from streams.stages.notify.deliveries import Delivery

_AUTHORISATION: Final = 10  # the facility of security and authorisation messages
_SEVERITY: Final = {
    Severity.INFORMATIONAL: 6,
    Severity.LOW: 5,
    Severity.MEDIUM: 4,
    Severity.HIGH: 3,
    Severity.CRITICAL: 2,
}
_HOST: Final = 255


@frozen(kw_only=True)
class SyslogLayout:
    """How messages look.

    Attributes:
        form: ``cef``, or ``json``: the OCSF event.
        hostname: of the message; ``-`` where it is not said.
        event: of OCSF events, and the links of both.
    """

    form: Literal["cef", "json"] = "cef"
    hostname: str = "-"
    event: ocsf.OcsfLayout = ocsf.DEFAULT


DEFAULT: Final = SyslogLayout()


def message(delivery: Delivery, layout: SyslogLayout) -> bytes:
    """Message without its frame: header, no structured data, text in UTF-8."""
    finding = delivery.finding
    priority = 8 * _AUTHORISATION + _SEVERITY[finding.severity]
    host = "".join(c for c in layout.hostname if "!" <= c <= "~")[:_HOST] or "-"
    # Six digits of a second are all that RFC 5424 has room for.
    stamp = rfc3339(delivery.created_at // 1000 * 1000)
    header = f"<{priority}>1 {stamp} {host} rescind - {finding.kind.value[:32]} - "
    if layout.form == "cef":
        text = cef.line(delivery, layout.event.links, layout.event.product).encode()
    else:
        text = orjson.dumps(ocsf.of_delivery(delivery, layout.event))
    return header.encode() + text


def frame(text: bytes) -> bytes:
    """Message with its length in front: octet counting."""
    return b"%d %s" % (len(text), text)
