"""The lines of an audit chain out of Kafka, for commands that have no event loop."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from attrs import frozen
from pydantic import ValidationError

from schemas.codec import decode_fact, in_force
from schemas.errors import SchemaError
from streams.clients.rescind import UNREACHABLE, ClientError
from streams.engines.kafka.audit.export import exported, last_head
from streams.settings.errors import explained
from streams.settings.kafka import KafkaSettings
from streams.stages.audit.portion import from_a_head, until_a_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from agents_registry.facts import Fact


@frozen
class KafkaChain:
    """The chain of a realm as the topics hold it; read it once."""

    settings: KafkaSettings
    realm: str
    runner: asyncio.Runner

    def lines(self, after: int = 0) -> Iterator[Any]:
        """Lines of an export, up to the last signed head.

        Raises:
            ClientError: Kafka does not answer, or holds what cannot be read.
        """
        del after
        lines = exported(self.settings, self.realm)
        return until_a_head(from_a_head(self._each(lines)))

    def last_head(self) -> str | None:
        """Last head that a worker has noted."""
        last: str | None = self._run(last_head(self.settings, self.realm))
        return last

    def read_fact(self, value: bytes) -> Fact:
        """Read a fact with the schemas that this log is written with."""
        return decode_fact(value, self._run(_codec()))

    def _each(self, lines: AsyncIterator[Any]) -> Iterator[Any]:
        while (line := self._run(_next(lines))) is not None:
            yield line

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.runner.run(work)
        except (KafkaError, SchemaError) as error:
            text = f"Kafka: {type(error).__name__}: {error}"
            raise ClientError(text, UNREACHABLE) from error


@contextmanager
def reading_kafka(realm: str) -> Iterator[KafkaChain]:
    """Chain by the settings of the environment.

    Raises:
        ValueError: they are wrong.
    """
    try:
        settings = KafkaSettings()
    except ValidationError as error:
        raise ValueError(explained(error, KafkaSettings)) from error
    with asyncio.Runner() as runner:
        yield KafkaChain(settings, realm, runner)


async def _next(lines: AsyncIterator[Any]) -> Any:
    return await anext(lines, None)


async def _codec() -> Any:
    return in_force()
