"""Labels of metrics, each with the values that it may have, and so its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER: Final = "other"
MOST_KINDS: Final = 50

LABELS: Final[Mapping[str, str]] = {
    "act": "held, proposed",
    "actuator": "actuators in the settings",
    "authority": "authorities in the settings",
    "check": "read, unread, unreadable",
    "ending": "ended, pending, failed, unreachable, no_way, left_to_guards, confirmed",
    "issuer": "issuers in the settings",
    "kind": "kinds of findings: 20",
    "lease": "held, lapsed",
    "loop": "main, analysis",
    "mode": "fail_closed, fail_open, observe",
    "outcome": "allow, deny, observe",
    "page": "pages of the console: at most 40",
    "partition": "partitions of a topic, fixed for life",
    "reason": "words of the product: at most 30",
    "receiver": "receivers of alerts in the settings",
    "report": f"kinds of identifiers: at most {MOST_KINDS}, the rest is `{OTHER}`",
    "result": "words of the product: at most 8",
    "role": "serve, ingress, worker, notify, pdp, relay, insights, console",
    "rule": "containment rules in the settings",
    "rule_mode": "shadow, warn, enforce",
    "source": "sources in the settings, and one for all others",
    "stage": "stages, notify, registry, replica, sentinel, standby, closure, audit",
    "state": "closed, partial, unknown",
    "surface": "check, authzen, introspect",
    "version": "the version that runs",
}
