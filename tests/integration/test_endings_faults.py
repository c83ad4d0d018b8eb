"""Ends at issuers through faults: an issuer that is away, and kills of our own."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.observability.failpoints import ACTUATOR_POINTS, VARIABLE
from tests.integration.cli_server import DEADLINE, environment, run, serving
from tests.integration.serving import Server, running, until, values
from tests.integration.test_endings_engine import bao as bao  # noqa: PLC0414 - fixture
from tests.integration.test_endings_engine import lives, made, name_of

if TYPE_CHECKING:
    from tests.integration.openbao_server import OpenBaoServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

RESCIND = Path(sys.executable).with_name("rescind")
TOKEN = "vault.accessor:plain-accessor"


def away(**more: Any) -> dict[str, Any]:
    """Act at a vault whose port nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    ours = {
        "vendor": "openbao", "authority": "vault", "allow_http": True,
        "url": f"http://127.0.0.1:{port}", "token": {"value": "s"},
        "hmac_accessor": False, "mode": "automatic",
    }  # fmt: skip
    return {"actuators": {"ours": ours | more}}


async def revoked(server: Server, token: str = TOKEN) -> str:
    """Declare a token and revoke it; give the id."""
    declared = {"credentials": [{"identifier": token, "root": True}]}
    assert 201 == (await server.post("/v1/adopt", "restorer", declared))[0]
    body = {"identifier": token}
    status, answer = await server.post("/v1/revocations", "revoker", body)
    assert 201 == status
    return str(answer["id"])


async def test_an_issuer_that_is_away_is_named_and_found(tmp_path: Path) -> None:
    """Its end is unreachable, a finding after a while, and never counted as ended."""
    async with running(tmp_path, **away(unreachable_seconds=0.1)) as server:
        cause = await revoked(server)
        path = f"/v1/revocations/{cause}/issuers"

        async def unreachable() -> dict[str, Any] | None:
            _, found = await server.get(path)
            return found if found["unreachable"] else None

        found = await until(unreachable)

        async def told() -> list[dict[str, Any]]:
            kind = "not_ended_at_issuer"
            return [each for each in await server.findings() if each["kind"] == kind]

        (finding,) = await until(told)
        _, listed = await server.get("/v1/actuators")

    assert ("pending", 0, TOKEN) == (
        found["state"], found["ended"], found["not_ended"][0]["identifier"],
    )  # fmt: skip
    assert "rescind.actuator:ours" == finding["presented"]
    assert "gives no answer" in finding["message"]
    assert "unreachable" == listed["actuators"][0]["health"]
    assert "unreachable" in listed["actuators"][0]["last_error"]


async def test_orders_on_what_waits(tmp_path: Path) -> None:
    """An approval names what waits; what does not is refused by name."""
    async with running(tmp_path, **away(mode="approve")) as server:
        cause = await revoked(server)

        async def waits() -> bool:
            _, found = await server.get("/v1/actuators/ours?state=pending")
            return bool(found["total"])

        await until(waits)
        approvals, order = "/v1/actuators/ours/approvals", {"cause": cause}
        answers = [
            await server.post(approvals, "revoker", order),
            await server.post(approvals, "restorer", {"cause": "0" * 64}),
            await server.post("/v1/actuators/no/approvals", "restorer", order),
            await server.post(approvals, "restorer", order),
            await server.post("/v1/actuators/ours/retries", "restorer", {}),
            await server.get("/v1/actuators/ours?state=x"),
        ]
        _, audit = await server.get("/v1/audit")

    assert [403, 404, 404, 201, 201, 422] == [status for status, _ in answers]
    assert {"actuator": "ours", "cause": cause, "approved": 1} == answers[3][1]
    assert "approved 1 ends at ours" in json.dumps(audit)


