"""Access keys, passwords, users and roles of an account: how each of them is ended.

Rules:

- An access key is made inactive, and active again after a lift. What ends it for good
  deletes it where the settings say so: an inactive key can be looked into later.
- Temporary credentials cannot be ended alone. An inline policy of their user or role
  denies everything to those that are older than a time (`aws:TokenIssueTime`), as the
  console does to revoke sessions. A later time replaces an earlier one, never the
  reverse.
- What ends a user or a role for good, or suspends it, denies it everything. Keys and
  the password of a user are its children, and are ended too.
- No policy ends a user's keys and its password up to a time: requests with a key have
  no `aws:TokenIssueTime`, and a password gives new sessions. So the older ones are
  ended with the policy, by the date that IAM has of each; newer ones are left alone.
- That something is suspended is no proof of an end up to a time: a lift gives it back.
- Of a user or role that is gone nothing is known of its temporary credentials: they
  count as alive for as long as any may live (36 hours).
- A look proves what IAM has stored. IAM is eventually consistent: a stored policy may
  take minutes to act everywhere.

Source: IAM API reference (UpdateAccessKey, DeleteAccessKey, ListAccessKeys,
GetAccessKeyLastUsed, Put-, Get- and DeleteRolePolicy, the same of users, Get- and
DeleteLoginProfile); STS API reference (GetAccessKeyInfo);
IAM user guide, "Revoke IAM role temporary security credentials", "Disabling
permissions for temporary security credentials".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from agents_registry.identifiers import Identifier
from streams.actuators.aws.iam import Iam, action, text
from streams.actuators.aws.policies import (
    ALL,
    OLDER,
    covers,
    denies_all,
    everything,
    older_than,
)
from streams.actuators.ways import Look, Way, alive, dead, never, unknown
from streams.model.endings import Alive, Ending, WantedEnd
from streams.model.times import SECOND, sound_time
from streams.outbound.answers import OK, RequestError
from streams.sources.aws.effects import login_profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from streams.actuators.calls import Call, IssuerApi
    from streams.model.endings import EndTarget

KEY: Final = "aws.access_key"
USER: Final = "aws.user"
ROLE: Final = "aws.role"
PASSWORD: Final = "aws.login_profile"  # noqa: S105 - a kind
SETTLES: Final = 30.0  # seconds
LONGEST: Final = 36 * 3600 * SECOND  # life of temporary credentials
INACTIVE: Final = "Inactive"
TEMPORARY: Final = (
    "AWS cannot end temporary credentials: end their role or user up to a time"
)
ROOT: Final = "AWS lets nobody deny anything to the root user; its owner must act"
ELSEWHERE: Final = "it is of another account, or of another type than its kind"


class AwsWay(Way):
    """A way in one account, for what is a user or a role.

    Args:
        account: its number; empty: it is not checked.
    """

    noun: ClassVar[str]

    def __init__(self, account: str) -> None:
        self._account = account

    def name_of(self, name: Identifier) -> str:
        """Name of a user or role; empty where it is of another account, or root."""
        parts = name.value.split(":", 5)
        if len(parts) < 6 or parts[2] != "iam":  # noqa: PLR2004 - an ARN
            return ""
        if not parts[5].startswith(f"{self.noun.lower()}/"):
            return ""  # a user may have the name of a role
        ours = not self._account or parts[4] == self._account
        return parts[5].rsplit("/", 1)[-1] if ours else ""

    def why_not(self, name: Identifier) -> Look:
        """Look at what has no name here."""
        return never(ROOT if name.value.endswith(":root") else ELSEWHERE)


class AwsKeyWay(Way):
    """A long-lived access key.

    Args:
        account: whose keys it ends.
        sts: tells whose a key is, also of one that is gone.
        sessions: ends temporary keys, with their role or user.
        delete: an inactive key that is to end for good is deleted.
    """

    ending: ClassVar[Ending] = Ending(
        "make the access key inactive", suspends=True, settles=SETTLES, above=True
    )

    def __init__(
        self, account: str, sts: IssuerApi, sessions: Way, *, delete: bool
    ) -> None:
        self._account = account
        self._sts = sts
        self._sessions = sessions
        self._delete = delete

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """List the keys of its user, whom IAM names."""
        iam, key = Iam(api), target.identifier.value
        if key.startswith("ASIA"):
            return await self._sessions.look(api, target)
        used = await iam.look("GetAccessKeyLastUsed", AccessKeyId=key)
        if used is None:
            return await self._gone(key)
        user = text(used, "UserName")
        async for one in iam.members("ListAccessKeys", UserName=user):
            if one.get("AccessKeyId") == key:
                return self._seen(target, user, one.get("Status", ""))
        return dead("its user has no such key any more")

    async def _gone(self, key: str) -> Look:
        found = await Iam(self._sts).look("GetAccessKeyInfo", AccessKeyId=key)
        if found is None or text(found, "Account") != self._account:
            return never(ELSEWHERE)
        return dead("the account has no such key any more")

    def _seen(self, target: EndTarget, user: str, status: str) -> Look:
        for_good = self._delete and target.wanted is WantedEnd.ENDED
        state = Alive.DEAD if status == INACTIVE and not for_good else Alive.ALIVE
        return Look(state, f"the key is {status}", {"user": user, "status": status})

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Make it inactive, or active again; delete it where it is to end for good."""
        which = {"UserName": found["user"], "AccessKeyId": target.identifier.value}
        if target.wanted is WantedEnd.RESTORED:
            yield action("UpdateAccessKey", **which, Status="Active")
            return
        for_good = self._delete and target.wanted is WantedEnd.ENDED
        yield from end_key(which, found["status"], delete=for_good)


