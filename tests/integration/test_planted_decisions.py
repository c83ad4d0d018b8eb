"""A secret in a question to the decision point is in no answer, log or metric."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from streams.model.keyed_names import keyed_identifier
from streams.pdp.decision_log import DecisionLog
from streams.pdp.metrics import DecisionMetrics
from streams.pdp.service import application
from streams.process.lifecycle import configure_logging
from tests.contract.test_pdp_authzen import client, post
from tests.integration.test_pdp_grpc import asked, envoy
from tests.integration.test_planted_everywhere import MARK, MARKED
from tests.pdp import NOW, PEPPER, node, point, revoke, sub, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.pdp import Point

pytestmark = pytest.mark.integration

SHOWN: Final = (MARKED[0], MARKED[3], MARKED[-1])
JSON: Final = {"Authorization": "Bearer caller"}
SUBJECTS: Final = {
    "user": "person.id", "key": "secret", "github": "github.token", "jti": "jwt.jti",
}  # fmt: skip


def known() -> Point:
    """Give a decision point that allows what nobody declared, so that it is logged."""
    pepper = base64.b64decode(PEPPER)
    return point(
        node(sub("agent")),
        revoke(keyed_identifier("secret", MARKED[0], pepper)),
        unknown={"jwt.sub": "allow_and_report", "person.id": "allow_and_report"},
        subjects=SUBJECTS,
        routes={"lax": {"mode": "observe"}},
        scope="{resource_type}|{action}:{resource_id}",
    )


def tokens(secret: str) -> list[str]:
    """Give what a client may show: bare, in the claims, in the header."""
    return [
        secret,
        token(secret, jti=None),
        token("agent", jti=secret),
        token("agent", secret),
        token("agent", scope=secret, client_id=secret, act={"sub": secret}),
        token("agent", kid=secret),
        token("agent", iss=secret),
        token("agent", aud=secret, exp=secret),
    ]


def questions(secret: str) -> list[Any]:
    """Give bodies of AuthZEN."""
    entity = {"type": secret, "id": secret, "properties": {secret: secret}}
    whole = {
        "subject": entity, "resource": entity, "context": {secret: secret},
        "action": {"name": secret, "properties": {secret: secret}},
    }  # fmt: skip
    named = [
        whole | {"subject": {"type": kind, "id": secret}}
        for kind in (*SUBJECTS, "token")
    ]
    return [whole, *named, {secret: secret}, [secret], secret, {"subject": secret}]


async def everything(known: Point, log: DecisionLog) -> AsyncIterator[str]:
    """Ask all of it over HTTP; give what was answered."""
    metrics = DecisionMetrics(known.guard, known.keys, log)
    app = application(known.decider, metrics, known.keys)
    async with TestClient(TestServer(app)) as client:

        async def ask(method: str, path: str, **more: Any) -> str:
            async with client.request(method, path, **more) as got:
                assert got.status < 500, (path, got.status)
                return f"{dict(got.headers)} {await got.text()}"

        for secret in SHOWN:
            for text in tokens(secret):
                bearer = {"Authorization": f"Bearer {text}", "X-Other": secret}
                for path in (
                    "/v1/check",
                    f"/v1/check/{quote(secret)}?q={secret}",
                    "/v1/routes/lax/check",
                    f"/v1/routes/{secret}/check",
                ):
                    yield await ask("POST", path, headers=bearer, data=secret)
                shown = await ask(
                    "POST", "/v1/introspect", headers=JSON, data={"token": text}
                )
                # An active token's claims are those that its holder just sent.
                yield "" if '"active": true' in shown else shown
            for body in questions(secret):
                several = {"evaluations": [body, body]}
                for path, what in (("evaluation", body), ("evaluations", several)):
                    url = f"/access/v1/{path}"
                    yield await ask("POST", url, headers=JSON, json=what)
            yield await ask("POST", "/access/v1/evaluation", data=secret, headers=JSON)
        yield await ask("GET", "/metrics")


async def test_a_secret_that_is_named_is_decided_by_its_hash() -> None:
    """As a guard is shown it; who revoked it by value meant that."""
    async with client(known()) as made:
        for name, decision, reason in (
            (MARKED[0], False, "revoked"),
            (MARKED[1], False, "unknown_credential"),
        ):
            body = {
                "subject": {"type": "github", "id": name},
                "action": {"name": "read"},
                "resource": {"type": "document", "id": "1"},
            }
            status, answer, _ = await post(made, body, "evaluation", "caller")
            assert (status, answer["decision"]) == (200, decision)
            assert answer["context"]["reason"] == reason


async def test_no_decision_shows_a_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Over HTTP and gRPC, of gateways, callers and resource servers."""
    configure_logging(0)
    written = tmp_path / "decisions.jsonl"
    log = DecisionLog(written, "point", lambda: NOW, "i")
    asks = known()
    answers = [each async for each in everything(asks, log)]
    async with envoy(asks) as made:
        made.metrics._log = log
        for secret in SHOWN:
            for text in tokens(secret):
                request = asked(f"Bearer {text}", secret)
                of = request.attributes.request.http
                of.path, of.body = f"/{secret}?{secret}", secret
                of.headers.update({"x-other": secret, secret[:20].lower(): secret})
                answers.append(str(await made.ask(request)))
                answers.append(str(await made.check(f"Bearer {text}")))
    log.close()
    said = capfd.readouterr()
    structlog.reset_defaults()
    assert written.read_text()
    places = {
        "answers": "\n".join(answers), "log": said.out + said.err,
        "decisions": written.read_text(),
    }  # fmt: skip
    shown = {
        name: sorted({line[:600] for line in text.splitlines() if MARK in line})[:6]
        for name, text in places.items()
        if MARK in text
    }
    assert not shown, json.dumps(shown, indent=1)
