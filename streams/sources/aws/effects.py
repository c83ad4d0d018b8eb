"""What IAM and STS calls do to authority, call by call.

Each function reads one successful call and gives its lifecycle record, or None when
the call changes nothing after all. A record without identifiers is a change whose
target cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from agents_registry.facts import Relation
from streams.model.records import Lifecycle, Parent
from streams.model.times import sound_time
from streams.sources.aws.identity import AwsCaller, principal_of, user
from streams.sources.reading.fields import identifier, mapping, requires, text

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier

QUARANTINE: Final = "AWSCompromisedKeyQuarantine"
OLDER_SESSIONS: Final = "AWSRevokeOlderSessions"


class AwsCall(NamedTuple):
    """One successful call, ready to be read."""

    source: str
    event: dict[str, Any]
    caller: AwsCaller
    event_id: str | None
    event_type: str
    time: int | None
    offset: int

    @property
    def request(self) -> dict[str, Any]:
        """RequestParameters, empty where there are none."""
        return mapping(self.event.get("requestParameters"))

    @property
    def response(self) -> dict[str, Any]:
        """ResponseElements, empty where there are none."""
        return mapping(self.event.get("responseElements"))

    def user(self, name: Any) -> Identifier | None:
        """Name a user of the caller's account; without a name it is the caller."""
        if not text(name):
            return self.caller.principal
        return user(*self._account(), name)

    def role(self) -> Identifier | None:
        """Name the role of the request, given by name or by ARN."""
        named = text(self.request.get("roleName"))
        if named:
            partition, account = self._account()
            return principal_of(f"arn:{partition}:iam::{account}:role/{named}")
        assumed = mapping(self.response.get("assumedRoleUser")).get("arn")
        return principal_of(self.request.get("roleArn")) or principal_of(assumed)

    def change(
        self, effect: str, target: Identifier | None, **values: Any
    ) -> Lifecycle:
        """Record of an effect on a target."""
        return Lifecycle(
            source=self.source,
            event_id=self.event_id,
            event_type=self.event_type,
            effect=effect,
            occurred_at=self.time,
            identifiers=() if target is None else (target,),
            offset=self.offset,
            actor=self.caller.actor,
            outcome="allowed",
            **values,
        )

    def created(self) -> tuple[Parent, ...]:
        """Caller's key as administrative creator, never as lineage."""
        if self.caller.service is not None:
            return ()
        return tuple(
            Parent(*key, Relation.CREATED_BY) for key in self.caller.credential
        )

    def _account(self) -> tuple[str, str]:
        identity = mapping(self.event.get("userIdentity"))
        arn = (text(identity.get("arn")) or "").split(":")
        account = text(self.event.get("recipientAccountId")) or text(
            identity.get("accountId")
        )
        return (arn[1] if len(arn) > 1 else "aws"), account or ""


Mapping = Callable[[AwsCall], Lifecycle | None]


def _create_access_key(call: AwsCall) -> Lifecycle:
    key = mapping(call.response.get("accessKey"))
    name = text(key.get("userName")) or text(call.request.get("userName"))
    owner = call.user(name)
    return call.change(
        "issue",
        identifier("aws.access_key", key.get("accessKeyId")),
        parents=requires(owner) + call.created(),
        owner=name or call.caller.owner,
        owners=() if owner is None else (owner,),
    )


def _update_access_key(call: AwsCall) -> Lifecycle | None:
    status = (text(call.request.get("status")) or "").casefold()
    effect = {"inactive": "suspend", "active": "restore"}.get(status)
    if effect is None:
        return None
    return call.change(effect, _requested_key(call), aspect="status", **_owner(call))


def _delete_access_key(call: AwsCall) -> Lifecycle:
    return call.change("revoke", _requested_key(call), **_owner(call))


def _requested_key(call: AwsCall) -> Identifier | None:
    return identifier("aws.access_key", call.request.get("accessKeyId"))


def _owner(call: AwsCall) -> dict[str, str | None]:
    return {"owner": text(call.request.get("userName")) or call.caller.owner}


def _delete_user(call: AwsCall) -> Lifecycle:
    name = text(call.request.get("userName"))
    return call.change("delete_subject", call.user(name) if name else None, owner=name)


def _create_login_profile(call: AwsCall) -> Lifecycle:
    profile = mapping(call.response.get("loginProfile"))
    name = text(profile.get("userName")) or text(call.request.get("userName"))
    owner = call.user(name)
    return call.change(
        "issue",
        login_profile(owner),
        parents=requires(owner) + call.created(),
        owner=name or call.caller.owner,
        owners=() if owner is None else (owner,),
    )


