"""ACME's audit log through its API, newest first, on one page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from streams.model.times import rfc3339
from streams.sources.polling.feeds import Cursor
from streams.sources.polling.settings import KeyPoll
from streams.sources.polling.windows import Windows

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer


class AcmeLog(Windows):
    """The audit log of one workspace."""

    source = "acme"
    time_field = "time"

    def __init__(self, workspace: str, **values: Any) -> None:
        """Read the log of a workspace; the rest as `Windows` says."""
        super().__init__(**values)
        self._workspace = workspace

    def url(self, cursor: Cursor) -> str:
        """URL of the page."""
        query = urlencode({"since": rfc3339(cursor["from"])})
        return f"{self.base}/audit/{self._workspace}?{query}"

    def page(
        self, cursor: Cursor, answer: HttpAnswer
    ) -> tuple[list[dict[str, Any]], Any]:
        """Events; there is no other page."""
        del cursor
        return answer.objects(), None


class AcmePoll(KeyPoll):
    """The audit log of a workspace.

    Attributes:
        workspace: its name.
    """

    vendor: Literal["acme"]
    workspace: str

    def feeds(self, name: str) -> Iterator[AcmeLog]:
        """Return the log."""
        yield AcmeLog(self.workspace, name=f"{name}/audit", **self.window())
