"""Parts of the console: text of others, sessions, links, tokens of forms, files."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp.test_utils import make_mocked_request

from streams.console import csrf
from streams.console.addresses import local
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.asked import Asked, read
from streams.console.assets import FOLDER, assets
from streams.console.attempts import FailedTry, LoginAttempts, LoginOrigin
from streams.console.entry import Entry
from streams.console.login import one_time_link
from streams.console.oidc_login import LoginFailedError, ProviderClient, ProviderLogin
from streams.console.sessions import ConsoleSessions, Holder, SessionLimits
from streams.console.templates import environment, rendered, url
from streams.console.text import csv_file, shown, visible
from streams.model.times import SECOND
from streams.outbound.answers import RequestError

pytestmark = pytest.mark.unit

# As published in npm's htmx.org 2.0.11, dist/htmx.min.js.
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
LARGEST = 100_000  # bytes of all files together, as they are sent
ANN = Holder("ann", "ann", {"default": frozenset({"viewer"})}, "default")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """Give the time (ns)."""
        return self.now

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * SECOND)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\x00\x1b[31mb", "a⟨U+0000⟩⟨U+001B⟩[31mb"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("Müller, 東京, עברית", "Müller, 東京, עברית"),
    ],
)
def test_every_character_is_seen(text: str, seen: str) -> None:
    """One that is not seen, or that turns the others, is written out."""
    assert seen == visible(text)


def test_templates_put_out_nothing_as_it_came() -> None:
    """Markup is escaped, controls are visible, and long text ends."""
    made = environment(assets())
    made.loader = None
    text = made.from_string("<p title='{{ a }}'>{{ a }}</p>{{ exact(a) }}")
    hostile = "<script>'\u202e"
    assert text.render(a=hostile) == (
        "<p title='&lt;script&gt;&#39;⟨U+202E⟩'>&lt;script&gt;&#39;⟨U+202E⟩</p>"
        "&lt;script&gt;&#39;\u202e"
    )
    assert len(str(shown("x" * 100_000))) < 5000


def test_a_spreadsheet_computes_nothing() -> None:
    """Cells begin with an apostrophe where they would be formulas."""
    rows: list[list[object]] = [
        ["=1+1", "+1", "-1", "@x", "\tx"],
        ['say "x"', 7, None, "a\u202eb", "\rx"],
    ]
    assert csv_file(["a", "b", "c", "d", "e"], rows).decode() == (
        '"a","b","c","d","e"\r\n'
        '"\'=1+1","\'+1","\'-1","\'@x","\'\tx"\r\n'
        '"say ""x""","7","","a⟨U+202E⟩b","⟨U+000D⟩x"\r\n'
    )


def test_htmx_is_the_published_one() -> None:
    """Nobody changed it, and NOTICE names its licence."""
    body = (FOLDER / "htmx.min.js").read_bytes()
    assert hashlib.sha256(body).hexdigest() == HTMX


def test_files_are_small() -> None:
    """All that a browser loads, packed."""
    assert sum(len(each.packed) for each in assets().values()) < LARGEST


@pytest.mark.parametrize(
    ("path", "names", "query", "found"),
    [
        ("/", (), {}, "/console"),
        ("/x", ("a/b?c",), {"x": None, "y": "&"}, "/console/x/a%2Fb%3Fc?y=%26"),
    ],
)
def test_addresses_are_quoted(
    path: str, names: tuple[str, ...], query: dict[str, object], found: str
) -> None:
    """A name cannot leave its place."""
    assert found == url(path, *names, **query)


@pytest.mark.parametrize(
    ("target", "page"),
    [
        ("/console/findings?open=true", "/console/findings?open=true"),
        ("/console", "/console"),
        ("https://evil.example/", "/console"),
        ("//evil.example", "/console"),
        ("/consoleevil", "/console"),
        ("/console\\..\\x", "/console"),
        ("/console/\r\nSet-Cookie: a", "/console"),
        ("/console/audit?actor=" + "x" * 8190, "/console"),
        ("/console/audit?actor=secret:x", "/console/audit"),
    ],
)
def test_a_login_leads_to_a_page_of_ours(target: str, page: str) -> None:
    """And never to another site."""
    assert page == local(target, frozenset())


def test_a_session_ends_when_it_is_idle_old_or_expired() -> None:
    """Also where its page goes on asking by itself."""
    clock = Clock()
    sessions = ConsoleSessions(SessionLimits(idle=60, absolute=100), clock)
    one = sessions.begin(ANN, "t")
    clock.turn(59)
    assert sessions.find(one) is not None
    clock.turn(59)
    assert sessions.find(one, idle=True) is None  # 118 s old

    two = sessions.begin(ANN, "t")
    clock.turn(40)
    assert sessions.find(two, idle=True) is not None
    clock.turn(20)
    assert sessions.find(two) is None

    three = sessions.begin(ANN, "t", expires=clock.now + 10 * SECOND)
    clock.turn(10)
    assert sessions.find(three) is None
    assert sessions.find("nonsense") is None
    assert len(sessions) == 0