async def test_an_end_is_confirmed_by_two_persons(tmp_path: Path) -> None:
    """Closure names them, and never says that it was probed."""
    # A name that is a hash, where the settings say there are none: never provable.
    hashed = "vault.accessor:hmac-sha256:" + "0" * 64
    digest = hashlib.sha256(b"restorer2").hexdigest()
    other_one = {"name": "restorer2", "sha256": digest, "roles": ["restorer"]}
    tokens = [*values(tmp_path)["tokens"], other_one]
    more = {"approvals": {"acts": ["confirm"]}, "tokens": tokens}
    given = away(attempts=1) | more
    path, word = "/v1/actuators/ours/confirmations", {"identifier": hashed}
    async with running(tmp_path, **given) as server:
        cause = await revoked(server, hashed)
        early = await server.post(path, "restorer", word | {"reason": "seen"})

        async def is_(state: str) -> dict[str, Any] | None:
            _, found = await server.get(f"/v1/revocations/{cause}/issuers")
            return found if found[state] == 1 else None

        await until(lambda: is_("failed"))
        answers = [
            await server.post(path, "revoker", word | {"reason": "seen"}),
            await server.post(path, "restorer", word),
            await server.post(path, "restorer", {"identifier": "x", "reason": "seen"}),
            await server.post(
                path, "restorer", {"identifier": TOKEN, "reason": "seen"}
            ),
            await server.post(path, "restorer", word | {"reason": "seen"}),
        ]
        waits = answers[-1][1]["pending"][0]
        approve = f"/v1/approvals/{waits['id']}/approve"
        own, _ = await server.post(approve, "restorer", {})
        still = await is_("failed")
        other, _ = await server.post(approve, "restorer2", {})
        found = await until(lambda: is_("confirmed"))
        _, audit = await server.get("/v1/audit")

    assert 404 == early[0]
    assert [403, 422, 422, 404, 202] == [status for status, _ in answers]
    assert (403, 201) == (own, other)
    assert still is not None
    assert ("confirmed", 0) == (found["state"], found["ended"])
    (item,) = found["not_ended"]
    assert ("confirmed", "confirmed by restorer and restorer2: seen") == (
        item["state"], item["reason"],
    )  # fmt: skip
    assert f"confirmed that {hashed} is ended at ours" in json.dumps(audit)


@pytest.mark.long
@pytest.mark.parametrize("point", ACTUATOR_POINTS)
def test_a_kill_between_act_and_record_repeats_nothing_harmful(
    bao: OpenBaoServer, tmp_path: Path, point: str
) -> None:
    """The next start probes first: what was done is not done again, the rest is.

    An older token that lives is known here: by it the vault's names can be believed.
    """
    elder = made(bao, bao.root_token, policies=["default"])
    token = made(bao, bao.root_token, policies=["default"])
    name = name_of(bao, token)
    ours = {
        "vendor": "openbao", "authority": "vault", "url": bao.url, "allow_http": True,
        "device": "main", "token": {"value": bao.root_token}, "mode": "automatic",
    }  # fmt: skip
    more = {
        "RESCIND_ACTUATORS": json.dumps({"ours": ours}),
        "RESCIND_AUTHORITIES": json.dumps({"vault": {"grants": [{"kind": "vault.*"}]}}),
    }
    env = environment(tmp_path, **more, **{VARIABLE: point})
    with subprocess.Popen(
        [RESCIND, "serve", "--listen", "127.0.0.1:0"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as killed:  # fmt: skip
        assert killed.stdout is not None
        assert killed.stdout.readline()
        known = "identifier,issued_at\n"
        for each, day in ((name_of(bao, elder), 1), (name, 2)):
            known += f"{each},2026-01-0{day}T00:00:00Z\n"
        (tmp_path / "known.csv").write_text(known, "utf-8")
        run(tmp_path, "adopt", "list", str(tmp_path / "known.csv"))
        done = run(tmp_path, "revoke", name, "--reason", "test", "--output", "json")
        cause = json.loads(done.stdout)["id"]
        assert -signal.SIGKILL == killed.wait(DEADLINE)
    assert lives(bao, token) is (point == "actuator.before_act")

    with serving(tmp_path, **more) as again:
        end = time.monotonic() + DEADLINE
        while again.json("actuators", "ours")["items"][0]["state"] != "ended":
            assert time.monotonic() < end
        (item,) = again.json("actuators", "ours")["items"]
        code, _, _ = again.ask("closure", cause, "--wait", "5")

    assert not lives(bao, token)
    assert (1 if point == "actuator.acted" else 2) == item["acts"]
    assert code in {0, 1}  # no guard is there to close it


async def test_a_plan_cannot_be_approved(tmp_path: Path) -> None:
    """Its mode says that no act is made; closure waits on."""
    async with running(tmp_path, **away(mode="plan")) as server:
        cause = await revoked(server)
        path, order = "/v1/actuators/ours/approvals", {"cause": cause}
        status, answer = await server.post(path, "restorer", order)

    assert 422 == status
    assert "its mode is plan" in answer["detail"]
