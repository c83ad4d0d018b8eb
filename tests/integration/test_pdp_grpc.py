"""Envoy's ext_authz in gRPC mode, asked over a real channel with Envoy's messages."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest
import trustme
from attrs import define
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import generate_latest

from streams.apps.pdp import guard_of
from streams.pdp.decider import Decider, Decision
from streams.pdp.envoy import SERVICE, CheckRequest, CheckResponse
from streams.pdp.ext_authz import (
    MOST_HEADERS,
    ROUTE,
    Authorization,
    header_values,
    response_to,
)
from streams.pdp.grpc_server import MAX_MESSAGE, MAX_METADATA, listen
from streams.pdp.metrics import DecisionMetrics
from streams.pdp.service import Deciding, missing, serve
from streams.settings.server import Listen
from tests.integration.serving import running, until
from tests.integration.test_access import context_of, write
from tests.integration.test_pdp_gateways import fresh, scene
from tests.pdp import (
    AT,
    SECOND,
    Point,
    edge,
    jwks,
    node,
    point,
    revoke,
    settings,
    sub,
    token,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

CHILD, PARENT = sub("child"), sub("parent")
KNOWN = (node(CHILD), node(PARENT), edge(CHILD, PARENT))
ROUTES = {"watched": {"mode": "observe"}, "writes": {"scope": "api|write"}}
OK, UNAUTHENTICATED, PERMISSION_DENIED = 0, 16, 7
HERE = Listen(port=0)


@define
class Envoy:
    """A client that asks as Envoy does."""

    channel: grpc.aio.Channel
    metrics: DecisionMetrics

    async def ask(self, request: Any) -> Any:
        """Call Check."""
        check = self.channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )
        return await check(request, timeout=30)

    async def check(self, authorization: str | None, route: str | None = None) -> Any:
        """Ask about a request with an Authorization header."""
        return await self.ask(asked(authorization, route))


def asked(authorization: str | None, route: str | None = None) -> Any:
    """Give the request for a client's GET, with the headers that Envoy adds."""
    request = CheckRequest()
    of = request.attributes.request.http
    of.method, of.path, of.host = "GET", "/orders?x=1", "api.example.com"
    of.headers.update({":authority": "api.example.com", "x-request-id": "r1"})
    if authorization is not None:
        of.headers["authorization"] = authorization
    if route is not None:
        request.attributes.context_extensions[ROUTE] = route
    return request


def bearer(name: str, **more: Any) -> str:
    """Give the header of a subject's token."""
    return f"Bearer {token(name, **more)}"


@asynccontextmanager
async def envoy(known: Point) -> AsyncIterator[Envoy]:
    """Serve a decision point over gRPC, and give a client of it."""
    metrics = DecisionMetrics(known.guard, known.keys)
    server = await listen(
        Authorization(known.decider, metrics),
        lambda: not missing(known.decider, known.keys),
        HERE,
    )
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield Envoy(channel, metrics)
    finally:
        await server.close()


def told(options: Any) -> dict[str, str]:
    """Give headers as a mapping; each replaces what was there."""
    assert all(each.append_action == 2 for each in options)
    return {each.header.key: each.header.value for each in options}