def test_the_idlest_session_makes_room() -> None:
    """Of a person first, then of all."""
    clock = Clock()
    limits = SessionLimits(of_person=2, all=3)
    sessions = ConsoleSessions(limits, clock)
    cookies = []
    for _ in range(3):
        clock.turn(1)
        cookies.append(sessions.begin(ANN, "t"))
    assert [sessions.find(each) is not None for each in cookies] == [False, True, True]
    for name in ("bob", "cat"):
        clock.turn(1)
        cookies.append(sessions.begin(Holder(name, name, {}, "default"), "t"))
    found = [sessions.find(each) is not None for each in cookies]
    assert found == [False, False, True, True, True]


def test_realms_can_be_shown_where_roles_are_held() -> None:
    """The server's own first; whoever has roles everywhere may name any."""
    roles = {"b": frozenset({"viewer"}), "a": frozenset({"revoker"})}
    some = Holder("x", "x", roles, "home")
    assert some.realms == ("a", "b")
    assert [some.shows(each) for each in ("a", "home", "c", "")] == [True, *[False] * 3]
    every = Holder("x", "x", {**roles, "*": frozenset({"admin"})}, "home")
    assert every.realms == ("home", "a", "b")
    assert [every.shows(each) for each in ("c", "<b>", "")] == [True, False, False]
    assert every.roles_in("a") == {"admin", "revoker"}


async def test_a_provider_that_is_away_is_not_asked_by_everybody() -> None:
    """Once for all who want to log in, and then not for some seconds."""
    clock, asked = Clock(), 0

    class Away:
        async def request(self, *_: Any, **__: Any) -> Any:
            nonlocal asked
            asked += 1
            raise RequestError("unreachable")

    client = ProviderClient(
        issuer="https://idp", client_id="c", redirect="", after="", title=""
    )
    nothing: Any = None
    away: Any = Away()
    login = ProviderLogin(client, away, nothing, clock)
    for _ in range(3):
        for done in await asyncio.gather(
            *(login.begin("/console") for _ in range(10)), return_exceptions=True
        ):
            assert isinstance(done, LoginFailedError)
    assert await login.logout_url() == ""
    assert asked == 1
    clock.turn(5)
    with pytest.raises(LoginFailedError):
        await login.begin("/console")
    assert asked == 2


def test_a_session_shows_no_secret() -> None:
    """Neither credential nor the token of its forms."""
    sessions = ConsoleSessions(SessionLimits(), Clock())
    cookie = sessions.begin(ANN, "the-credential")
    session = sessions.find(cookie)
    assert session is not None
    for text in (repr(session), repr(sessions)):
        assert "the-credential" not in text
        assert session.csrf_in("default") not in text
        assert cookie not in text


def test_a_link_works_once_and_not_for_long() -> None:
    """Nor with another key."""
    link, key = one_time_link("t", 0, 10)
    assert link.opens("x" + key, 1) is None
    assert link.opens(key, 10 * SECOND) is None
    assert link.opens(key, 9 * SECOND) == "t"
    link.use_up()
    assert link.opens(key, 9 * SECOND) is None
    assert key not in repr(link)
    assert "'t'" not in repr(link)


def test_failed_logins_are_counted_by_address() -> None:
    """Of IPv6 by its /64; another address may try."""
    clock = Clock()
    attempts = LoginAttempts(clock)
    for number in range(10):
        assert attempts.wait("2001:db8::1") == 0
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.wait("2001:db8::ffff") == 60
    assert attempts.wait("2001:db9::1") == 0
    clock.turn(60)
    assert attempts.wait("2001:db8::1") == 0


@pytest.mark.parametrize(
    ("headers", "form", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, {"csrf": "t"}, True),
        ({"Host": "h:1", "Origin": "http://h:1"}, {"csrf": "t"}, True),
        ({"Host": "h:1", "Origin": "http://h:2"}, {"csrf": "t"}, False),
        ({"Host": "h:1", "Origin": "null"}, {"csrf": "t"}, False),
        ({}, {"csrf": "t"}, True),
        ({"X-CSRF-Token": "t"}, {}, True),
        ({}, {"csrf": "other"}, False),
        ({}, {}, False),
        ({"Sec-Fetch-Site": "cross-site"}, {"csrf": "t"}, False),
        ({"Sec-Fetch-Site": "same-site"}, {"csrf": "t"}, False),
    ],
)
def test_a_form_is_of_its_session(
    headers: dict[str, str], form: dict[str, str], *, allowed: bool
) -> None:
    """And of no other site."""
    assert csrf.is_allowed(headers, form, "t") is allowed


def test_all_templates_can_be_read() -> None:
    """Also those that no other test fills."""
    made = environment(assets())
    for name in made.list_templates():
        made.get_template(name)
    text = rendered(made, "bounce.html", {"theme": "auto", "to": "/console?a=b&c=d"})
    assert b'content="0;url=/console?a=b&amp;c=d"' in text


