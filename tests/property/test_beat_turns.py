"""One writer beats for all, and no guard loses its lease by that, whoever is killed."""

from __future__ import annotations

from random import Random

import pytest

from streams.engines.kafka.clock.beat_turns import QUIET, SECOND
from tests.property.beat_worlds import LEASE, SLOWEST, World

pytestmark = pytest.mark.property

WORLDS = 40
SECONDS = 30.0


def world_of(seed: int, writers: int) -> World:
    """Give a world whose guard has a lease."""
    world = World(Random(seed))
    for _ in range(writers):
        world.join()
    world.guard()
    world.run(world.judged)
    assert world.rest() > 0
    return world


@pytest.mark.parametrize("writers", [1, 2, 8, 50])
def test_heartbeats_do_not_grow_with_the_writers(writers: int) -> None:
    """While nothing else happens one of them beats, at every second look."""
    world = world_of(1, writers)
    before = world.beats

    world.run(SECONDS)

    most = SECONDS / QUIET + writers * SECONDS  # and each one a second for its clock
    assert world.beats - before <= most
    assert world.least > LEASE / 4


def test_no_guard_loses_its_lease_when_writers_are_killed() -> None:
    """The one that beats, again and again, as long as another one is left."""
    for seed in range(WORLDS):
        world = world_of(seed, 2 + seed % 5)
        while world.now < SECONDS:
            killed = max(world.writers, key=lambda each: each.turns.last(0))
            killed.alive = False
            world.writers.remove(killed)
            world.join()
            world.run(world.random.uniform(0.6, 2.0))
        assert world.least > 0, seed


def test_no_guard_loses_its_lease_when_no_ingress_is_left() -> None:
    """Workers take over, and let the next one go first again."""
    for seed in range(WORLDS):
        world = world_of(seed, 1)
        worker = world.join(SECOND)
        while world.now < SECONDS:
            ingress = world.writers.pop(0)
            ingress.alive = False
            world.run(world.random.uniform(0.6, 2.0))
            assert worker.turns.last(0) > world.now - LEASE / 2
            world.writers.insert(0, world.join())
            del world.writers[-1]
            world.run(world.random.uniform(0.6, 2.0))
        assert world.least > 0, seed


def test_workers_beat_only_for_their_clocks_while_an_ingress_does() -> None:
    """In an upgrade guards read the heartbeats of ingress, the last that is new."""
    world = world_of(1, 1)
    world.join(SECOND)  # there are no more workers than partitions
    world.run(LEASE)
    before, ingress = world.beats, world.writers[0]
    for _ in range(30):
        world.run(LEASE / 3)
        assert ingress.turns.last(0) > world.now - 0.6 * LEASE
    assert world.beats - before <= 30 * LEASE / 3 * (1 / QUIET + 1)


def test_no_guard_loses_its_lease_among_facts() -> None:
    """They move the end and prove nothing; their writers come, go and are killed."""
    for seed in range(WORLDS):
        world = world_of(seed, 2 + seed % 4)
        while world.now < SECONDS:
            writer = world.random.choice(world.writers)
            writer.writes = not writer.writes
            if writer.writes:
                world.facts(writer)
            elif seed % 2 and len(world.writers) > 1:
                writer.alive = False
                world.writers.remove(writer)
                world.join()
            world.run(world.random.uniform(0.3, 2.0))
        assert world.least > 0, seed


def test_a_leader_that_was_cut_off_gives_no_lease() -> None:
    """It answers questions for its end, and takes no heartbeat any more."""
    for seed in range(WORLDS):
        world = world_of(seed, 3)
        world.run(world.random.uniform(0, 1))

        world.parted = True

        world.run(LEASE + 2 * SLOWEST)
        assert world.rest() <= 0, seed
