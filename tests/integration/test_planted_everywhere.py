"""A secret that is sent in the place of a name goes no further than the door.

Every route of the server gets it in each place that its description has: path, query,
and every text of a body. A route that is added is found by itself.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import zlib
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog

from agents_registry.life import Reason
from agents_registry.secret_shapes import has_secret
from enforcement import Guard
from streams.model.keyed_names import keyed_identifier
from streams.process.lifecycle import configure_logging
from tests.contract.test_api_description import API, METHODS
from tests.integration.serving import (
    Server,
    listening,
    receiving,
    running,
    until,
    values,
    webhook,
)
from tests.integration.test_planted_secrets import kept
from tests.integration.test_status_lists import URL
from tests.integration.test_status_lists import settings as lists_of
from tests.integration.test_traces import spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
__all__ = ["spans"]

MARK: Final = "PLANTED"
PEPPER: Final = b"pepper of tests " * 2
GITHUB: Final = f"ghp_{MARK}0123456789abcdefghijklmno"
_PART: Final = base64.urlsafe_b64encode(b'{"jti":"t-1","alg":"x"}').decode().strip("=")
MARKED: Final = (
    GITHUB,
    f"github_pat_{MARK}0123456789_abcdefghijklmnop",
    f"hvs.{MARK}0123456789abcdefgh",
    f"s.{MARK}0123456789abcdefg",
    f"xoxb-{MARK}-0123456789-abcdef",
    f"sk-ant-api03-{MARK}0123456789abcdef",
    f"glpat-{MARK}0123456789ab",
    f"{_PART}.{_PART}.{MARK}0123456789",
)
KINDS: Final = ("github.token", "agent.id", "jwt.jti", "vault.token_hmac", "secret")
NAMES: Final = (
    *(f"{kind}:{secret}" for kind, secret in itertools.product(KINDS, MARKED)),
    f"secret:{MARK} of no shape",
    f"github.hashed_token:{MARK} of no shape",
    f"vault.token_hmac:{MARK} of no shape",
    f"acme.token:{MARK} of no shape",
    GITHUB,
)
LATER: Final = "2030-01-01T00:00:00Z"


def settings(folder: Path) -> dict[str, Any]:
    """Give settings with all that has routes, and one token that may do all."""
    made = values(folder)
    token = {
        "name": "everything", "sha256": hashlib.sha256(b"everything").hexdigest(),
        "roles": ["ingest", "viewer", "revoker", "restorer", "admin", "guard"],
        "authority": "all",
    }  # fmt: skip
    everything = {"grants": [{"kind": "*"}]}
    own = folder / "own.yaml"
    own.write_text(json.dumps(mapping()))
    return {
        **lists_of(folder),
        "tokens": [*made["tokens"], token],
        "authorities": made["authorities"] | {"all": everything},
        "scim": {"agents": True},
        "sources": {"own": {"format": "generic", "mapping": str(own)}},
        "peppers": {"p": {"value": base64.b64encode(PEPPER).decode()}},
        "kinds": {"acme.token": "credential"},
        "hashed_kinds": ["acme.token"],
    }


def filled(schema: dict[str, Any], text: str) -> Any:
    """Give what fits a schema, with a text wherever one may stand."""
    while "$ref" in schema:
        place: Any = API
        for step in schema["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        schema = place
    for many in ("oneOf", "anyOf", "allOf"):
        if many in schema:
            return filled(schema[many][0], text)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        made = {n: filled(e, text) for n, e in schema.get("properties", {}).items()}
        return made | ({"until": "8h"} if "until" in made else {}) or {"any": text}
    if kind == "array":
        return [filled(schema.get("items", {}), text)]
    if kind in ("integer", "number"):
        return 1
    if kind == "boolean":
        return True
    return LATER if schema.get("format") == "date-time" else text


def requests() -> Iterator[tuple[str, str, list[str], dict[str, Any] | None]]:
    """Give method, path, query and body schema of what the description has."""
    for path, item in API["paths"].items():
        for method in METHODS:
            if method not in item or path == "/v1/feed":
                continue
            one = item[method]
            named = [each for each in one.get("parameters", ()) if "name" in each]
            query = [each["name"] for each in named if each["in"] == "query"]
            content = one.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {}).get("schema")
            yield method.upper(), path, [*query, "realm"], body


def bodies(schema: dict[str, Any] | None, text: str) -> Iterator[Any]:
    """Give bodies: with it everywhere, and with it in one member alone."""
    if schema is None:
        yield {"id": text, "token": text, text: text}
        return
    whole, good = filled(schema, text), filled(schema, "jwt.jti:good")
    if not isinstance(whole, dict):
        yield whole
        return
    if not has_secret(text):  # what it is nobody can tell but where names stand
        whole = {name: each for name, each in whole.items() if name not in FREE}
        yield good | whole
    else:
        yield whole
        yield {"identifier": text, "reason": text}
    for name in whole:
        yield good | {name: whole[name]}
        yield {name: whole[name]}
    yield {"identifier": text}


SCIM: Final = {
    "userName": "", "name": "", "externalId": "", "displayName": "", "active": False,
    "id": "", "emails": [{"value": ""}],
}  # fmt: skip


def scim_bodies(text: str) -> Iterator[Any]:
    """Give what a directory may send."""
    whole = json.loads(json.dumps(SCIM).replace('""', json.dumps(text)))
    yield whole
    yield whole | {"userName": "ann", "name": "ann"}
    operation = {"op": "replace", "path": "userName", "value": text}
    yield {"Operations": [operation, operation | {"path": "externalId"}]}
    yield {"Operations": [{"op": "replace", "value": whole}]}


FREE: Final = frozenset({
    "reason", "listed", "realm", "until", "at", "authority", "aspect", "suspect", "key",
    "from", "to", "fact", "kind", "kinds", "id", "ids", "receiver",
})  # fmt: skip
EFFECTS: Final = ("issue", "revoke", "suspend", "not_before", "leak", "use")
OWN_KINDS: Final = ("github.token", "secret", "agent.id", "acme.token")


def mapping() -> dict[str, Any]:
    """Give a mapping of an event of our own, for each kind and effect."""
    rules = []
    for kind, effect in itertools.product(OWN_KINDS, EFFECTS):
        of = [{"kind": kind, "path": "subject"}]
        use = effect == "use"
        rules.append({
            "name": f"{kind} {effect}", "when": {"type": f"{kind}.{effect}"},
            "record": "access" if use else "lifecycle", "identifiers": of,
            "parents": [{"kind": kind, "path": "parent"}], "actor": of,
            "owner": "text", "reason": "text",
            "scope": {"path": "scopes", "namespace": "own"},
            **({"point": "text"} if use else {"effect": effect, "owners": of}),
        })  # fmt: skip
    event = {"id": "id", "type": "type", "time": "time"}
    kinds = {"acme.token": "credential"}
    return {"name": "own", "kinds": kinds, "event": event, "rules": rules}


def events(text: str) -> Iterator[dict[str, Any]]:
    """Give events of our own, with it wherever a text may stand."""
    value, marked = text.partition(":")[2] or text, has_secret(text)
    kinds = OWN_KINDS if marked else ("secret", "acme.token")
    for kind, effect in itertools.product(kinds, EFFECTS):
        free = {"id": text, "text": text, "scopes": [text]} if marked else {}
        yield {
            "type": f"{kind}.{effect}", "time": "2026-01-01T00:00:00Z",
            "subject": value, "parent": f"parent of {value}", **free,
        }  # fmt: skip
    yield (
        {"id": value, "type": value, "time": value, "subject": value} if marked else {}
    )


async def send_everywhere(server: Server, routes: list[tuple[str, str]]) -> str:
    """Send all names to all routes; give all that was answered."""
    heard = []
    headers = {"Authorization": "Bearer everything"}

    async def ask(method: str, path: str, **more: Any) -> None:
        async with server.session.request(
            method, server.url + path, headers=headers, **more
        ) as got:
            assert got.status < 500, (method, path, got.status)
            heard.append(await got.text())

    described = list(requests())
    for number, text in enumerate(NAMES):
        for method, path, query, schema in described:
            where = re.sub(r"{source}", "own", path)
            where = re.sub(r"{[^}]*}", text.replace("/", "%2F"), where)
            if method == "GET":
                for asked in (query, []) if has_secret(text) else ([],):
                    await ask(method, where, params=dict.fromkeys(asked, text))
                continue
            for body in bodies(schema, text):
                await ask(method, where, json=body)
        for method, path in routes if has_secret(text) else ():
            where = re.sub(r"{[^}]*}", text.replace("/", "%2F"), path)
            for body in scim_bodies(text):
                await ask("GET" if method == "*" else method, where, json=body)
        if number % 8 == 0 or not has_secret(text):
            await ask("POST", "/v1/events/own", json=list(events(text)))
            await ask("POST", "/v1/oauth/revoke", data={"token": text})
    return "\n".join(heard)


async def asked_for(server: Server) -> str:
    """Give every answer that shows what came in."""
    found = []
    headers = {"Authorization": "Bearer everything"}
    for path in ("/v1/dlq", "/v1/findings", "/v1/sources", "/v1/ssf", "/metrics",
                 "/v1/inventory", "/v1/alerts", "/v1/table", "/v1/audit", "/v1/guards",
                 "/v1/approvals", "/v1/alerts/silences", "/scim/v2/Users",
                 "/statuslists/aggregation"):  # fmt: skip
        async with server.session.get(server.url + path, headers=headers) as got:
            found.append(await got.text())
    found += [each async for each in status_lists(server, found[-1])]
    return "\n".join(found)


async def status_lists(server: Server, aggregation: str) -> AsyncIterator[str]:
    """Give what stands in the signed lists, unpacked, now and of a past time."""
    uris = json.loads(aggregation)["status_lists"]
    for uri in uris:
        path = f"/statuslists{uri.removeprefix(URL)}"
        async with server.session.get(server.url + path) as got:
            token = await got.text()
            assert got.status == 200, token
        for part in token.split(".")[:2]:
            yield base64.urlsafe_b64decode(part + "==").decode()
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        bits = base64.urlsafe_b64decode(claims["status_list"]["lst"] + "==")
        yield zlib.decompress(bits).decode("latin-1")
    assert uris


async def snapshot(server: Server) -> str:
    """Give what a guard gets that knows nothing yet."""
    headers = {"Authorization": "Bearer everything"}
    texts: list[str] = []
    async with server.session.ws_connect(
        f"{server.url}/v1/feed", headers=headers
    ) as socket:
        await socket.send_json({"type": "hello", "guard": "late"})
        while not texts or json.loads(texts[-1])["more"]:
            texts.append(await socket.receive_str(timeout=50))
    return "\n".join(texts)


@pytest.mark.long
async def test_no_route_lets_a_secret_in(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spans: InMemorySpanExporter,
) -> None:
    """Nor shows it to anybody: on disk, in the log, to guards, in alerts and traces."""
    configure_logging(0)
    apps = listening(monkeypatch)
    async with receiving() as receiver:
        more = settings(tmp_path) | {"webhook": webhook(receiver)}
        async with (
            running(tmp_path, **more) as server,
            Guard(server.url, "everything", name="g") as guard,
        ):
            assert await guard.ready(50)
            scim = [
                (route.method, route.resource.canonical)
                for route in apps[0].router.routes()
                if route.resource and route.resource.canonical.startswith("/scim/v2/")
            ]
            answered = await send_everywhere(server, scim)
            store = server.served.stages.store
            await until(lambda: server.served.stages.applied >= store.end)
            await until(
                lambda: (at := guard.applied()) is not None and at.offset >= store.end
            )
            await until(lambda: receiver.got)
            name = keyed_identifier("secret", GITHUB, PEPPER)
            assert guard.check(str(name)).reason is Reason.REVOKED
            shown = await asked_for(server)
            fed = await snapshot(server)
            files = list(kept(tmp_path))
        files += list(kept(tmp_path))
    said = capfd.readouterr()
    structlog.reset_defaults()
    traced = str(
        [(e.name, dict(e.attributes or {})) for e in spans.get_finished_spans()]
    )
    told = json.dumps(receiver.got)
    places = [
        ("answers", answered), ("questions", shown), ("log", said.out + said.err),
        ("feed", fed), ("traces", traced), ("alerts", told),
    ]  # fmt: skip
    assert spans.get_finished_spans()
    found = {where: _near(text) for where, text in places if MARK in text}
    found |= {where: _near(data.decode("latin-1")) for where, data in files
              if MARK.encode() in data}  # fmt: skip
    assert not found, json.dumps(found, indent=1)


def _near(text: str) -> list[str]:
    """Give what stands around the first few."""
    found = itertools.islice(re.finditer(MARK, text), 4)
    return [text[max(0, each.start() - 90) : each.end() + 20] for each in found]
