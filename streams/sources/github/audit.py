"""What the events of GitHub's audit log do, and what they presented."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from streams.model.records import Access
from streams.sources.reading.fields import identifier, named, number, requires, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents_registry.identifiers import Identifier
    from streams.model.records import Lifecycle, Outcome
    from streams.sources.reading.dialect import DialectEvent

HASHED: Final = "github.hashed_token"
Keyed = Callable[[bytes], str]
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_SHA256: Final = 32
_REFUSED: Final = ("401", "403")
_TOKEN_ENDINGS: Final = {
    "personal_access_token.destroy", "oauth_access.destroy", "oauth_access.revoke",
}  # fmt: skip
# An organisation can grant again what it took from a token, and a deleted key can be
# added again, under the same id.
_REVERSIBLE: Final = {
    "personal_access_token.access_revoked": ("suspend", "access"),
    "personal_access_token.access_granted": ("restore", "access"),
    "integration_installation.suspend": ("suspend", "suspended"),
    "integration_installation.unsuspend": ("restore", "suspended"),
    "public_key.delete": ("suspend", "deleted"),
    "public_key.create": ("restore", "deleted"),
}
CHANGES: Final = {
    *_TOKEN_ENDINGS, *_REVERSIBLE, "oauth_authorization.destroy",
    "oauth_application.revoke_tokens", "oauth_application.destroy",
    "integration_installation.destroy", "org.remove_member",
}  # fmt: skip


# In these the token is the one that the action is about.
_ABOUT_TOKENS: Final = (
    "personal_access_token.", "oauth_access.", "oauth_authorization."
)  # fmt: skip


def token_digest(value: Any) -> bytes | None:
    """SHA-256 of a token, from base64 or hex; else the text's own bytes."""
    written = text(value)
    if written is None:
        return None
    if _HEX.fullmatch(written):
        return bytes.fromhex(written)
    try:
        padded = written.rstrip("=") + "=" * (-len(written.rstrip("=")) % 4)
        raw = b64decode(padded.translate({45: "+", 95: "/"}), validate=True)
    except (Base64Error, ValueError):
        raw = b""
    return raw if len(raw) == _SHA256 else written.encode(errors="replace")


def _field(seen: DialectEvent, *names: str) -> str | None:
    return next((one for one in (number(seen.body.get(n)) for n in names) if one), None)


def tokens_of(seen: DialectEvent, keyed: Sequence[Keyed]) -> tuple[Identifier, ...]:
    """Name the token of an event: by its id, and by its hash once that is keyed."""
    digest = token_digest(seen.body.get("hashed_token"))
    hashes = [] if digest is None else [key(digest) for key in keyed]
    return named(
        identifier("github.token", _field(seen, "token_id")),
        *(identifier(HASHED, each) for each in hashes),
    )


def _programmatic(seen: DialectEvent) -> Identifier | None:
    value = _field(seen, "user_programmatic_access_id")
    return identifier("github.programmatic_access", value)


def actor_of(body: dict[str, Any]) -> tuple[Identifier, ...]:
    """Actor, by id."""
    return named(identifier("github.user", number(body.get("actor_id"))))


def changes_of(
    seen: DialectEvent, tokens: tuple[Identifier, ...]
) -> Iterator[Lifecycle]:
    """Return the changes of an event in CHANGES: what it ends, limits or gives back."""
    action = seen.event_type
    owner = text(seen.body.get("user")) or text(seen.body.get("actor"))
    if action == "org.remove_member":
        person = identifier("github.user", _field(seen, "user_id"))
        yield seen.change(None, person, reason="signal", owner=text(owner))
        return
    effect, aspect = _REVERSIBLE.get(action, ("revoke", ""))
    if action == "oauth_application.revoke_tokens":
        effect = "not_before"  # the application itself goes on
    elif action == "oauth_application.destroy":
        effect = "delete_subject"
    for names in _targets(seen, tokens) or ((),):
        yield seen.change(effect, *names, aspect=aspect, owner=owner)


def _targets(
    seen: DialectEvent, tokens: tuple[Identifier, ...]
) -> list[tuple[Identifier, ...]]:
    """Names of each node that an event is about."""
    action = seen.event_type
    if action.startswith("integration_installation."):
        value = _field(seen, "installation_id", "integration_installation_id")
        found = [named(identifier("github.installation", value))]
    elif action.startswith("public_key."):
        value = text(seen.body.get("fingerprint"))
        found = [named(identifier("github.public_key", value))]
    elif action.startswith("oauth_application."):
        value = _field(seen, "oauth_application_id")
        found = [named(identifier("github.oauth_app", value))]
    elif action == "oauth_authorization.destroy":
        found = [named(_authorization(seen, "user_id", "actor_id")), tokens]
    else:
        found = [named(_programmatic(seen)), tokens]
    return [names for names in found if names]


def _authorization(seen: DialectEvent, *people: str) -> Identifier | None:
    app, person = _field(seen, "oauth_application_id"), _field(seen, *people)
    if app is None or person is None:
        return None
    return identifier("github.app_authorization", f"{app}/{person}")


def access_of(seen: DialectEvent, tokens: tuple[Identifier, ...]) -> Access | None:
    """Access of an action that was done with a token."""
    action = seen.event_type
    if not tokens or (action in CHANGES and action.startswith(_ABOUT_TOKENS)):
        return None
    code = seen.body.get("status_code")
    outcome: Outcome = "denied" if number(code) in _REFUSED else "allowed"
    owner = text(seen.body.get("actor"))
    return Access(
        seen.source, seen.event_id, seen.event_type, seen.time, tokens, seen.offset,
        outcome,
        requires(
            *actor_of(seen.body), _programmatic(seen),
            _authorization(seen, "actor_id"),
            identifier("github.oauth_app", _field(seen, "oauth_application_id")),
        ),
        owner, seen.actor,
        reason=f"code {code}" if outcome == "denied" else None,
        point=f"github:{text(seen.body.get('org')) or 'unknown'}",
        address=text(seen.body.get("actor_ip")),
        user_agent=text(seen.body.get("user_agent")),
    )  # fmt: skip
