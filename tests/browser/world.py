"""What is told to a server before its console is looked at: a day of a company."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from attrs import define, field

from streams.demo import recording
from streams.model.times import rfc3339
from tests.browser.neighbours import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
MAPPING: Final = ROOT / "examples/mappings/agent-gateway.yaml"
TOKENS: Final = {
    "vault": ["ingest"], "gateway": ["ingest"], "stranger": ["ingest"],
    "viewer": ["viewer"], "revoker": ["viewer", "revoker"],
    "restorer": ["viewer", "revoker", "restorer"],
    "admin": ["viewer", "revoker", "restorer", "admin"], "guard": ["guard"],
}  # fmt: skip
SETTLED: Final = 60.0
NANO: Final = 10**9


def settings(issuer: str) -> dict[str, Any]:
    """Give settings of the server beside tokens, addresses and folders."""
    return {
        "authorities": {
            "vault": {"grants": [{"kind": "vault.*"}], "issuer_log": True},
            "gateway": {
                "grants": [{"kind": "gateway.*"}, {"kind": "person.id"}],
                "issuer_log": True,
            },
            "stranger": {"grants": [{"kind": "jwt.jti"}]},
        },
        "sources": {
            "vault": {"format": "openbao", "point": "vault"},
            "gateway": {"format": "generic", "mapping": str(MAPPING)},
        },
        "actuators": {
            "gateway-keys": {
                "vendor": "webhook", "authority": "gateway", "mode": "automatic",
                "url": f"{issuer}/end", "probe_url": f"{issuer}/state",
                "secret": {"value": KEY}, "allow_private": True, "allow_http": True,
                "kinds": {"gateway.token": {"settles": 0}},
            }
        },
        "approvals": {"acts": ["distrust"]},
        "alerts": {"endpoints": {
            name: {
                "type": "webhook", "url": f"{issuer}/{name}", "allow_private": True,
                "secrets": [{"value": KEY}],
            }
            for name in ("soc", "pager")
        }},
    }  # fmt: skip


@define
class Api:
    """The API of a server, asked as somebody."""

    url: str
    session: aiohttp.ClientSession = field(repr=False)

    async def get(self, path: str, who: str = "admin") -> Any:
        """Ask; give the answer, which has to be good."""
        return await self._send("GET", path, who, None)

    async def post(self, path: str, body: Any, who: str = "admin") -> Any:
        """Order, or send bytes of a log."""
        return await self._send("POST", path, who, body)

    async def _send(self, method: str, path: str, who: str, body: Any) -> Any:
        given = {"data": body} if isinstance(body, bytes) else {"json": body}
        headers = {"Authorization": f"Bearer {who}"}
        async with self.session.request(
            method, f"{self.url}/v1/{path}", headers=headers, **given
        ) as got:
            text = await got.text()
            assert got.status < 300, f"{method} {path}: {got.status} {text}"
            return json.loads(text)


@define
class Gateway:
    """A log of the agent gateway; every line has an id and a time of its own."""

    lines: list[dict[str, Any]] = field(factory=list)
    now: int = field(factory=time.time_ns)

    def say(self, action: str, ago: float, **more: Any) -> None:
        """Add a line of some seconds ago."""
        at = rfc3339(self.now - int(ago * NANO))
        line = {"id": f"ev-{len(self.lines)}-{self.now}", "at": at, "action": action}
        self.lines.append(line | more)

    def issue(self, ago: float, token: str, agent: str, **more: Any) -> None:
        """Add the issue of a token; ``by`` is the token that asked for it."""
        by = more.pop("by", None)
        made = {"id": token, "agent": agent, "owner": "dana", **more}
        caller = {"agent": agent} | ({"token_id": by} if by else {})
        self.say("token.issued", ago, result="ok", caller=caller, token=made)

    def use(self, ago: float, token: str, agent: str, **more: Any) -> None:
        """Add a call of a tool."""
        caller = {
            "agent": agent, "token_id": token, "address": "192.0.2.17",
            "user_agent": "agent-runtime/4.2", **more.pop("caller", {}),
        }  # fmt: skip
        given = {"tool": "mail", "status": 200, **more}
        self.say("tool.call", ago, caller=caller, **given)

    def end(self, ago: float, token: str, **more: Any) -> None:
        """Add the end of a token."""
        caller = {"agent": "janitor"}
        given = {"result": "ok", "comment": "found in a paste", **more}
        self.say("token.revoked", ago, caller=caller, token={"id": token}, **given)

    def bytes(self) -> bytes:
        """Give what the gateway wrote."""
        return b"\n".join(json.dumps(each).encode() for each in self.lines)


def company() -> Gateway:
    """Write a day: three agents, tokens of tokens, uses after the end, strangers."""
    log = Gateway()
    for agent in ("planner", "mailer", "crawler"):
        log.issue(7200, f"tok-{agent}", agent, scopes=["search", "mail.read"])
    for number in range(12):
        log.issue(
            7000 - number, f"tok-sub-{number}", f"worker-{number % 4}",
            by="tok-planner", scopes=["search"],
        )  # fmt: skip
        log.issue(6000, f"tok-leaf-{number}", "leaf", by=f"tok-sub-{number}")
        log.use(5000 - number, f"tok-sub-{number}", f"worker-{number % 4}")
    log.issue(6500, "tok-wide", "mailer", by="tok-mailer", scopes=["admin"])
    log.issue(6400, "tok-nobodys", "crawler", owner=None)
    log.end(3600, "tok-crawler")
    log.use(1800, "tok-crawler", "crawler", tool="search")
    log.use(1700, "tok-crawler", "crawler", tool="search")
    log.use(1600, "tok-crawler", "crawler", status=403)
    log.use(1500, "tok-unheard-of", "shadow", caller={"address": "198.51.100.9"})
    log.use(1400, "tok-mailer", "mailer", scopes=["admin"])
    log.say("agent.updated", 1300, result="ok", agent={"id": "mailer"},
            changes={"status": "paused"})  # fmt: skip
    return log


async def tell(api: Api) -> dict[str, str]:
    """Tell a server the recorded story of the vault, and the day of the company.

    Returns:
        A name for each page that is about one thing, by the first part of its path.
    """
    story = recording.read(ROOT / "examples/openbao", time.time_ns())
    for part in (story.before, story.call, story.after):
        await api.post("events/vault", part, "vault")
    await api.post("events/gateway", company().bytes(), "gateway")
    await api.post("events/gateway", b"not a line of json\n", "gateway")
    revoked = await api.post("revocations", {
        "identifier": "gateway.token:tok-sub-3", "reason": "seen in a public log",
    })  # fmt: skip
    await api.post("suspensions", {
        "identifier": "gateway.agent:worker-1", "aspect": "review",
        "reason": "odd hours",
    })  # fmt: skip
    await api.post("labels", {
        "identifier": "gateway.agent:planner", "labels": ["team=mail", "env=prod"],
        "reason": "asked by the team",
    })  # fmt: skip
    await api.post("distrusts", {
        "suspect": "stranger", "key": "stranger",
        "from": rfc3339(time.time_ns() - 7200 * NANO), "reason": "key was stolen",
    })  # fmt: skip
    return {
        "credentials": "gateway.token:tok-planner",
        "revocations": revoked["id"],
        "actuators": "gateway-keys",
        "findings": await first_finding(api, "gateway.token:tok-crawler"),
    }


async def first_finding(api: Api, presented: str) -> str:
    """Wait for a finding about a name; give its id."""
    async with asyncio.timeout(SETTLED):
        while True:
            for each in (await api.get("findings?limit=1000"))["findings"]:
                if each["presented"] == presented:
                    return str(each["id"])
            await asyncio.sleep(0.1)


MARKUP: Final = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    '"><svg onload=window.ran=1>',
    "' autofocus onfocus=window.ran=1 x='",
    "</title></textarea></style><iframe srcdoc='<script>parent.ran=1</script>'>",
    "javascript:window.ran=1//",
    "{{7*191}}${7*191}<%=7*191%>",
    "<a href=javascript:window.ran=1 data-hx-get=/x hx-on:load=window.ran=1>x</a>",
    '=HYPERLINK("http://evil.example";"x")',
    "+1+cmd|' /C calc'!A0",
    "\u202etxt.exe\u202c\u2066\u200b\ufeff",
    "a\x1b[31mred\x07\x08\x7f\u0085\u2028b",
    "line\r\nbreak\tand tab",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \U0001f9a0",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d" * 9,
)
LONG: Final = "W" * 240


def hostile() -> Iterator[bytes]:
    """Lines in which each field that a source can fill has hostile text."""
    for number, text in enumerate((*MARKUP, LONG)):
        log = Gateway()
        agent, token = f"{text[:200]}", f"{number}{text[:200]}"
        log.issue(7200, token, agent, owner=text[:200], scopes=[text, f"{text}:*"])
        log.issue(7100, f"s{token}", agent, by=token, scopes=["<i>more</i>" + text])
        log.end(3600, token, comment=text * (1 if number % 2 else 40))
        log.use(
            1800, token, agent, tool=text[:120], scopes=[text],
            caller={"address": text, "user_agent": text * 40},
        )  # fmt: skip
        log.use(1700, f"u{token}", f"x{agent}", tool=text[:120])
        log.say(text[:80], 1000, result=text, caller={"agent": text})
        yield log.bytes()
        yield text.encode() + b"\n"


async def tell_hostile(api: Api) -> dict[str, str]:
    """Tell a server what somebody wrote who wants to run in the console."""
    for part in hostile():
        await api.post("events/gateway", part, "gateway")
    revoked: dict[str, Any] = {}
    for number, text in enumerate(MARKUP):
        name = f"gateway.token:{number}{text[:200]}"
        revoked = await api.post(
            "revocations", {"identifier": name, "reason": text * 3}
        )
        await api.post("suspensions", {
            "identifier": f"agent.id:{text[:200]}", "aspect": "x", "reason": text,
        })  # fmt: skip
        await api.post("owners", {
            "identifier": f"agent.id:{text[:200]}",
            "owners": [f"person.id:{text[:200]}"],
            "reason": text,
        })  # fmt: skip
    name = f"gateway.token:1{MARKUP[1]}"
    return {
        "credentials": name,
        "revocations": revoked["id"],
        "actuators": "gateway-keys",
        "findings": await first_finding(api, name),
    }
