"""GitHub's secret scanning partner pushes: tokens of yours that were found in public.

- Each match is a leak of the credential that guards know as ``secret``: the token is
  keyed at once, by functions of the caller, one a pepper, and kept nowhere. Without a
  pepper it has no name: a dead letter.
- A match has neither an id nor a time: the time of receipt stands in.

Source: GitHub documentation, "Secret scanning partner program".
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from streams.model.keyed_names import keyed_by
from streams.sources.reading.dialect import Dialect, DialectEvent
from streams.sources.reading.fields import identifier, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.model.records import Record
    from streams.sources.descriptor import ReaderSettings
    from streams.sources.github.audit import Keyed
    from streams.sources.reading.envelope import Event

NOT_OURS: Final = "not_github: a match has a token and a type"
NEEDS_PEPPER: Final = (
    "needs_pepper: a token was found in public, and no pepper is at hand to name it; "
    "set peppers, and look for it at GitHub"
)


class GitHubSecrets(Dialect):
    """Read the matches of a push; ``keyed`` each name a token's raw SHA-256."""

    name = "github"

    def __init__(self, keyed: Sequence[Keyed]) -> None:
        super().__init__()
        self._keyed = keyed

    def read_event(self, item: Event) -> list[Record]:
        """Return the records of one event."""
        offset, length, body = item
        token, kind = text(body.get("token")), text(body.get("type"))
        event = f"secret_scanning.{kind or ''}"
        seen = DialectEvent(self.name, body, offset, length, None, event)
        if token is None or kind is None:
            return [seen.letter(NOT_OURS)]
        if not self._keyed:
            return [seen.letter(NEEDS_PEPPER)]
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        names = [identifier("secret", keyed(digest)) for keyed in self._keyed]
        leak = seen.change("leak", *names, reason=text(body.get("url")))
        return self._settled(seen, [leak])


def configured(settings: ReaderSettings) -> GitHubSecrets:
    """Make a reader that names tokens as guards do that are shown one."""
    return GitHubSecrets(keyed_by("secret", settings.peppers))