async def test_many_tries_at_once_are_counted() -> None:
    """Before it is known that they fail; those that are none are forgotten."""
    asked, left = 0, asyncio.Event()

    async def caller() -> ApiAnswer:
        nonlocal asked
        asked += 1
        await left.wait()
        return ApiAnswer(401, {}, ApiProblem("no", "", "", 401))

    def api(_: str) -> Any:
        return SimpleNamespace(get=lambda _: caller())

    frame = SimpleNamespace(bare=lambda *_, **__: b"")
    entry = Entry(
        sessions=ConsoleSessions(SessionLimits(), lambda: 0),
        attempts=LoginAttempts(lambda: 0),
        frame=frame,  # type: ignore[arg-type] # a fake
        api_for=api,
        clock=lambda: 0,
    )
    form = {"token": "guess"}
    one = Asked("POST", "/console/login", "", "", {}, {}, {}, form, False, "192.0.2.1")
    tries = [asyncio.ensure_future(entry.by_token(one)) for _ in range(30)]
    await asyncio.sleep(0)
    left.set()
    statuses = [(await each).status for each in tries]
    assert (statuses.count(403), statuses.count(429), asked) == (10, 20, 10)


def test_a_try_that_was_none_is_forgotten() -> None:
    """Who logs in well is never kept out for it."""
    attempts = LoginAttempts(lambda: 0)
    for _ in range(30):
        assert attempts.wait("192.0.2.1") == 0
        attempts.forget(attempts.failed("192.0.2.1"))
    attempts.forget(FailedTry(0, LoginOrigin.of("192.0.2.1")))


async def test_strangers_crowd_no_login_out() -> None:
    """What was begun is in the browser: others may begin as often as they like."""
    login = ProviderLogin(
        ProviderClient(
            issuer="https://i.example", client_id="c", redirect="r", after="a",
            title="t",
        ),
        None,  # type: ignore[arg-type] # nobody is asked
        None,  # type: ignore[arg-type]
        lambda: 0,
    )  # fmt: skip
    found: dict[str, Any] = {
        "issuer": "https://i.example", "authorization_endpoint": "https://i.example/a",
    }  # fmt: skip
    login._known = 0, found
    where, cookie = await login.begin("/console/x")
    for _ in range(1100):
        await login.begin("/console")
    state = parse_qs(where)["state"][0]
    with pytest.raises(LoginFailedError, match="no code"):
        await login.finish(cookie, {"state": state})
    with pytest.raises(LoginFailedError, match="no login of this browser"):
        await login.finish(cookie, {"state": state})  # once is enough
    _, other = await login.begin("/console")
    seed, until, page, mark = other.split(".")
    for forged in (
        f"{seed}.{until}0.{page}.{mark}", f"{seed}.{until}.{page}x.{mark}", other[:-1],
        "", "...", ".", "\ud800.",
    ):  # fmt: skip
        with pytest.raises(LoginFailedError, match="no login of this browser"):
            await login.finish(forged, {"state": state})
    with pytest.raises(LoginFailedError, match="another login"):
        await login.finish(other, {"state": state})
    found["authorization_response_iss_parameter_supported"] = True
    where, cookie = await login.begin("/console")
    with pytest.raises(LoginFailedError, match="iss is another"):
        await login.finish(cookie, {"state": parse_qs(where)["state"][0]})
    _, long = await login.begin("/console/" + "x" * 5000)
    assert len(long) < 3000


async def test_a_link_that_is_fetched_ahead_is_not_used() -> None:
    """By a browser that guesses what its person opens next."""
    link, key = one_time_link("t", 0, 10)
    frame = SimpleNamespace(bare=lambda *_, **__: b"")
    entry = Entry(
        sessions=ConsoleSessions(SessionLimits(), lambda: 0),
        attempts=LoginAttempts(lambda: 0),
        frame=frame,  # type: ignore[arg-type] # a fake
        api_for=lambda _: None,  # type: ignore[arg-type, return-value]
        clock=lambda: 0,
        link=link,
    )
    ahead = {"Sec-Purpose": "prefetch;prerender"}
    one = Asked(
        "GET", "/console/link", "", "", {"key": key}, ahead, {}, {}, False, "192.0.2.1"
    )
    assert (await entry.by_link(one)).status == 503
    assert link.opens(key, 1) == "t"


def test_the_last_word_of_a_proxy_says_where_somebody_comes_from() -> None:
    """Only where there is a proxy: anybody may write the header."""
    named = {"X-Forwarded-For": "198.51.100.9, 192.0.2.7"}
    request = make_mocked_request("GET", "/console", headers=named)
    assert read(request, secure=True).address == "192.0.2.7"
    assert "192.0.2" not in read(request).address
    for text, address in (
        ("192.0.2.7:50123", "192.0.2.7"), ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"), ("2001:db8::1", "2001:db8::1"),
        ("::1", "::1"), ("2001:db8::1:443", "2001:db8::1:443"), ("_x", "_x"),
    ):  # fmt: skip
        request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": text})
        assert read(request, secure=True).address == address
