"""Make CloudTrail logs with known answers: seeded, of any length, all hand-made.

The world has users with long-lived keys, roles, chains of assumed roles up to six
deep, console sessions, sessions that services ask for, deletions, suspensions,
watermarks and failed calls. Beside the events stands the truth: for every use, which
causes had ended the presented credential by then. The truth comes from a plain walk
over this module's own objects and shares no code with the product.

Each event has its own second, so no use ties with a cause.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson

if TYPE_CHECKING:
    from random import Random

ACCOUNT: Final = "111122223333"
START: Final = 1_767_225_600  # 2026-01-01T00:00:00Z
MAX_DEPTH: Final = 6
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SERVICES: Final = (
    ("s3.amazonaws.com", "GetObject"),
    ("s3.amazonaws.com", "ListBuckets"),
    ("ec2.amazonaws.com", "DescribeInstances"),
    ("dynamodb.amazonaws.com", "GetItem"),
    ("sts.amazonaws.com", "GetCallerIdentity"),
    ("lambda.amazonaws.com", "Invoke20150331"),
)
_DENIALS: Final = ("InvalidClientTokenId", "ExpiredTokenException")
_BY_POLICY: Final = ("AccessDenied", "Client.UnauthorizedOperation")
_FAILURES: Final = ("NoSuchEntityException", "ThrottlingException")


@dataclass(eq=False)
class Thing:
    """A user, role, key or session; `parents` is what it requires."""

    kind: str
    value: str
    parents: list[Thing] = field(default_factory=list)
    issued: int | None = None  # seconds; None: before the log began
    depth: int = 0
    console: bool = False

    def closure(self) -> list[Thing]:
        """Give the thing and all that it requires."""
        seen: dict[int, Thing] = {}
        open_things = [self]
        while open_things:
            thing = open_things.pop()
            if id(thing) not in seen:
                seen[id(thing)] = thing
                open_things += thing.parents
        return list(seen.values())


class Cause(NamedTuple):
    """Something that ended authority: revoke, suspend or not_before."""

    event_id: str
    effect: str
    target: Thing
    at: int
    not_before: int | None = None


class Use(NamedTuple):
    """One presentation, and the ids of the events that had ended it before."""

    event_id: str
    credential: tuple[str, str]
    at: int
    outcome: str
    ended_by: tuple[str, ...]


@dataclass
class World:
    """A log and its truth; `events` stand in the order of their time."""

    random: Random
    events: list[dict[str, Any]] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    issues: int = 0
    users: list[Thing] = field(default_factory=list)
    roles: list[Thing] = field(default_factory=list)
    credentials: list[Thing] = field(default_factory=list)
    clock: int = START

    def ended_by(self, thing: Thing) -> tuple[str, ...]:
        """Name the causes that have ended a credential by now."""
        closure = thing.closure()
        found = []
        for cause in self.causes:
            if cause.effect in ("revoke", "suspend"):
                if any(one is cause.target for one in closure):
                    found.append(cause.event_id)
                continue
            moment = cause.not_before
            assert moment is not None
            found += [
                cause.event_id
                for one in closure
                if one.kind == "aws.access_key"
                and (one.issued is None or one.issued <= moment)
                and any(up is cause.target for up in one.closure())
            ][:1]
        return tuple(found)

    def token(self, length: int) -> str:
        """Give letters as AWS ids have them."""
        return "".join(self.random.choices(_LETTERS, k=length))

    def event(self, service: str, name: str, **values: Any) -> dict[str, Any]:
        """Append an event one second after the last one."""
        self.clock += 1
        number = self.random.getrandbits(128)
        text = f"{number:032x}"
        event = {
            "eventVersion": "1.11",
            "userIdentity": {},
            "eventTime": stamp(self.clock),
            "eventSource": service,
            "eventName": name,
            "awsRegion": "eu-central-1",
            "sourceIPAddress": "198.51.100.7",
            "userAgent": "aws-sdk-go-v2/1.32.3 os/linux lang/go#1.23.1 md/GOOS#linux",
            "requestParameters": None,
            "responseElements": None,
            "requestID": text[::-1],
            "eventID": str(UUID(int=number)),
            "readOnly": True,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
            "tlsDetails": {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": service,
            },
        } | values
        self.events.append(event)
        return event

    def call(
        self, by: Thing, service: str, name: str, error: str = "", **values: Any
    ) -> dict[str, Any]:
        """Append a call by a credential, and the truth about this use."""
        if error:
            values |= {"errorCode": error, "errorMessage": "made up"}
        if by.console:
            values["sessionCredentialFromConsole"] = "true"
        ended = self.ended_by(by)
        event = self.event(service, name, userIdentity=identity(by), **values)
        outcome = "denied" if error in _DENIALS else "allowed"
        use = Use(event["eventID"], (by.kind, by.value), self.clock, outcome, ended)
        self.uses.append(use)
        return event


def stamp(seconds: int) -> str:
    """Write a time as CloudTrail's eventTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def english(seconds: int) -> str:
    """Write a time as CloudTrail's credentials.expiration."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime(f"%b {moment.day}, %Y, {moment.hour % 12 or 12}:%M:%S %p")


def identity(by: Thing) -> dict[str, Any]:
    """Write the userIdentity of a credential."""
    principal = by.parents[-1]
    name = principal.value.rsplit("/", 1)[-1]
    if principal.kind == "aws.user":
        plain = {
            "type": "IAMUser",
            "principalId": f"AIDA{name.upper()}",
            "arn": principal.value.replace(":user/", ":user/staff/"),
            "accountId": ACCOUNT,
            "accessKeyId": by.value,
            "userName": name,
        }
        if not by.console:
            return plain
        return plain | {"sessionContext": {"attributes": session_attributes(by)}}
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{name.upper()}:work",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/work",
        "accountId": ACCOUNT,
        "accessKeyId": by.value,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROA{name.upper()}",
                "arn": principal.value.replace(":role/", ":role/teams/"),
                "accountId": ACCOUNT,
                "userName": name,
            },
            "attributes": session_attributes(by),
        },
    }


def session_attributes(by: Thing) -> dict[str, str]:
    """Write the attributes of a session's context."""
    assert by.issued is not None
    return {"creationDate": stamp(by.issued), "mfaAuthenticated": "false"}