def end_key(which: Mapping[str, str], status: str, *, delete: bool) -> Iterable[Call]:
    """Yield the calls that end a key: deleted only once it is inactive."""
    if status != INACTIVE:
        yield action("UpdateAccessKey", **which, Status=INACTIVE)
    if delete:
        yield action("DeleteAccessKey", **which)


def is_older(name: str, created: str | None, since: int) -> bool:
    """Whether something was made up to a time (ns); IAM tells of whole seconds.

    Raises:
        RequestError: IAM does not tell when.
    """
    made = sound_time(created)
    if made is None:
        said = f"{name}: the answer does not tell when it was made"
        raise RequestError("strange", said, status=OK)
    return made <= since


class AwsPolicyWay(AwsWay):
    """A user or a role, whose requests an inline policy denies.

    Args:
        account: as in `AwsWay`.
        clock: gives the time (ns).
    """

    def __init__(self, account: str, clock: Callable[[], int]) -> None:
        super().__init__(account)
        self._clock = clock

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the policy, if there is one."""
        iam, name = Iam(api), self.name_of(target.identifier)
        if not name:
            return self.why_not(target.identifier)
        if await iam.look(f"Get{self.noun}", **{f"{self.noun}Name": name}) is None:
            return self._gone(target)
        if target.not_before is not None:
            return await self.dated(iam, name, target.not_before)
        if denies_all(await self._policy(iam, name, ALL)):
            return Look(Alive.DEAD, "a policy denies everything", {"name": name})
        return alive("no policy of ours denies it", name=name)

    async def dated(self, iam: Iam, name: str, since: int) -> Look:
        """Look at what was issued up to a time (ns)."""
        if covers(await self._policy(iam, name, OLDER), since):
            return dead("a policy denies the older sessions")
        return alive("no policy of ours denies the older sessions", name=name)

    async def _policy(self, iam: Iam, name: str, policy: str) -> str:
        which = {f"{self.noun}Name": name, "PolicyName": policy}
        found = await iam.look(f"Get{self.noun}Policy", **which)
        return "" if found is None else text(found, "PolicyDocument")

    def _gone(self, target: EndTarget) -> Look:
        since = target.not_before
        if since is not None and self._clock() - since > LONGEST:
            return dead("it is gone, and so is all that was issued to it")
        return unknown("it is gone, and AWS may honour its temporary credentials")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Write the policy, or take it away."""
        which, since = {f"{self.noun}Name": found["name"]}, target.not_before
        if target.wanted is WantedEnd.RESTORED:
            yield action(f"Delete{self.noun}Policy", **which, PolicyName=ALL)
        elif since is None:
            which |= {"PolicyName": ALL, "PolicyDocument": everything()}
            yield action(f"Put{self.noun}Policy", **which)
        else:
            which |= {"PolicyName": OLDER, "PolicyDocument": older_than(since)}
            yield action(f"Put{self.noun}Policy", **which)


