"""Polls, SCIM and the health of sources where several ingresses write to Kafka."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from attrs import define

from agents_registry.facts import Cause
from streams.apps.ingress import receive
from streams.engines.kafka.client import group_consumer as membership
from streams.engines.kafka.client.group_consumer import GroupConsumer
from streams.settings.server import Settings
from tests.integration.fake_vendors import okta
from tests.integration.scim_directory import call
from tests.integration.serving import Server, until, values
from tests.integration.test_polls import ago, okta_event, polling, rounds
from tests.integration.test_scim_server import ALICE, replace
from tests.integration.test_ssf_health import polled
from tests.integration.test_ssf_push import push
from tests.integration.working import decoded, facts_of, lay_out, task_of
from tests.transmitter import BEARER, transmitting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@define
class Ingress(Server):
    """A running ingress; it has no table and no findings of its own."""

    served: Any = None

    async def source(self, name: str) -> dict[str, Any]:
        """Give the row of a source."""
        _, answer = await self.get("/v1/sources")
        (found,) = [each for each in answer["sources"] if each["name"] == name]
        return dict(found)


@asynccontextmanager
async def ingress(
    folder: Path, kafka: KafkaSettings, name: str, **more: Any
) -> AsyncIterator[Ingress]:
    """Run one in this process."""
    settings = Settings(**values(folder, **more))
    async with (
        task_of(
            lambda stop, told: receive(settings, kafka, name, stop=stop, started=told)
        ) as receiving,
        aiohttp.ClientSession() as session,
    ):
        yield Ingress(receiving.url, session=session)


async def ended(kafka: KafkaSettings) -> set[str]:
    """Give whom the facts end."""
    facts = await facts_of(kafka)
    return {str(fact.target) for fact in facts if isinstance(fact, Cause)}


def suspended(number: int) -> dict[str, Any]:
    """Give an event of Okta."""
    kind = "user.lifecycle.suspend"
    return okta_event(kind, f"u{number}", f"00u{number}", ago(100 - number))


async def test_one_ingress_polls_and_another_goes_on_where_it_stopped(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """A page is never left out, and the cursor spares reading from the start."""
    await lay_out(kafka_settings)
    async with okta() as vendor, AsyncExitStack() as second:
        vendor.events += [suspended(number) for number in range(5)]
        settings = polling(vendor, "okta")
        async with ingress(tmp_path, kafka_settings, "i0", **settings) as first:
            await rounds(vendor)
            other = await second.enter_async_context(
                ingress(tmp_path, kafka_settings, "i1", **settings)
            )
            # The first one alone has read so far; the group decides who goes on.
            taken = await first.source("poll:idp/logs")
        before = len(vendor.asked)
        vendor.events.append(suspended(9))

        async def took_over() -> bool:
            # Of both together: what the first one took, and what came after it.
            return bool((await other.source("poll:idp/logs"))["accepted"] == 6)

        await until(took_over)
        asked = vendor.asked[before:]
        found = await ended(kafka_settings)

    assert {f"okta.user:00u{number}" for number in (*range(5), 9)} == found
    assert (5, "good") == (taken["accepted"], taken["state"])
    assert asked
    assert not [path for path in asked if "since" in path]


async def test_a_directory_may_speak_with_any_ingress(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What one wrote another reads; the facts are there when it is answered."""
    await lay_out(kafka_settings)
    settings = {
        "scim": {"external_kind": "okta.user"},
        "authorities": {
            "stranger": {"grants": [{"kind": "scim.user"}, {"kind": "okta.user"}]},
            "aws": {"grants": []},
        },
    }
    async with (
        ingress(tmp_path, kafka_settings, "i0", **settings) as first,
        ingress(tmp_path, kafka_settings, "i1", **settings) as second,
    ):
        status, made = await call(first, "POST", "Users", ALICE)
        again, _ = await call(second, "POST", "Users", ALICE)
        path = f"Users/{made['id']}"
        change = replace({"active": False})
        changed, _ = await call(second, "PATCH", path, change)
        suspended_now = await ended(kafka_settings)
        _, seen = await call(first, "GET", path)
        gone, _ = await call(first, "DELETE", path)
        missing, _ = await call(second, "GET", path)
        health = await first.source("scim:stranger")
    async with ingress(tmp_path, kafka_settings, "i0", **settings) as first:
        kept = await first.source("scim:stranger")
        still, _ = await call(first, "GET", path)

    assert (201, 409, 200, 204, 404, 404) == (
        status, again, changed, gone, missing, still
    )  # fmt: skip
    assert f"scim.user:{made['id']}" in suspended_now
    assert not seen["active"]
    # Of its own before, and of both processes once they had kept their part.
    assert (2, 3) == (health["accepted"], kept["accepted"])
    assert kept["last_event"]