def generate(
    random: Random, count: int, users: int = 20, *, quiet: bool = False
) -> World:
    """Make a world of ``count`` events (or a few more).

    Args:
        random: seeded by the caller.
        count: how many events at least.
        users: how many people; each has a key that is older than the log.
        quiet: no ending at all (for benchmarks of size alone).
    """
    world = World(random)
    for number in range(users):
        user = Thing("aws.user", f"arn:aws:iam::{ACCOUNT}:user/user{number}")
        key = Thing("aws.access_key", f"AKIA{world.token(16)}", [user])
        world.users.append(user)
        world.credentials.append(key)
    world.roles = [
        Thing("aws.role", f"arn:aws:iam::{ACCOUNT}:role/role{number}")
        for number in range(max(3, users // 2))
    ]
    acts = [_use, _assume, _console, _create_key, _by_service, _fail]
    weights: list[float] = [100, 6, 2, 2, 2, 4]
    if not quiet:
        acts += [_end_key, _suspend, _delete_user, _delete_role, _watermark]
        weights += [1.2, 1, 0.3, 0.3, 0.4]
    while len(world.events) < count:
        random.choices(acts, weights)[0](world)
    return world


def _caller(world: World) -> Thing:
    """Choose a credential; young ones are more in use."""
    recent = world.credentials[-200:]
    return world.random.choice(recent)


def _use(world: World) -> None:
    service, name = world.random.choice(_SERVICES)
    error = ""
    if world.random.random() < 0.2:
        error = world.random.choice(_DENIALS + _BY_POLICY)
    world.call(_caller(world), service, name, error)


def _assume(world: World) -> None:
    """Assume a role, rather from a session than from a key: chains get deep."""
    by = max((_caller(world) for _ in range(4)), key=lambda one: one.depth)
    if by.depth < MAX_DEPTH:
        _session(world, [by], by)


def _by_service(world: World) -> None:
    _session(world, [Thing("aws.service", "lambda.amazonaws.com")], None)


def _session(world: World, askers: list[Thing], by: Thing | None) -> None:
    role = world.random.choice(world.roles)
    child = Thing("aws.access_key", f"ASIA{world.token(16)}", [*askers, role])
    child.depth = by.depth + 1 if by else 1
    values: dict[str, Any] = {
        "requestParameters": {"roleArn": role.value, "roleSessionName": "work"},
        "responseElements": {
            "credentials": {
                "accessKeyId": child.value,
                "sessionToken": "PLANTED-SESSION-TOKEN",
                "expiration": english(world.clock + 3600),
            },
        },
    }
    if by is None:
        service = {"type": "AWSService", "invokedBy": askers[0].value}
        world.event("sts.amazonaws.com", "AssumeRole", userIdentity=service, **values)
    else:
        world.call(by, "sts.amazonaws.com", "AssumeRole", **values)
    child.issued = world.clock
    world.issues += 1
    world.credentials.append(child)


def _console(world: World) -> None:
    """Start a console session: it requires its user and no key."""
    user = world.random.choice(world.users)
    session = Thing("aws.access_key", f"ASIA{world.token(16)}", [user], console=True)
    session.issued = world.clock
    world.credentials.append(session)
    world.call(session, *world.random.choice(_SERVICES))


def _create_key(world: World) -> None:
    user = world.random.choice(world.users)
    name = user.value.rsplit("/", 1)[-1]
    key = Thing("aws.access_key", f"AKIA{world.token(16)}", [user])
    created = {"accessKeyId": key.value, "status": "Active", "userName": name}
    world.call(
        _caller(world), "iam.amazonaws.com", "CreateAccessKey",
        requestParameters={"userName": name},
        responseElements={"accessKey": created},
    )  # fmt: skip
    key.issued = world.clock
    world.issues += 1
    world.credentials.append(key)


def _fail(world: World) -> None:
    """Fail to delete or to assume: it changes nothing, whatever the code."""
    key = _caller(world)
    error = world.random.choice(_DENIALS + _BY_POLICY + _FAILURES)
    if world.random.random() < 0.5:
        role = world.random.choice(world.roles)
        world.call(
            _caller(world), "sts.amazonaws.com", "AssumeRole", error,
            requestParameters={"roleArn": role.value},
        )  # fmt: skip
    else:
        world.call(
            _caller(world), "iam.amazonaws.com", "DeleteAccessKey", error,
            requestParameters={"accessKeyId": key.value},
        )  # fmt: skip


def _long_lived(world: World) -> Thing:
    keys = [key for key in world.credentials if key.value.startswith("AKIA")]
    return world.random.choice(keys)


def _admin(world: World, name: str, effect: str, target: Thing, **request: Any) -> None:
    event = world.call(
        _caller(world), "iam.amazonaws.com", name, requestParameters=request
    )
    moment = world.clock if effect == "not_before" else None
    cause = Cause(event["eventID"], effect, target, world.clock, moment)
    world.causes.append(cause)


def _end_key(world: World) -> None:
    key = _long_lived(world)
    owner = key.parents[0].value.rsplit("/", 1)[-1]
    _admin(
        world, "DeleteAccessKey", "revoke", key,
        userName=owner, accessKeyId=key.value,
    )  # fmt: skip


def _suspend(world: World) -> None:
    """Switch a key off, or on again when it is off."""
    key = _long_lived(world)
    held = [c for c in world.causes if c.effect == "suspend" and c.target is key]
    request = {"accessKeyId": key.value, "status": "Active" if held else "Inactive"}
    if held:
        # Not below the key itself: its use would tie with the end of the suspend.
        by = world.random.choice(
            [one for one in world.credentials if key not in one.closure()]
        )
        world.call(
            by, "iam.amazonaws.com", "UpdateAccessKey", requestParameters=request
        )
        for cause in held:
            world.causes.remove(cause)
    else:
        _admin(world, "UpdateAccessKey", "suspend", key, **request)


def _delete_user(world: World) -> None:
    user = world.random.choice(world.users)
    name = user.value.rsplit("/", 1)[-1]
    _admin(world, "DeleteUser", "not_before", user, userName=name)


def _delete_role(world: World) -> None:
    role = world.random.choice(world.roles)
    name = role.value.rsplit("/", 1)[-1]
    _admin(world, "DeleteRole", "not_before", role, roleName=name)


def _watermark(world: World) -> None:
    """Revoke the active sessions of a role, as the console does."""
    role = world.random.choice(world.roles)
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": ["*"],
                "Resource": ["*"],
                "Condition": {
                    "DateLessThan": {"aws:TokenIssueTime": stamp(world.clock + 1)}
                },
            }
        ],
    }
    _admin(
        world, "PutRolePolicy", "not_before", role,
        roleName=role.value.rsplit("/", 1)[-1],
        policyName="AWSRevokeOlderSessions",
        policyDocument=orjson.dumps(document).decode(),
    )  # fmt: skip


def as_lines(events: list[dict[str, Any]]) -> bytes:
    """Write one event a line."""
    return b"".join(orjson.dumps(event) + b"\n" for event in events)


def as_document(events: list[dict[str, Any]]) -> bytes:
    """Write the form of the files in S3, unpacked."""
    return orjson.dumps({"Records": events})


def as_archive(events: list[dict[str, Any]]) -> bytes:
    """Write the form of the files in S3."""
    return gzip.compress(as_document(events), compresslevel=1, mtime=0)