async def test_a_living_token_passes_with_its_reason() -> None:
    """The upstream gets the reason, in place of one that the client made up."""
    async with envoy(point(*KNOWN)) as made:
        answer = await made.check(bearer("child"))

        assert answer.status.code == OK
        assert answer.WhichOneof("http_response") == "ok_response"
        assert {"X-Rescind-Reason": "lives"} == told(answer.ok_response.headers)
        counted = generate_latest(made.metrics.told.registry).decode()
        assert 'outcome="allow",reason="lives",surface="ext_authz"} 1.0' in counted


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "no_token"),
        ("", "no_token"),
        ("Basic YTpi", "no_token"),
        ("Bearer a.b.c", "malformed_token"),
        ("Bearer two words", "malformed_token"),
        (f"{bearer('child')},{bearer('child')}", "malformed_token"),
        ("Bearer nobody-knows-this-one", "unknown_credential"),
        (bearer("stranger"), "unknown_credential"),
        (bearer("child")[:-4] + "AAAA", "bad_signature"),
        (bearer("child", exp=AT), "expired"),
        (bearer("child", act={"sub": 7}), "unreadable_claim"),
    ],
)
async def test_a_token_that_is_no_good_is_unauthenticated(
    authorization: str | None, reason: str
) -> None:
    """The client gets 401 with the reason, and learns how to come back."""
    async with envoy(point(*KNOWN)) as made:
        answer = await made.check(authorization)

    assert answer.status.code == UNAUTHENTICATED
    assert answer.WhichOneof("http_response") == "denied_response"
    assert answer.denied_response.status.code == 401
    headers = told(answer.denied_response.headers)
    assert headers["X-Rescind-Reason"] == reason
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("dead", [CHILD, PARENT])
async def test_a_revoked_parents_child_is_denied(dead: Any) -> None:
    """Its token says nothing of the parent; the lineage does."""
    async with envoy(point(*KNOWN, revoke(dead))) as made:
        answer = await made.check(bearer("child"))

    assert answer.status.code == UNAUTHENTICATED
    assert answer.denied_response.status.code == 401
    headers = told(answer.denied_response.headers)
    assert headers["X-Rescind-Reason"] == "revoked"


async def test_a_lost_lease_denies() -> None:
    """Nobody can vouch for the token, whatever the table held."""
    known = point(*KNOWN)
    async with envoy(known) as made:
        before = await made.check(bearer("child"))
        known.clocks.boot += 2 * SECOND
        answer = await made.check(bearer("child"))

    assert before.status.code == OK
    assert answer.status.code == PERMISSION_DENIED
    assert answer.denied_response.status.code == 403
    headers = told(answer.denied_response.headers)
    assert headers["X-Rescind-Reason"] == "no_lease"
    assert "WWW-Authenticate" not in headers


async def test_before_the_first_catch_up_everything_is_denied() -> None:
    """Also on a route that only observes."""
    async with envoy(point(served=False, routes=ROUTES)) as made:
        for route in (None, "watched"):
            answer = await made.check(bearer("child"), route)

            assert answer.status.code == PERMISSION_DENIED
            headers = told(answer.denied_response.headers)
            assert headers["X-Rescind-Reason"] == "not_caught_up"


async def test_envoys_configuration_names_the_route() -> None:
    """Its mode and scope apply; a route that nobody knows is denied."""
    async with envoy(point(*KNOWN, routes=ROUTES)) as made:
        observed = await made.check(None, "watched")
        allowed = await made.check(bearer("child"), "writes")
        unknown = await made.check(bearer("child"), "nowhere")

    assert observed.status.code == OK
    wanted = {"X-Rescind-Reason": "no_token", "X-Rescind-Observed": "would be denied"}
    assert wanted == told(observed.ok_response.headers)
    assert allowed.status.code == OK
    assert unknown.status.code == PERMISSION_DENIED
    headers = told(unknown.denied_response.headers)
    assert headers == {"X-Rescind-Reason": "unknown_route"}


async def test_a_route_is_not_what_a_client_says() -> None:
    """Neither path nor header of the client can choose the mode."""
    async with envoy(point(*KNOWN, routes=ROUTES)) as made:
        request = asked(None)
        of = request.attributes.request.http
        of.path = "/v1/routes/watched/check"
        of.headers[ROUTE] = "watched"
        answer = await made.ask(request)

    assert answer.status.code == UNAUTHENTICATED