async def test_a_subject_without_a_name_is_signalled(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """What ingress finds of a source goes to the sentinel, as on the other engine."""
    await lay_out(kafka_settings)
    nameless = okta_event("user.lifecycle.unsuspend", "u1", "00u1", ago(9))
    nameless["target"] = []
    async with okta() as vendor:
        vendor.events.append(nameless)
        settings = polling(vendor, "okta")
        async with ingress(tmp_path, kafka_settings, "i0", **settings) as one:

            async def counted() -> bool:
                return bool((await one.source("poll:idp/logs"))["unmapped"])

            await until(counted)
    (signal,) = [
        each for each in await decoded(kafka_settings, "access") if "kind" in each
    ]

    assert ("unmapped_subject", "source:poll:idp/logs", ["u1"]) == (
        signal["kind"], signal["presented"], signal["event_ids"]
    )  # fmt: skip


async def test_a_verification_may_come_to_another_ingress(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a load balancer the one that asked is not the one that is pushed to."""
    monkeypatch.setenv("SSF_TEST_TOKEN", BEARER)
    await lay_out(kafka_settings)
    async with transmitting() as transmitter:
        once = polled(transmitter, delivery="push", verify_seconds=3600)
        never = polled(transmitter, delivery="push", verify_seconds=0)
        async with (
            ingress(tmp_path, kafka_settings, "i0", **once),
            ingress(tmp_path, kafka_settings, "i1", **never) as second,
        ):
            await until(lambda: transmitter.queue)
            (token,) = transmitter.queue.values()
            guessed = transmitter.about("s1", "verification", {"state": "guessed"})
            refused, _ = await push(second, guessed.encode())
            taken, why = await push(second, token.encode())
            row = await second.source("ssf:idp")

    assert (400, 202) == (refused, taken), why
    assert row["last_verification"]


async def test_who_had_nothing_to_do_takes_over_after_any_time(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member without partitions is idle, and must not be taken for one that hangs."""
    monkeypatch.setattr(membership, "HANGING_MS", 1000)
    member_of = await of_one_partition(kafka_settings)
    members = [member_of() for _ in range(2)]

    async def shared_out() -> bool:
        await asyncio.gather(*map(has_begun, members))
        return sorted(len(each.assigned) for each in members) == [0, 1]

    async def long_after() -> bool:
        return await shared_out() and asyncio.get_running_loop().time() > end

    async def taken() -> bool:
        await idle.poll(0.1)
        return bool(idle.assigned)

    async with AsyncExitStack() as stack:
        for each in members:
            await stack.enter_async_context(each)
        await until(shared_out)
        end = asyncio.get_running_loop().time() + 4.0
        await until(long_after)
        idle, holder = sorted(members, key=lambda each: len(each.assigned))
        await holder.__aexit__(None, None, None)
        await until(taken)


async def test_who_lost_its_place_is_told_so(kafka_settings: KafkaSettings) -> None:
    """Another process joined in its name, which a frozen one does not notice."""
    member_of = await of_one_partition(kafka_settings)
    before, after = (member_of(instance="w0") for _ in range(2))

    async def given_anew(member: GroupConsumer) -> bool:
        asked = asyncio.create_task(member.confirm())
        await asyncio.sleep(0)
        await member.on_partitions_assigned(())
        return await asked

    async with before, AsyncExitStack() as stack:
        await until(lambda: has_begun(before))
        assert await before.confirm()
        await stack.enter_async_context(after)
        await until(lambda: has_begun(after))
        assert await after.confirm()
        assert not await given_anew(after)

        assert not await before.confirm()


async def test_who_was_counted_out_commits_nothing_to_an_empty_group(
    kafka_settings: KafkaSettings,
) -> None:
    """A group without members takes the commits of anybody, over newer ones."""
    member_of = await of_one_partition(kafka_settings)
    frozen, other = (member_of() for _ in range(2))
    async with frozen:
        await until(lambda: has_begun(frozen))
        async with frozen.lock:  # it comes to nothing else, while the group goes on
            coordinator = frozen._consumer._coordinator
            await coordinator._maybe_leave_group()
            async with other:
                await until(lambda: has_begun(other))
                assert await other.commit({0: (50, "other")})

            assert not await frozen.confirm()
            assert not await frozen.commit({0: (7, "frozen")})
        kept = await frozen.committed(0)

    assert kept is not None
    assert (50, "other") == tuple(kept)


async def test_a_doubt_is_there_until_the_group_has_answered(
    kafka_settings: KafkaSettings,
) -> None:
    """A poll after the standstill does not take it away; a commit does."""
    member_of = await of_one_partition(kafka_settings)
    doubts: list[bool] = []
    async with member_of() as member:

        async def stand_still() -> None:
            member._confirmed_at -= 5.1  # half of the session, and more
            await member.poll(0.1)
            doubts.append(member.doubtful)

        await until(lambda: has_begun(member))
        doubts.append(member.doubtful)
        await stand_still()
        assert await member.confirm()
        doubts.append(member.doubtful)
        await stand_still()
        assert await member.commit({0: (0, "")})
        doubts.append(member.doubtful)

    assert [False, True, False, True, False] == doubts


async def of_one_partition(kafka: KafkaSettings) -> Callable[..., GroupConsumer]:
    """Lay out topics of one partition; give what makes members of a group of one."""
    settings = kafka.model_copy(update={"partitions": 1})
    await lay_out(settings)
    topic, group = settings.topic("sources"), settings.group("polls")
    return partial(GroupConsumer, settings, topic, group=group)


async def has_begun(member: GroupConsumer) -> bool:
    """Let a member begin with what it has; tell whether that is something."""
    await member.poll(0.1)
    for number in list(member.fresh):
        member.begin(number, 0)
    return bool(member.begun)
