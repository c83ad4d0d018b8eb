"""Read CloudTrail's userIdentity: which credential was presented, and by whom.

A credential's lineage follows from its use alone: a long-lived key (AKIA) and the
session of a console login require their user, a role session requires its role, a
federated session requires its user and its federated user. Hence a revoked key does
not touch the console sessions of the same person, and a revoked user does.

Source: AWS CloudTrail user guide, "CloudTrail userIdentity element".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from agents_registry.identifiers import Identifier
from streams.model.records import Parent
from streams.model.times import sound_time
from streams.sources.reading.fields import identifier, mapping, requires, text

_HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"
_CACHED: Final = 20_000  # about 2 KB each


class AwsCaller(NamedTuple):
    """Who made a call.

    Attributes:
        credential: the access key presented; empty for services and passwords.
        presented: the same, or the service that acts on its own.
        parents: what the presented credential requires.
        actor: the principal, then the credential.
        principal: the user, role, federated user or service that acts.
        owner: a name for people: source identity, else user or role name.
        service: the AWS service that called in someone's name, or on its own.
        issued_at: when the session was created (ns); None for long-lived keys, whose
            context tells of someone else's session.
    """

    credential: tuple[Identifier, ...] = ()
    presented: tuple[Identifier, ...] = ()
    parents: tuple[Parent, ...] = ()
    actor: tuple[Identifier, ...] = ()
    principal: Identifier | None = None
    owner: str | None = None
    service: Identifier | None = None
    issued_at: int | None = None

    def alone(self) -> tuple[tuple[Identifier, ...], tuple[Parent, ...]]:
        """Return what a call presents that says nothing else, and its parents.

        Where its key is not told the principal stands for it.
        """
        if self.presented or self.principal is None:
            return self.presented, self.parents
        parents = (p for p in self.parents if p.identifier != self.principal)
        return (self.principal,), tuple(parents)


NOBODY: Final = AwsCaller()


def principal_of(arn: Any) -> Identifier | None:
    """User, role or federated user that an ARN names, without its path.

    Roles and users are written with their path in some events and without in
    others; the name alone is unique in the account (IAM guide, "IAM identifiers").
    """
    return _principal(arn) if type(arn) is str else None


@lru_cache(4096)  # a log repeats its principals
def _principal(arn: str) -> Identifier | None:
    parts = arn.split(":", 5)
    if len(parts) != 6:  # noqa: PLR2004 - arn:partition:service:region:account:resource
        return None
    _, partition, service, _, account, resource = parts
    kind, _, name = resource.partition("/")
    if service == "sts" and kind == "assumed-role":
        return role(partition, account, name.split("/")[0])
    if service == "sts" and kind == "federated-user":
        return identifier("aws.federated_user", arn)
    if service == "iam" and resource == "root":
        return identifier("aws.user", arn)
    if service == "iam" and kind in ("user", "role") and name:
        last = name.rsplit("/", 1)[-1]
        named = user if kind == "user" else role
        return named(partition, account, last)
    return None


def user(partition: str, account: str, name: str) -> Identifier | None:
    """Return the identifier of an IAM user of an account."""
    return identifier("aws.user", f"arn:{partition}:iam::{account}:user/{name}")


def role(partition: str, account: str, name: str) -> Identifier | None:
    """Return the identifier of a role of an account."""
    return identifier("aws.role", f"arn:{partition}:iam::{account}:role/{name}")


class AwsCallers:
    """Read userIdentity; remembers what it read, since a log repeats its callers.

    What is remembered is used only for an equal userIdentity: the same event gives
    the same record wherever it stands in the log.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[dict[str, Any], AwsCaller]] = {}

    def of(self, identity: Any) -> AwsCaller:
        """Caller that a userIdentity describes; never raises."""
        if type(identity) is not dict:
            return NOBODY
        get = identity.get
        key = get("accessKeyId") or get("arn") or get("invokedBy")
        try:
            seen, caller = self._known[key]
        except KeyError:
            pass
        except TypeError:  # not hashable, so no text: read it without remembering
            return _caller(identity)
        else:
            if seen == identity:
                return caller
        if len(self._known) >= _CACHED:
            self._known.clear()
        caller = _caller(identity)
        self._known[key] = identity, caller
        return caller


def _issue_time(session: dict[str, Any]) -> int | None:
    # One that cannot be is unknown, which is dead under any not_before.
    return sound_time(mapping(session.get("attributes")).get("creationDate"))


def _caller(identity: dict[str, Any]) -> AwsCaller:
    session = mapping(identity.get("sessionContext"))
    issuer = principal_of(mapping(session.get("sessionIssuer")).get("arn"))
    own = principal_of(identity.get("arn")) or _by_name(identity)
    key = identifier("aws.access_key", identity.get("accessKeyId"))
    service = identifier("aws.service", identity.get("invokedBy"))
    if identity.get("type") == "AWSService":
        alone = () if service is None else (service,)
        name = None if service is None else service.value
        return AwsCaller((), alone, (), alone, service, name, service)
    principal, parents = _lineage(identity, own, issuer)
    credential = () if key is None else (key,)
    temporary = identity.get("type") in ("AssumedRole", "FederatedUser") or (
        key is not None and key.value.startswith("ASIA")
    )
    return AwsCaller(
        credential=credential,
        presented=credential,
        parents=parents,
        actor=(() if principal is None else (principal,)) + credential,
        principal=principal,
        owner=_owner(identity, session),
        service=service,
        issued_at=_issue_time(session) if temporary else None,
    )


def _by_name(identity: dict[str, Any]) -> Identifier | None:
    """Name an IAM user whose ARN is not told, as in failed console logins.

    Where the name typed was no user's, AWS hides it: it may have been a password.
    """
    account, name = text(identity.get("accountId")), text(identity.get("userName"))
    if "arn" in identity or identity.get("type") != "IAMUser":
        return None
    if account is None or name is None or name == _HIDDEN:
        return None
    return user("aws", account, name.rsplit("/", 1)[-1])


def _lineage(
    identity: dict[str, Any], own: Identifier | None, issuer: Identifier | None
) -> tuple[Identifier | None, tuple[Parent, ...]]:
    match identity.get("type"):
        case "WebIdentityUser" | "SAMLUser":
            provider = identifier(
                "aws.identity_provider", identity.get("identityProvider")
            )
            subject = _federated(identity, provider)
            return subject, requires(subject, provider)
        case "AssumedRole":
            return issuer or own, requires(issuer or own)
        case "FederatedUser":
            return own or issuer, requires(issuer, own)
    return own, requires(own)  # IAMUser, Root, AWSAccount, Unknown, ...


def _federated(
    identity: dict[str, Any], provider: Identifier | None
) -> Identifier | None:
    """Name a person of a foreign identity provider: provider, slash, subject."""
    subject = text(identity.get("userName")) or text(identity.get("principalId"))
    if provider is None or subject is None:
        return identifier("aws.federated_user", identity.get("principalId"))
    return identifier("aws.federated_user", f"{provider.value}/{subject}")


def _owner(identity: dict[str, Any], session: dict[str, Any]) -> str | None:
    issuer = mapping(session.get("sessionIssuer"))
    return (
        text(session.get("sourceIdentity"))
        or text(identity.get("userName"))
        or text(issuer.get("userName"))
    )
