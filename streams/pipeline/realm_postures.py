"""How credentials stand, in the realms whose own findings one partition tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, define

from agents_registry.facts import HOUR
from agents_registry.identifiers import Identifier
from streams.stages.posture.posture import Limits, Posture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.pipeline.access_partition import AccessFile
    from streams.pipeline.access_records import ScopeUse
    from streams.pipeline.realm import Realm
    from streams.stages.sentinel.sentinel import Sentinel


@define(eq=False)
class RealmPostures:
    """The posture stage of each realm, on its table of now.

    Attributes:
        used: realm and name to what is known of used scopes, until that is saved;
            None where it is forgotten.
        untold: realms of which a step found more than was added to the outputs.
    """

    _file: AccessFile
    _limits: Limits
    _realm_of: Callable[[str], Realm]
    _sentinel_of: Callable[[str], Sentinel]
    used: dict[tuple[str, str], bytes | None] = Factory(dict)
    untold: set[str] = Factory(set)
    _of: dict[str, Posture] = Factory(dict)
    _forgot: int = 0  # ns

    def of(self, realm: str) -> Posture:
        """Stage of a realm."""
        posture = self._of.get(realm)
        if posture is None:
            posture = self._of[realm] = Posture(self._limits)
            posture.restore(self._sentinel_of(realm).episodes.open_ones())
            for name, body in self._file.used_scopes(realm):
                posture.book.restore(Identifier.parse(name), body)
        table = self._realm_of(realm)
        posture.follow(table.cascade.registry)
        table.heard = posture.note
        return posture

    def take_used(self, realm: str, uses: Iterable[ScopeUse]) -> None:
        """Take note of scopes that were used."""
        posture = self.of(realm)
        for use in uses:
            body = posture.used(use.name, use.scopes, use.at)
            if body is not None:
                self.used[realm, str(use.name)] = body

    def take_news(self, realm: str) -> None:
        """Have saved what a step found out of used scopes."""
        for name, body in self.of(realm).take_news():
            self.used[realm, str(name)] = body

    def inspecting(self, realm: str, now: int) -> int:
        """Count the nodes of a realm that may stand otherwise than before, roughly."""
        posture = self._of.get(realm)
        untold = realm in self.untold
        return 1 if posture is None else posture.waiting(now) + untold

    def forget(self, now: int) -> None:
        """Forget scopes that were used long ago; a look an hour is enough."""
        if now - self._forgot < HOUR:
            return
        self._forgot = now
        for realm, posture in self._of.items():
            for name in posture.forget(now):
                self.used[realm, str(name)] = None
