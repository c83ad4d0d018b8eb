"""Alerts in a Slack channel, by an incoming webhook of an app of the workspace.

Names in an alert come out of other people's logs, so they stand in ``plain_text``
objects, where no markup works: nobody can ring ``<!channel>`` or plant a link. The
fallback text is escaped. Lengths are those of Block Kit: 150 characters of a header,
3,000 of a section. Slack takes about one message a second and webhook; 429 carries
Retry-After.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from attrs import field, frozen

from streams.sinks import alert_fields, wording
from streams.sinks.closing_texts import shows_an_end
from streams.sinks.links import NOWHERE, Links
from streams.sinks.sink import JSON, Sink, SinkRequest
from streams.stages.notify.deliveries import Activity, Delivery

_HEADER: Final = 150
_SECTION: Final = 3000
_FIELD: Final = 200
_SAID: Final = {Activity.UPDATE: "Update: ", Activity.CLOSE: "Over: "}
# Of what only stopped to come.
_QUIET: Final = "No more news: "
_SHOWN: Final = (
    "severity", "kind", "realm", "identifier", "credential", "agent", "account",
    "owner", "owner_of_caller", "name_holder", "former_owner", "guards", "count",
)  # fmt: skip


@frozen(kw_only=True)
class Slack(Sink):
    """A channel of Slack; the URL of its webhook is the secret."""

    url: str = field(repr=False)
    links: Links = NOWHERE

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """Message of blocks, and its text for notifications."""
        del now
        finding = delivery.finding
        said = _SAID.get(delivery.activity, "")
        details = alert_fields.named(finding)
        *told, next_ = wording.lines(finding)
        if delivery.activity is Activity.CLOSE:
            next_ = f"Now: {wording.closing(finding, delivery.created_at)}"
            said = said if shows_an_end(finding.kind) else _QUIET
        title = said + wording.title(finding)
        text = f"[{finding.severity.name}] {title}"
        blocks = [
            {"type": "header", "text": _plain(title, _HEADER)},
            {"type": "section", "text": _plain("\n".join(told), _SECTION)},
            # By itself: no name is so long that it hides what is to be done.
            {"type": "section", "text": _plain(next_, _SECTION)},
            {
                "type": "section",
                "fields": [
                    _plain(f"{name}: {details[name]}", _FIELD)
                    for name in _SHOWN
                    if name in details
                ],
            },
        ]
        if links := self.links.of(finding):
            # Ours, and percent-encoded: there is nothing in it that could be markup.
            shown = " · ".join(f"<{link}|{name}>" for name, link in links.items())
            elements = [{"type": "mrkdwn", "text": shown}]
            blocks.append({"type": "context", "elements": elements})
        body = orjson.dumps({"text": _escaped(text), "blocks": blocks})
        return SinkRequest(url=self.url, headers={"content-type": JSON}, body=body)


def _plain(text: str, size: int) -> dict[str, Any]:
    cut = text if len(text) <= size else text[: size - 1] + "…"
    return {"type": "plain_text", "text": cut, "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
