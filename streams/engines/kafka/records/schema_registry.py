"""Take the ids of schemas from a registry, by the REST API of Confluent's.

Without one, ids are the bundled ones. With one, every record carries the id that the
registry gave to the very same schema, so that other tools can read it too:

- subjects are the full names of the records (``RecordNameStrategy``), since ``facts``
  holds records of many kinds;
- `publish` registers, and has the registry hold each subject to ``FULL_TRANSITIVE``;
  only ``rescind topics apply`` does it. All others look up, and need no right to write;
- an id that a record carries and we do not know is asked for before the record counts
  as poison; while the registry does not answer, the partition stands still.

A log is written with the ids of one registry for its life, or with the bundled ones.
"""

from __future__ import annotations

import asyncio
import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
import orjson
import structlog
from yarl import URL

from schemas.codec import FOLDER, Codec, id_of, published, use
from schemas.errors import SchemaError
from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import HttpClient, RequestLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from schemas.codec import Published
    from streams.settings.kafka import KafkaSettings, SchemaRegistrySettings

BOUNDS: Final = RequestLimits(seconds=10.0, largest=16 << 20)  # of one answer
AGAIN_SECONDS: Final = 1.0
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
COMPATIBILITY: Final = "FULL_TRANSITIVE"
_NOT_FOUND: Final = 404

log = structlog.get_logger()


class RegistryError(OSError):
    """The registry does not answer, or answers what we cannot use."""


class NotPublishedError(RegistryError):
    """The registry lacks a schema: run ``rescind topics apply``."""


class Keyed(Protocol):
    """A record of the client."""

    value: bytes | None


class SchemaRegistry:
    """A client of one registry."""

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        """Set up; every call connects anew, since there are few.

        Raises:
            OSError: the file of the authority cannot be read.
        """
        self._url = str(settings.url).rstrip("/")
        self._headers = {"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE}
        if settings.username is not None and settings.password is not None:
            secret = settings.password.get_secret_value()
            basic = aiohttp.encode_basic_auth(settings.username, secret)
            self._headers["Authorization"] = basic
        self._tls = ssl.create_default_context(cafile=settings.ca_file)

    async def look_up(self) -> dict[int, Published]:
        """Ids that the registry has for all schemas that we have published.

        Raises:
            NotPublishedError: it lacks one.
            RegistryError: it does not answer.
        """
        found = {}
        for each in published().values():
            if (schema_id := await self._id(each)) is None:
                text = f"{subject_of(each)} version {each.version} is not registered"
                raise NotPublishedError(f"{text}; see: rescind topics apply")
            found[schema_id] = each
        return found

    async def missing(self) -> list[Published]:
        """Schemas of ours that the registry lacks.

        Raises:
            RegistryError: it does not answer.
        """
        return [each for each in published().values() if await self._id(each) is None]

    async def publish(self) -> None:
        """Register what is missing, oldest versions first.

        Raises:
            RegistryError: it does not answer, or refuses a schema as incompatible.
        """
        missing = sorted(await self.missing(), key=lambda each: each.version)
        for each in missing:
            subject = subject_of(each)
            config = {"compatibility": COMPATIBILITY}
            await self._call("PUT", f"/config/{subject}", config)
            await self._call("POST", f"/subjects/{subject}/versions", _body(each))

    async def schema(self, schema_id: int) -> dict[str, Any] | None:
        """Return the schema of an id; None where the registry has none.

        Raises:
            RegistryError: it does not answer.
        """
        answer = await self._call("GET", f"/schemas/ids/{schema_id}")
        if answer is None:
            return None
        try:
            schema = orjson.loads(answer["schema"])
        except (LookupError, TypeError, ValueError):
            return None  # protobuf, say; none of ours in any case
        return schema if isinstance(schema, dict) else None

    async def _id(self, each: Published) -> int | None:
        answer = await self._call("POST", f"/subjects/{subject_of(each)}", _body(each))
        if answer is None:
            return None
        schema_id = answer.get("id")
        if not isinstance(schema_id, int) or not 0 <= schema_id < 1 << 32:
            raise RegistryError(f"{self._url}: gave no id")
        return schema_id

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Return the decoded answer; None for 404."""
        url = f"{self._url}{path}"
        try:
            async with HttpClient(tls=self._tls) as client:
                got = await client.request(
                    method,
                    URL(url),
                    headers=self._headers,
                    data=None if body is None else orjson.dumps(body),
                    bounds=BOUNDS,
                )
        except RequestError as error:
            raise RegistryError(f"{url}: {error}") from error
        if got.status == _NOT_FOUND:
            return None
        if got.status >= 300:  # noqa: PLR2004 - redirections too
            raise RegistryError(f"{method} {url}: HTTP {got.status}")
        try:
            return got.object()
        except UnreadableAnswerError as error:
            raise RegistryError(f"{method} {url}: {error}") from error


class _Reader:
    """What learns ids as they come, for one process."""

    def __init__(self, registry: SchemaRegistry, codec: Codec) -> None:
        self._registry = registry
        self._codec = codec
        self._names = {subject_of(each): each.name for each in published().values()}
        self._none: set[int] = set()

    async def learn(self, values: Iterable[bytes | None]) -> None:
        ids = {id_of(value) for value in values if value is not None} - {None}
        for schema_id in sorted(ids - self._none):  # type: ignore[type-var]
            if schema_id is not None and not self._codec.knows(schema_id):
                await self._ask(schema_id)

    async def _ask(self, schema_id: int) -> None:
        schema = await self._answer(schema_id)
        try:
            self._codec.learn(schema_id, self._name(schema), schema or {})
        except SchemaError:
            self._none.add(schema_id)

    async def _answer(self, schema_id: int) -> dict[str, Any] | None:
        while True:
            try:
                return await self._registry.schema(schema_id)
            except RegistryError as error:
                # Not answered is not the same as not known: it may be a revocation.
                log.warning("schema_not_asked", schema_id=schema_id, error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    def _name(self, schema: Mapping[str, Any] | None) -> str:
        if schema is None:
            return ""
        full = f"{schema.get('namespace', '')}.{schema.get('name', '')}"
        return self._names.get(full, "")


_reader: ContextVar[_Reader | None] = ContextVar("reader of a registry", default=None)


async def take_ids(settings: KafkaSettings) -> None:
    """Have this task, and all that it starts, write and read with the registry's ids.

    Does nothing where no registry is set.

    Raises:
        NotPublishedError: the registry lacks a schema.
        RegistryError: it does not answer.
    """
    if settings.schema_registry is None:
        return
    registry = SchemaRegistry(settings.schema_registry)
    codec = Codec(await registry.look_up())
    use(codec)
    _reader.set(_Reader(registry, codec))


async def learn(fetched: Mapping[int, Sequence[Keyed]]) -> None:
    """Ask the registry for ids in fetched records that we do not know, if there is one.

    Waits for as long as the registry does not answer.
    """
    if fetched:
        await learn_ids(each.value for of in fetched.values() for each in of)


async def learn_ids(values: Iterable[bytes | None]) -> None:
    """Do as `learn` for values, or for no more than what stands in front of them."""
    if (reader := _reader.get()) is not None:
        await reader.learn(values)


def subject_of(each: Published) -> str:
    """Subject of a schema, the full name of its record."""
    schema = orjson.loads(_text(each))
    return f"{schema['namespace']}.{schema['name']}"


def _body(each: Published) -> dict[str, str]:
    return {"schema": _text(each), "schemaType": "AVRO"}


def _text(each: Published) -> str:
    path = FOLDER / "released" / each.name / f"{each.version}.avsc"
    return path.read_text("utf-8")
