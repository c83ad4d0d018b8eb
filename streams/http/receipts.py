"""Receipts as guards send them over the feed: read, checked, and handed to closure.

A guard whose public key the settings list must sign its receipts (compact JWS, RFC
7515, with EdDSA, RFC 8037). What is unsigned then, or signed by another key, is
counted and changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

import jwt
import orjson
from attrs import define, field
from jwt.types import SigOptions

from agents_registry.secret_shapes import has_secret
from streams.stages.closure.closure import GuardMode, Registration
from streams.stages.closure.guard_names import NameRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from streams.services.feed_ports import GuardRoll
    from streams.stages.closure.guard_names import Bearer, GuardKeys

MILLISECOND: Final = 1_000_000
LONGEST_LEASE: Final = 24 * 3600 * 1000  # ms
LONGEST_NAME: Final = 128
MOST_ROUTES: Final = 1000


class ReceiptError(ValueError):
    """A receipt cannot be used; the text says why."""


@define(eq=False)
class Session:
    """One connection of a registered guard.

    Attributes:
        end: cuts the connection.
        sequence: of the last receipt; an older one was sent before.
        heard: when it last sent anything (ns, closure's clock).
    """

    guard: str
    instance: str
    end: Callable[[], None]
    sequence: int
    heard: int


@define
class ReceiptIntake:
    """The connections of registered guards, and what closure hears of them.

    Attributes:
        told: gets the name of a guard, its credential, and why it was refused.
        refused: receipts that could not be used, by reason.
    """

    roll: GuardRoll
    keys: GuardKeys[Ed25519PublicKey]
    boottime: Callable[[], int]
    told: Callable[[str, str, str], None]
    refused: Counter[str] = field(factory=Counter)
    _sessions: dict[str, list[Session]] = field(
        factory=lambda: defaultdict(list), init=False
    )

    def __attrs_post_init__(self) -> None:
        """Cut the connections of guards that are no members any more.

        They register anew before they get another pong.
        """
        self.roll.departed.append(self._cut)

    def _cut(self, guard: str) -> None:
        for session in self._sessions.pop(guard, ()):
            session.end()

    def admit(self, guard: str, bearer: Bearer) -> None:
        """Check that a credential may use a guard's name, whether it reports or not.

        Raises:
            ReceiptError: it is another's.
        """
        try:
            self.roll.names.check(guard, bearer)
        except NameRefusedError as error:
            raise self._name_refusal(guard, bearer, error) from error

    async def open(
        self, guard: str, bearer: Bearer, receipt: Any, end: Callable[[], None]
    ) -> Session:
        """Register a guard; on return it is a member, and that is on disk.

        Args:
            guard: the name in its hello.
            bearer: its credential.
            receipt: with the status ``registered``.
            end: cuts the connection.

        Raises:
            ReceiptError: it is refused.
        """
        plain = self._read(guard, receipt, "registered")
        terms = self._terms(guard, plain)
        instance = self._text(plain, "instance")
        now = self.boottime()
        sessions = self._sessions.get(guard, [])
        others = [each for each in sessions if each.instance != instance]
        known = self.roll.lease(guard)
        if any(now - each.heard < max(terms.lease, known) for each in others):
            raise self._refusal("name_in_use", f"another {guard} is connected")
        for other in others:
            other.end()
        session = Session(guard, instance, end, plain["sequence"], now)
        self._sessions[guard].append(session)
        try:
            await self.roll.register(terms, bearer, session)
        except BaseException as error:
            self.close(session)
            if isinstance(error, LookupError):
                raise self._refusal("left", "it left meanwhile") from error
            if isinstance(error, NameRefusedError):
                raise self._name_refusal(guard, bearer, error) from error
            raise
        return session

    def heard(self, session: Session) -> None:
        """Note that a connection's guard sent something."""
        session.heard = self.boottime()
        self.roll.heard(session.guard)

    def since(self, session: Session) -> tuple[int | None, int]:
        """Since when a guard is a member without a break, and its lease (ns)."""
        return self.roll.since(session.guard), self.roll.lease(session.guard)

    def take(self, session: Session, receipt: Any) -> None:
        """Take what a guard applied; what cannot be used is counted alone."""
        try:
            plain = self._next(session, receipt, "applied")
            genesis, applied = (
                self._text(plain, "genesis"),
                self._number(plain, "applied"),
            )
        except ReceiptError:
            return
        sent_at = plain.get("sent_at")
        if type(sent_at) is not int:
            sent_at = None  # not all guards say it
        self.roll.applied(session, genesis, applied, sent_at)

    def goodbye(self, session: Session, receipt: Any) -> None:
        """Let a guard go that allows nothing any more."""
        try:
            self._next(session, receipt, "goodbye")
        except ReceiptError:
            return
        self.roll.leave(session)

    def close(self, session: Session) -> None:
        """Forget a connection; its guard stays a member."""
        sessions = self._sessions.get(session.guard, [])
        if session in sessions:
            sessions.remove(session)
        if not sessions:
            self._sessions.pop(session.guard, None)
            self.roll.parted(session.guard)

    def _next(self, session: Session, receipt: Any, status: str) -> dict[str, Any]:
        plain = self._read(session.guard, receipt, status)
        if plain.get("instance") != session.instance:
            raise self._refusal("other_instance", "another process sent it")
        if plain["sequence"] <= session.sequence:
            raise self._refusal("repeated", "it was sent before")
        session.sequence = plain["sequence"]
        return plain

    def _read(self, guard: str, receipt: Any, status: str) -> dict[str, Any]:
        plain = receipt
        key = self.keys.key(guard)
        if key is None and self.keys.required:
            raise self._refusal("unsigned", f"{guard} has no key in guard_keys")
        if isinstance(receipt, str):
            plain = self._unpacked(receipt, key)
        elif key is not None:
            raise self._refusal("unsigned", f"receipts of {guard} must be signed")
        if not isinstance(plain, dict):
            raise self._refusal("malformed", "a receipt is an object")
        if plain.get("guard") != guard or plain.get("status") != status:
            raise self._refusal("malformed", f"not {status} of {guard}")
        self._number(plain, "sequence")
        return plain

    def _unpacked(self, receipt: str, key: Ed25519PublicKey | None) -> Any:
        """Content of a JWS; without a key to check it, as if it were unsigned."""
        options = SigOptions(verify_signature=key is not None)
        try:
            payload = jwt.PyJWS().decode(
                receipt, key=key or "", algorithms=["EdDSA"], options=options
            )
            return orjson.loads(payload)
        except jwt.InvalidSignatureError as error:
            text = "it is not signed with the guard's key"
            raise self._refusal("wrongly_signed", text) from error
        except (jwt.InvalidTokenError, ValueError) as error:
            raise self._refusal("malformed", str(error)) from error

    def _terms(self, guard: str, plain: dict[str, Any]) -> Registration:
        lease = self._number(plain, "lease_ms")
        routes = plain.get("routes", [])
        live = plain.get("live_sessions", False)
        if not 0 < lease <= LONGEST_LEASE:
            raise self._refusal("malformed", "lease_ms is out of range")
        if not isinstance(live, bool):
            raise self._refusal("malformed", "live_sessions is true or false")
        if (
            not isinstance(routes, list)
            or len(routes) > MOST_ROUTES
            or not all(isinstance(each, str) for each in routes)
            or any(map(has_secret, routes))
        ):
            raise self._refusal("malformed", "routes is a list of names")
        try:
            mode = GuardMode(plain.get("mode"))
        except ValueError as error:
            raise self._refusal("malformed", "mode is unknown") from error
        return Registration(guard, lease * MILLISECOND, mode, live, tuple(routes))

    def _text(self, plain: dict[str, Any], name: str) -> str:
        value = plain.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
            raise self._refusal("malformed", f"{name} is a short text")
        return value

    def _number(self, plain: dict[str, Any], name: str) -> int:
        value = plain.get(name)
        if type(value) is not int or value < 0:
            raise self._refusal("malformed", f"{name} is a natural number")
        return value

    def _name_refusal(
        self, guard: str, bearer: Bearer, error: NameRefusedError
    ) -> ReceiptError:
        self.told(guard, bearer.name, str(error))
        return self._refusal(error.reason, str(error))

    def _refusal(self, reason: str, text: str) -> ReceiptError:
        self.refused[reason] += 1
        return ReceiptError(text)