def _delete_login_profile(call: AwsCall) -> Lifecycle:
    owner = call.user(call.request.get("userName"))
    return call.change("revoke", login_profile(owner), **_owner(call))


def login_profile(owner: Identifier | None) -> Identifier | None:
    """Name the console password of a user: the user's ARN under its own kind."""
    if owner is None or owner.kind != "aws.user":
        return None
    return identifier("aws.login_profile", owner.value)


def _delete_role(call: AwsCall) -> Lifecycle:
    # Live sessions of a deleted role run to their expiry at AWS.
    return call.change("delete_subject", call.role(), reason="source_still_honours")


def _put_role_policy(call: AwsCall) -> Lifecycle | None:
    """Read the IAM console's "Revoke active sessions" (IAM user guide, same title)."""
    named = call.request.get("policyName") == OLDER_SESSIONS
    denies, moment = _older_sessions(call.request.get("policyDocument"))
    if not named and not (denies and moment is not None):
        return None
    return call.change("not_before", call.role(), not_before=moment)


def _older_sessions(document: Any) -> tuple[bool, int | None]:
    """Whether a policy denies everything to older sessions, and up to when."""
    try:
        policy = mapping(orjson.loads(document) if type(document) is str else document)
    except orjson.JSONDecodeError:
        return False, None
    statements = policy.get("Statement")
    denies, moments = False, []
    for statement in statements if type(statements) is list else [statements]:
        rule = mapping(statement)
        action = rule.get("Action")
        if rule.get("Effect") != "Deny" or "*" not in (action, *_listed(action)):
            continue
        denies = True
        for operator, test in mapping(rule.get("Condition")).items():
            if operator.casefold().startswith("datelessthan"):
                moments += [_moment(mapping(test), key) for key in mapping(test)]
    known = [moment for moment in moments if moment is not None]
    return denies, max(known, default=None)


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _moment(test: dict[str, Any], key: str) -> int | None:
    if key.casefold() != "aws:tokenissuetime":
        return None
    value = test[key]
    return sound_time(value[0] if type(value) is list and value else value)


def _attach_user_policy(call: AwsCall) -> Lifecycle | None:
    """Read the quarantine that AWS attaches when it finds a key in public."""
    policy = text(call.request.get("policyArn")) or ""
    name = policy.rsplit("/", 1)[-1]
    if not name.startswith(QUARANTINE):
        return None
    named = call.request.get("userName")
    return call.change("leak", call.user(named), reason=name, **_owner(call))


def _new_session(call: AwsCall) -> Lifecycle:
    """Read AssumeRole and its kin: the session requires who asked and its role."""
    caller, credentials = call.caller, mapping(call.response.get("credentials"))
    asked: tuple[Identifier | None, ...] = caller.credential
    if caller.service is not None:
        # The key is the service's, the authority that of the user or role it serves.
        asked = (caller.service, caller.principal)
    elif not asked:
        asked = tuple(parent.identifier for parent in caller.parents)
    federated = mapping(call.response.get("federatedUser")).get("arn")
    return call.change(
        "issue",
        identifier("aws.access_key", credentials.get("accessKeyId")),
        parents=requires(*asked, call.role(), principal_of(federated)),
        owner=_session_owner(call),
        expires_at=sound_time(credentials.get("expiration")),
    )


def _session_owner(call: AwsCall) -> str | None:
    """Person or workload behind a session: source identity, owner tag, else caller."""
    tags = call.request.get("tags")
    tagged = (
        text(mapping(tag).get("value"))
        for tag in (tags if type(tags) is list else ())
        if (text(mapping(tag).get("key")) or "").casefold() == "owner"
    )
    return (
        text(call.request.get("sourceIdentity"))
        or next(tagged, None)
        or call.caller.owner
    )


_IAM: Final[dict[str, Mapping]] = {
    "CreateAccessKey": _create_access_key,
    "UpdateAccessKey": _update_access_key,
    "DeleteAccessKey": _delete_access_key,
    "DeleteUser": _delete_user,
    "CreateLoginProfile": _create_login_profile,
    "DeleteLoginProfile": _delete_login_profile,
    "DeleteRole": _delete_role,
    "PutRolePolicy": _put_role_policy,
    "AttachUserPolicy": _attach_user_policy,
}
_STS: Final[dict[str, Mapping]] = dict.fromkeys(
    (
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "GetFederationToken",
        "GetSessionToken",
    ),
    _new_session,
)
EFFECTS: Final[dict[tuple[Any, Any], Mapping]] = {
    ("iam.amazonaws.com", name): read for name, read in _IAM.items()
} | {("sts.amazonaws.com", name): read for name, read in _STS.items()}