async def test_headers_are_read_from_either_form() -> None:
    """Envoy sends raw headers where it is so set; a repeated one is refused."""
    async with envoy(point(*KNOWN)) as made:
        codes = []
        for values in ([], ["child"], ["child", "child"], ["child", "parent"]):
            request = asked(None)
            for name in values:
                request.attributes.request.http.header_map.headers.add(
                    key="Authorization", raw_value=bearer(name).encode()
                )
            codes.append((await made.ask(request)).status.code)
        request = asked(bearer("child"))
        request.attributes.request.http.header_map.headers.add(
            key="authorization", value=bearer("parent")
        )
        codes.append((await made.ask(request)).status.code)

    assert [16, 0, 16, 16, 16] == codes


@pytest.mark.parametrize("form", ["map", "raw"])
async def test_headers_without_end_are_not_looked_at(form: str) -> None:
    """The token is good; as many headers as any proxy sends are read."""
    async with envoy(point(*KNOWN)) as made:
        answers = []
        for count in (MOST_HEADERS, MOST_HEADERS + 1):
            request = asked(None)
            of = request.attributes.request.http
            of.headers.clear()
            if form == "map":
                of.headers.update({f"x-{n}": "" for n in range(count - 1)})
                of.headers["authorization"] = bearer("child")
            else:
                for n in range(count - 1):
                    of.header_map.headers.add(key=f"x-{n}")
                of.header_map.headers.add(key="authorization", value=bearer("child"))
            answers.append(await made.ask(request))

    assert [OK, PERMISSION_DENIED] == [answer.status.code for answer in answers]
    denied = told(answers[1].denied_response.headers)
    assert "too_many_headers" == denied["X-Rescind-Reason"]


async def test_a_message_that_is_too_large_is_not_parsed() -> None:
    """A message of that size takes the loop's turn whole; another call is answered."""
    async with envoy(point(*KNOWN)) as made:
        request = asked(bearer("child"))
        request.attributes.request.http.body = "x" * MAX_MESSAGE
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await made.ask(request)

        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await made.check(bearer("child"))).status.code == OK


async def test_a_call_with_long_metadata_is_refused() -> None:
    """Envoy sends none of the client's; 16 KiB is ample for its own."""
    async with envoy(point(*KNOWN)) as made:
        check = made.channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )
        long = (("x-long", "x" * (2 * MAX_METADATA)),)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(asked(bearer("child")), timeout=30, metadata=long)

        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await made.check(bearer("child"))).status.code == OK


async def test_calls_beyond_the_bound_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A decision may wait for keys to be read, and what waits is in memory."""
    known, free = point(*KNOWN), asyncio.Event()
    monkeypatch.setattr("streams.pdp.grpc_server.MOST_CALLS", 2)

    async def waits(*_: Any, **__: Any) -> Decision:
        await free.wait()
        return Decision(allowed=True, reason="lives")

    monkeypatch.setattr(Decider, "decide_header", waits)
    async with envoy(known) as made:
        calls = [asyncio.ensure_future(made.check("x")) for _ in range(3)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        refused = [call.exception() for call in done]
        free.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)

    assert [grpc.StatusCode.RESOURCE_EXHAUSTED] == [
        each.code() for each in refused if isinstance(each, grpc.aio.AioRpcError)
    ]
    assert 2 == sum(not isinstance(each, BaseException) for each in ended)


async def test_an_empty_request_is_denied() -> None:
    """A message without attributes asks for nothing, and gets nothing."""
    async with envoy(point(*KNOWN)) as made:
        assert (await made.ask(CheckRequest())).status.code == UNAUTHENTICATED


async def test_an_error_of_our_own_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy, told to let pass what could not be checked, is told no."""
    known = point(*KNOWN)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(known.guard, "check_in_turns", broken)
    async with envoy(known) as made:
        answer = await made.check(bearer("child"))

    assert answer.status.code == PERMISSION_DENIED
    headers = told(answer.denied_response.headers)
    assert headers == {"X-Rescind-Reason": "internal_error"}


