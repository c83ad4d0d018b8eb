"""End tokens, leases and entities of OpenBao or Vault.

Rules, each seen on OpenBao 2.7.2 (tests/integration/test_actuator_openbao.py):

- A token is ended by its accessor. The vault ends with it the tokens that it made, but
  orphans, and what ``revoke-orphan`` made orphans: those are targets of their own.
- The probe looks the accessor up. A dead one is answered "invalid accessor" (400 of
  OpenBao, 403 of Vault); 403 with other words is a token of ours without the right. A
  hashed name that no token had is dead only where names of living tokens are those of
  the log: the audit device may be another one.
- Namespaces: what is in no list is dead only where the lists of all were read. An act
  goes to the namespace in which its target was found. With a namespace in the settings,
  others cannot be asked: what that one does not have may live there.
- An entity is disabled, so its tokens cannot be used and no new ones are made; that is
  given back by a lift. Its living tokens are what it made.
- A lease is revoked at once (``sync``), so that the answer comes after the other
  system's; the probe looks the lease up.
- Batch tokens have no accessor: there is no way to end one but its parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from agents_registry.identifiers import Identifier
from streams.actuators.actuator import (
    ActAnswer,
    Actuator,
    Alive,
    Ending,
    EndStep,
    NoWay,
    Probed,
    WantedEnd,
)
from streams.actuators.openbao.namespaces import (
    missing_there,
    namespaces,
    unproven,
)
from streams.actuators.openbao.vault import errors_of, says_none
from streams.outbound.answers import OK, RequestError
from streams.outbound.waits import limited
from streams.sources.openbao.call import ACCESSOR
from streams.sources.openbao.tokens import ENTITY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from streams.actuators.actuator import EndTarget, RequestTurn
    from streams.actuators.openbao.tokens import TokenNames
    from streams.actuators.openbao.vault import VaultRequests
    from streams.outbound.answers import HttpAnswer

LEASE: Final = "vault.lease"
KINDS: Final[Mapping[str, Ending]] = {
    ACCESSOR: Ending("auth/token/revoke-accessor", mints=True),
    LEASE: Ending("sys/leases/revoke"),
    ENTITY: Ending("identity/entity disabled", mints=True, suspends=True),
}
ENTITIES: Final = "identity/entity/id/"
NO_ACCESSOR: Final = "invalid accessor"
NO_LEASE: Final = "invalid lease"
UNTOLD: Final = "the entity does not say whether it is disabled"
GONE: Final = "it is in no list of living tokens"
SERVER_ERROR: Final = 500
DEAD: Final = Probed(Alive.DEAD)
LIVES: Final = Probed(Alive.ALIVE)


class OpenBaoEndings(Actuator):
    """The actuator of one cluster."""

    def __init__(self, asked: VaultRequests, names: TokenNames) -> None:
        self._asked = asked
        self._names = names

    def kinds(self) -> Mapping[str, Ending]:
        """Tokens, leases and entities."""
        return KINDS

    def pace(self, turn: RequestTurn) -> bool:
        """Have each request wait, also those for the names of tokens."""
        self._asked.turn = turn
        return True

    async def plan(self, target: EndTarget) -> EndStep | NoWay:
        """Find the accessor, or what is to be sent."""
        kind, value = target.identifier
        if target.not_before is not None:
            return NoWay("a vault ends nothing by its time of issue")
        if kind == ENTITY:
            wanted = target.wanted is not WantedEnd.RESTORED
            found = await self._entity(target)
            if found is None:
                return NoWay("there is no such entity any more")
            verb = "disable" if wanted else "enable"
            data = ({"disabled": wanted}, found[1])
            return EndStep(target, f"{verb} the entity", data)
        if target.wanted is not WantedEnd.ENDED:
            return NoWay("a vault gives back no token and no lease")
        if kind == LEASE:
            lease = {"lease_id": value, "sync": True}
            return EndStep(target, KINDS[LEASE].how, (lease, ""))
        accessor = await self._names.accessor(value)
        if accessor is None:
            raise RequestError("gone", GONE, status=OK)
        body = {"accessor": accessor.value}
        return EndStep(target, KINDS[ACCESSOR].how, (body, accessor.namespace))

    async def act(self, step: EndStep) -> ActAnswer:
        """Send it."""
        kind, value = step.target.identifier
        path, method = KINDS[kind].how, "POST"
        if kind == ENTITY:
            path = ENTITIES + quote(value, safe="")
        elif kind == LEASE:
            method = "PUT"
        body, where = step.data
        answer = await self._asked.call(method, path, body, where)
        done = answer.status in (OK, 204)
        said = f"status {answer.status} {errors_of(answer)}".strip()
        return ActAnswer(done, said, limited(answer, 0))

    async def probe(self, target: EndTarget) -> Probed:
        """Look it up."""
        kind, value = target.identifier
        if kind == ENTITY:
            found = await self._entity(target)
            if found is None:
                return DEAD
            disabled = found[0].get("disabled")
            if not isinstance(disabled, bool):
                return Probed(Alive.UNKNOWN, UNTOLD)
            return DEAD if disabled else LIVES
        if kind == LEASE:
            answer = await self._asked.call(
                "POST", "sys/leases/lookup", {"lease_id": value}
            )
            told = _told(answer, NO_LEASE)
            # The end of its id tells the root namespace which other one it is of. From
            # within another one, a lease of the root namespace is not found.
            if told is DEAD and not target.seen and (gap := missing_there(self._asked)):
                raise gap
            return told
        accessor = await self._names.accessor(value)
        if accessor is None:
            return Probed(Alive.DEAD, GONE, known_by=self._names.listed())
        return _told(await self._names.looked_up(accessor), NO_ACCESSOR)

    async def children(self, target: EndTarget) -> AsyncIterator[Identifier]:
        """Yield the living tokens of an entity."""
        kind, value = target.identifier
        if kind == ENTITY:
            for name in await self._names.of_entity(value):
                yield Identifier(ACCESSOR, name)

    async def close(self) -> None:
        """Close connections."""
        await self._asked.close()

    async def _entity(self, target: EndTarget) -> tuple[dict[str, Any], str] | None:
        """Entity as the vault has it, with its namespace; None: none has it.

        Raises:
            RequestError: that is not known.
        """
        value = target.identifier.value
        found = await self._entity_in("", value)
        if found is not None:
            return found, ""
        below = await namespaces(self._asked)
        gap = below.gap or (None if target.seen else missing_there(self._asked))
        for where in below.ids:
            try:
                found = await self._entity_in(where, value)
            except RequestError as error:
                gap = gap or unproven(error, where, f"{ENTITIES}*", "read")
                continue
            if found is not None:
                return found, where
        if gap is not None:
            raise gap
        return None

    async def _entity_in(self, where: str, entity: str) -> dict[str, Any] | None:
        path = ENTITIES + quote(entity, safe="")
        try:
            return await self._asked.data("GET", path, namespace=where)
        except RequestError as error:
            if says_none(error.answer):
                return None
            raise


def _told(answer: HttpAnswer, dead: str) -> Probed:
    """Read an answer to a look-up; ``dead`` is what is said of a dead one."""
    if answer.status == OK:
        return LIVES
    said = errors_of(answer)
    if dead in said:
        return DEAD
    asked = limited(answer, 0)
    text = f"status {answer.status} {said}".strip()
    return Probed(Alive.UNKNOWN, text, asked, answered=answer.status < SERVER_ERROR)
