"""What AWS delivers to an HTTP endpoint: EventBridge, and Data Firehose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sources.aws import firehose
from streams.sources.hooking import HeaderHook, HookReply

if TYPE_CHECKING:
    from streams.sources.hooking import HookRequest


class EventBridge(HeaderHook):
    """API destinations of Amazon EventBridge, with an API key."""

    source = "cloudtrail"
    carries = True
    chooses_header = True


class Firehose(HeaderHook):
    """Amazon Data Firehose, such as behind a subscription of CloudWatch Logs."""

    source = "kubernetes"
    carries = True
    packed = True  # a small body may unpack to a large one
    header = firehose.KEY

    def opened(self, body: bytes) -> bytes:
        """Take the records out."""
        return firehose.lines(body)

    def reply(self, request: HookRequest) -> HookReply:
        """200 and the request's id: anything else is a failed delivery."""
        named = request.headers.get(firehose.REQUEST, "")
        return HookReply(firehose.answer(named, request.now))