async def test_health_tells_whether_decisions_can_be_vouched_for() -> None:
    """Ready with a lease and keys; Kubernetes and Envoy ask for either name."""
    known = point(*KNOWN)
    for keys in known.keys.values():
        keys.readings = 1
    async with envoy(known) as made:
        health: Any = health_pb2_grpc.HealthStub(made.channel)
        states = []
        for name in ("", SERVICE):
            request = health_pb2.HealthCheckRequest(service=name)
            states.append((await health.Check(request)).status)
        known.clocks.boot += 2 * SECOND
        request = health_pb2.HealthCheckRequest()
        states.append((await health.Check(request)).status)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await health.Check(health_pb2.HealthCheckRequest(service="other"))

    assert [1, 1, 2] == states
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_address_in_use_is_an_error() -> None:
    """Two decision points never share a port by chance."""
    known = point(*KNOWN)
    authorization = Authorization(
        known.decider, DecisionMetrics(known.guard, known.keys)
    )
    server = await listen(authorization, lambda: True, HERE)
    try:
        taken = Listen(port=int(server.address.rpartition(":")[2]))
        with pytest.raises(OSError, match="cannot listen"):
            await listen(authorization, lambda: True, taken)
    finally:
        await server.close()


async def test_the_end_waits_for_what_is_being_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A check that came before the end gets its answer; a later one finds nobody."""
    known = point(*KNOWN)
    metrics = DecisionMetrics(known.guard, known.keys)
    begun, go_on = asyncio.Event(), asyncio.Event()
    decide = known.decider.decide_header

    async def slow(_: Decider, *values: Any, **more: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await decide(*values, **more)

    monkeypatch.setattr(Decider, "decide_header", slow)
    authorization = Authorization(known.decider, metrics)
    server = await listen(authorization, lambda: True, HERE)
    async with (
        grpc.aio.insecure_channel(server.address) as channel,
        asyncio.TaskGroup() as tasks,
    ):
        made = Envoy(channel, metrics)
        early = tasks.create_task(made.check(bearer("child")))
        await begun.wait()
        closing = tasks.create_task(server.close())
        go_on.set()
        await closing
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await made.check(bearer("child"))

    assert early.result().status.code == OK
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_command_serves_both(tmp_path: Path) -> None:
    """One setting opens the second listener, in front of a real server's feed."""
    (tmp_path / "jwks.json").write_bytes(jwks())
    issuer = {"issuer": "https://idp.example.com", "audience": ["api"],
              "jwks": str(tmp_path / "jwks.json")}  # fmt: skip
    stop = asyncio.Event()
    started: asyncio.Future[Deciding] = asyncio.get_running_loop().create_future()
    async with running(tmp_path) as server, asyncio.TaskGroup() as tasks:
        body = {"credentials": [{"identifier": str(CHILD)}]}
        assert (await server.post("/v1/adopt", "restorer", body))[0] == 201
        made = settings(url=server.url, issuers=[issuer], grpc_listen={"port": 0})
        point_of = serve(made, guard_of(made), stop=stop, started=started.set_result)
        tasks.create_task(point_of)
        try:
            deciding = await started
            assert await deciding.decider.guard.ready(30)
            assert deciding.grpc is not None
            async with grpc.aio.insecure_channel(deciding.grpc) as channel:
                asking = Envoy(channel, DecisionMetrics(deciding.decider.guard, {}))
                text = bearer("child", iat=1_700_000_000, exp=AT + 10**9)
                assert (await asking.check(text)).status.code == OK
                order = {"identifier": str(CHILD)}
                await server.post("/v1/revocations", "revoker", order)

                async def denied() -> bool:
                    answer = await asking.check(text)
                    return bool(answer.status.code == UNAUTHENTICATED)

                assert await until(denied)
        finally:
            stop.set()


