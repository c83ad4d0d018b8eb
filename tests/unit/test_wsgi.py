"""Requests and responses of WSGI applications behind a guard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from agents_registry.life import Reason
from enforcement.tasks import DeniedError
from enforcement.verdict import Lapse, Mode, Verdict
from enforcement.wsgi import GuardedApplication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ALLOWED = Verdict(allowed=True, reason=Reason.LIVES, mode=Mode.FAIL_CLOSED)
REVOKED = Verdict(allowed=False, reason=Reason.REVOKED, mode=Mode.FAIL_CLOSED)
CUT_OFF = Verdict(allowed=False, reason=Lapse.NO_LEASE, mode=Mode.FAIL_CLOSED)


class Told:
    """Guard whose verdicts are told beforehand; the last one stays."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[tuple[Any, ...]] = []
        self.waited: list[float] = []

    def check(
        self, presented: Any, *, scope: str | None = None, route: str | None = None
    ) -> Verdict:
        """Take the next verdict."""
        self.asked.append((presented, scope, route))
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    def ready(self, timeout: float, *, required: bool) -> bool:
        """Note the wait; no lease comes."""
        assert not required
        self.waited.append(timeout)
        return False


class Pieces:
    """Response in three pieces that knows whether it was closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"a", b"b", b"c"])

    def close(self) -> None:
        """Note the end."""
        self.closed = True


def guarded(
    guard: Any, app: Callable[..., Iterable[bytes]] | None = None, **asks: Any
) -> tuple[Any, list[Any], Pieces]:
    """Stand before an application; give it, what it started and its response."""
    response = Pieces()

    def streams(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return response

    started: list[Any] = []

    def start(status: str, headers: list[Any], error: Any = None) -> Callable[..., Any]:
        started.append((status, dict(headers), error))
        return started.append

    stands = GuardedApplication(
        app or streams, guard, lambda environ: environ.get("who"), **asks
    )
    return (lambda environ: stands(environ, start)), started, response


def test_one_with_nothing_to_present_is_refused() -> None:
    """The guard is not even asked."""
    guard = Told(ALLOWED)
    app, started, _ = guarded(guard)
    body = b"".join(app({}))
    assert started[0][0] == "401 Unauthorized"
    assert json.loads(body)["reason"] == "no_credential"
    assert guard.asked == []


def test_one_who_is_denied_never_reaches_the_application() -> None:
    """Its refusal names the reason."""
    app, started, _ = guarded(Told(REVOKED), lambda *_: pytest.fail("reached"))
    body = b"".join(app({"who": "agent.id:a"}))
    assert started[0][0] == "401 Unauthorized"
    assert json.loads(body)["reason"] == "revoked"


def test_scope_and_route_are_asked_for() -> None:
    """For each piece as for the request."""
    guard = Told(ALLOWED)
    app, _, response = guarded(
        guard, scope=lambda _: "crm|read", route=lambda environ: environ["way"]
    )
    assert b"".join(app({"who": "agent.id:a", "way": "export"})) == b"abc"
    assert set(guard.asked) == {("agent.id:a", "crm|read", "export")}
    assert response.closed


def test_a_response_is_cut_where_its_caller_dies() -> None:
    """It stays incomplete, and the application may tidy up."""
    app, started, response = guarded(Told(ALLOWED, ALLOWED, REVOKED))
    pieces = iter(app({"who": "agent.id:a"}))
    assert next(pieces) == b"a"
    with pytest.raises(DeniedError, match="revoked"):
        next(pieces)
    assert response.closed
    assert len(started) == 1


def test_one_who_dies_before_the_first_piece_is_told_so() -> None:
    """Headers that are not sent yet are replaced, as PEP 3333 has it."""
    app, started, response = guarded(Told(ALLOWED, REVOKED))
    body = b"".join(app({"who": "agent.id:a"}))
    assert json.loads(body)["reason"] == "revoked"
    assert [status for status, *_ in started] == ["200 OK", "401 Unauthorized"]
    assert started[1][2][0] is DeniedError
    assert response.closed


def test_a_piece_waits_for_a_lease_and_a_request_does_not() -> None:
    """A request would keep a thread from others."""
    guard = Told(ALLOWED, CUT_OFF, ALLOWED)
    app, _, _ = guarded(guard)
    assert b"".join(app({"who": "agent.id:a"})) == b"abc"
    assert guard.waited == [1.0]
    guard = Told(CUT_OFF)
    app, started, _ = guarded(guard)
    b"".join(app({"who": "agent.id:a"}))
    assert started[0][0] == "403 Forbidden"
    assert guard.waited == []


def test_what_is_written_the_old_way_is_asked_about_too() -> None:
    """By the callable that start_response returns."""

    def writes(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return []

    app, started, _ = guarded(Told(ALLOWED, ALLOWED, REVOKED), writes)
    with pytest.raises(DeniedError, match="revoked"):
        app({"who": "agent.id:a"})
    assert started[1:] == [b"a"]


def called(app: Any, **environ: Any) -> tuple[str, bytes]:
    """Call an application as a server that keeps PEP 3333 does."""
    setup_testing_defaults(environ)
    environ = {"QUERY_STRING": "", "SCRIPT_NAME": ""} | environ
    started: list[str] = []

    def start(status: str, headers: list[Any], error: Any = None) -> Any:
        started.append(status)
        return started.append

    response: Any = validator(app)(environ, start)
    try:
        body = b"".join(response)
    finally:
        response.close()
    return started[-1], body


@pytest.mark.parametrize(
    ("verdict", "status"), [(ALLOWED, "200 OK"), (REVOKED, "401 Unauthorized")]
)
def test_both_answers_keep_the_protocol(verdict: Verdict, status: str) -> None:
    """The validator of the standard library stands before it."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"abc"]

    guard: Any = Told(verdict)
    stands = GuardedApplication(app, guard, lambda environ: environ.get("who"))
    assert called(stands, who="agent.id:a")[0] == status


@pytest.mark.parametrize(
    ("verdict", "status", "says"),
    [(ALLOWED, "200 OK", b"order 1"), (REVOKED, "401 Unauthorized", b"revoked")],
)
def test_django_stands_behind_a_guard(
    verdict: Verdict, status: str, says: bytes
) -> None:
    """As its wsgi.py would wrap it."""
    # Imported by this test alone: it takes long.
    import django.conf  # noqa: PLC0415
    import django.http  # noqa: PLC0415
    import django.urls  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415

    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ROOT_URLCONF=(
                django.urls.path(
                    "orders", lambda _: django.http.HttpResponse(b"order 1")
                ),
            ),
            ALLOWED_HOSTS=["*"],
        )
    guard: Any = Told(verdict)
    stands = GuardedApplication(
        get_wsgi_application(), guard, lambda environ: environ.get("who")
    )
    answer = called(stands, who="agent.id:a", PATH_INFO="/orders")
    assert answer[0] == status
    assert says in answer[1]