class AwsRoleWay(AwsPolicyWay):
    """A role."""

    noun = "Role"
    ending: ClassVar[Ending] = Ending(
        "deny the role's older sessions by a policy",
        suspends=True, dated=True, settles=SETTLES,
    )  # fmt: skip


class AwsUserWay(AwsPolicyWay):
    """A user, with its keys and its password.

    Args:
        account: as in `AwsWay`.
        clock: as in `AwsPolicyWay`.
        delete: as in `AwsKeyWay`; of keys from before the time of an end.
    """

    noun = "User"
    ending: ClassVar[Ending] = Ending(
        "deny the user by a policy",
        mints=True, suspends=True, dated=True, settles=SETTLES,
    )  # fmt: skip

    def __init__(self, account: str, clock: Callable[[], int], *, delete: bool) -> None:
        super().__init__(account, clock)
        self._delete = delete

    async def dated(self, iam: Iam, name: str, since: int) -> Look:
        """Look at its sessions, and at what is older and that no policy denies."""
        sessions = await super().dated(iam, name, since)
        keys = await self._older_keys(iam, name, since)
        password = await self._older_password(iam, name, since)
        found = {
            "a key": bool(keys), "the password": password,
            "sessions": sessions.alive is not Alive.DEAD,
        }  # fmt: skip
        if not any(found.values()):
            return dead(f"{sessions.reason}, and no older key or password is left")
        left = " and ".join(each for each, lives in found.items() if lives)
        said = f"from before that time the user has {left}"
        return alive(said, name=name, keys=keys, dated=found)

    async def _older_keys(self, iam: Iam, name: str, since: int) -> dict[str, str]:
        """Status of each key from before a time that is left to be ended."""
        call = "ListAccessKeys"
        keys = [one async for one in iam.members(call, UserName=name)]
        return {
            one["AccessKeyId"]: one.get("Status", "")
            for one in keys
            if is_older(call, one.get("CreateDate"), since)
            and (self._delete or one.get("Status") != INACTIVE)
        }

    async def _older_password(self, iam: Iam, name: str, since: int) -> bool:
        call = "GetLoginProfile"
        found = await iam.look(call, UserName=name)
        return found is not None and is_older(call, text(found, "CreateDate"), since)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """End older keys and an older password first: they give new sessions."""
        which, dated = {"UserName": found["name"]}, found.get("dated", {})
        for key, status in found.get("keys", {}).items():
            named = which | {"AccessKeyId": key}
            yield from end_key(named, status, delete=self._delete)
        if dated.get("the password", False):
            yield action("DeleteLoginProfile", **which)
        if dated.get("sessions", True):
            yield from super().calls(target, found)

    async def children(
        self, api: IssuerApi, target: EndTarget
    ) -> AsyncIterator[Identifier]:
        """Yield its keys, and its password where it has one."""
        iam, name = Iam(api), self.name_of(target.identifier)
        if not name:
            return
        async for one in iam.members("ListAccessKeys", UserName=name):
            yield Identifier(KEY, one["AccessKeyId"])
        password = login_profile(target.identifier)
        if password is not None and await iam.look("GetLoginProfile", UserName=name):
            yield password


class AwsPasswordWay(AwsWay):
    """The password of a user."""

    noun = "User"
    ending: ClassVar[Ending] = Ending("delete the password", settles=SETTLES)

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Ask whether there is one."""
        name = self.name_of(target.identifier)
        if not name:
            return self.why_not(target.identifier)
        found = await Iam(api).look("GetLoginProfile", UserName=name)
        if found is None:
            return dead("the user has no password")
        return alive("the user has a password", name=name)

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Delete it."""
        del target
        yield action("DeleteLoginProfile", UserName=found["name"])