async def test_one_certificate_serves_http_and_grpc_and_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart, and without a word in plain text."""
    monkeypatch.setattr("streams.http.tls.LOOK_SECONDS", 0.01)
    first, second = trustme.CA(), trustme.CA()
    write(tmp_path, first)
    files = {"certificate": tmp_path / "tls.crt", "key": tmp_path / "tls.key"}
    made = settings(grpc_listen={"port": 0}, tls=files)
    stop = asyncio.Event()
    started: asyncio.Future[Deciding] = asyncio.get_running_loop().create_future()
    known = point(*KNOWN)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(made, known.guard, stop=stop, started=started.set_result)
        )
        try:
            deciding = await started
            assert await served_by(first, deciding) == {"http", "grpc"}
            assert await served_by(second, deciding) == set()
            write(tmp_path, second)

            async def renewed() -> bool:
                return await served_by(second, deciding) == {"http", "grpc"}

            assert await until(renewed)
            assert await served_by(first, deciding) == set()
        finally:
            stop.set()


async def served_by(ca: trustme.CA, deciding: Deciding) -> set[str]:
    """Name the listeners that show a certificate of an authority."""
    assert deciding.url.startswith("https://")
    assert deciding.grpc is not None
    seen = set()
    with suppress(aiohttp.ClientError):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{deciding.url}/healthz/live", ssl=context_of(ca)) as answer,
        ):
            seen.add("http" if answer.status == 200 else str(answer.status))
    trusted = grpc.ssl_channel_credentials(ca.cert_pem.bytes())
    async with grpc.aio.secure_channel(deciding.grpc, trusted) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        with suppress(grpc.aio.AioRpcError):
            await health.Check(health_pb2.HealthCheckRequest(), timeout=30)
            seen.add("grpc")
    return seen


async def test_real_envoy_hands_the_reason_on(tmp_path: Path) -> None:
    """Not the one that the client sent; and a route of its own only observes."""
    async with scene("envoy-grpc", tmp_path) as made:
        forged = {"X-Rescind-Reason": "lives", "rescind.route": "new-service"}
        good = {"Authorization": f"Bearer {fresh('child')}"}
        seen = []
        for path, headers in (
            ("/orders", forged | good),
            ("/orders", forged),
            ("/new", forged),
        ):
            async with made.session.get(made.url + path, headers=headers) as got:
                seen.append(got.status)

    assert [200, 401, 200] == seen
    assert [["lives"], ["no_token"]] == made.api.reasons[-2:]


async def test_without_the_extra_the_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is served, with what to install."""
    for name in ("streams.pdp.ext_authz", "streams.pdp.grpc_server"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    made = settings(grpc_listen={"port": 0})

    with pytest.raises(ValueError, match=r"rescind\[grpc\]"):
        await serve(made, guard_of(made), stop=asyncio.Event())


def test_an_answer_has_the_bytes_that_envoy_reads() -> None:
    """Spelled out by hand: field number and wire type, length, content."""
    decision = Decision(allowed=False, reason="no_lease")
    header = "0a 10" + b"X-Rescind-Reason".hex() + "12 08" + b"no_lease".hex()
    cache = "0a 0d" + b"Cache-Control".hex() + "12 08" + b"no-store".hex()
    wanted = (
        "0a 02 08 07"  # status: code 7, PERMISSION_DENIED
        "12 46"  # denied_response
        "0a 03 08 93 03"  # status: code 403
        f"12 20 0a 1c {header} 18 02"  # headers: header, append_action 2
        f"12 1d 0a 19 {cache} 18 02"
    )

    assert bytes.fromhex(wanted) == response_to(decision).SerializeToString()


def test_a_question_is_read_from_the_bytes_that_envoy_sends() -> None:
    """Attributes 1, request 4, http 2, headers 3; context_extensions 10."""
    entry = "0a 01" + b"a".hex() + "12 01" + b"b".hex()
    http = f"12 03 {b'GET'.hex()} 1a 06 {entry}"
    extension = f"0a 0d {ROUTE.encode().hex()} 12 01 {b'r'.hex()}"
    text = f"0a 25 22 0f 12 0d {http} 52 12 {extension}"
    request = CheckRequest.FromString(bytes.fromhex(text))

    assert request.attributes.request.http.method == "GET"
    assert list(header_values(request.attributes.request.http, "A")) == ["b"]
    assert request.attributes.context_extensions[ROUTE] == "r"
