"""A token that is revoked counts no longer, at a server that runs on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import structlog.testing

from enforcement.guard import Guard
from streams.apps.builders.access import ConfigurationError, access
from streams.http.auth import Tokens
from streams.http.revoked_tokens import RevokedTokens
from streams.settings.server import Settings
from tests.integration.serving import Server, running, until, values

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of revoked tokens, which is looked at all the time."""
    monkeypatch.setattr("streams.http.revoked_tokens.LOOK_SECONDS", 0.01)
    path = tmp_path / "revoked"
    path.write_text("# none yet\n", "utf-8")
    return path


def digest(token: str) -> str:
    """Give what settings and file say of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(file: Path, *tokens: str) -> None:
    """Put tokens into the file, as an editor would."""
    lines = "".join(f"{digest(each)}  # {each}\n" for each in tokens)
    file.write_text(file.read_text("utf-8") + lines, "utf-8")


async def test_its_feed_is_cut_and_nothing_lets_it_in_again(
    tmp_path: Path, file: Path
) -> None:
    """With no restart; other tokens are as before."""
    async with (
        running(tmp_path, revoked_tokens=str(file)) as server,
        Guard(server.url, "guard", name="orders", lease=0.4) as guard,
    ):
        assert await guard.ready(30)
        connections = guard.feed.connections
        assert await asked(server, "viewer") == 200
        add(file, "guard")
        await until(lambda: not guard.standing.holds() and guard.feed.last_error, 20)
        assert guard.feed.connections == connections, "it was let in again"
        assert "401" in str(guard.feed.last_error)
        assert await asked(server, "viewer") == 200
        add(file, "viewer")

        async def refused() -> bool:
            return await asked(server, "viewer") == 401

        await until(refused)


async def asked(server: Server, token: str) -> int:
    """Ask for the findings; give the status."""
    headers = {"Authorization": f"Bearer {token}"}
    async with server.session.get(
        f"{server.url}/v1/findings", headers=headers
    ) as answer:
        return answer.status


async def test_a_restart_knows_it(tmp_path: Path, file: Path) -> None:
    """It is durable where the file is."""
    add(file, "viewer")
    async with running(tmp_path, revoked_tokens=str(file)) as server:
        assert await asked(server, "viewer") == 401
        assert await asked(server, "revoker") == 200


def test_what_was_revoked_stays_so_whatever_becomes_of_the_file(
    tmp_path: Path, file: Path
) -> None:
    """A file that is emptied, broken or gone gives nobody a right back."""
    tokens = Tokens(Settings(**values(tmp_path)).tokens)
    add(file, "viewer")
    assert tokens.still("viewer", "viewer")
    assert not tokens.still("viewer", "restorer")
    assert not tokens.still("nobody", "viewer")
    followed = RevokedTokens(file, tokens)
    assert not tokens.still("viewer", "viewer")
    for become in ("", "nonsense\n"):
        file.write_text(become, "utf-8")
        followed.look()
        assert refuses(tokens, "viewer")
    file.unlink()
    followed.look()
    assert refuses(tokens, "viewer")
    assert not refuses(tokens, "revoker")
    file.write_text(f"nonsense\n{digest('revoker').upper()} # of a line that is wrong")
    with structlog.testing.capture_logs() as lines:
        followed.look()
    assert refuses(tokens, "revoker")
    told = {each["event"]: each for each in lines}
    assert told["revoked_tokens_not_read"]["lines"] == [1]
    assert told["tokens_revoked"]["names"] == ["revoker"]


def refuses(tokens: Tokens, token: str) -> bool:
    """Whether a token is refused as revoked."""
    try:
        tokens.known(token, "viewer", "revoker")
    except Exception as problem:  # noqa: BLE001 - told by its title
        return getattr(problem, "title", "") == "revoked token"
    return False


@pytest.mark.parametrize(
    ("text", "says"), [(None, "No such file"), ("one\n", "line 1 begins with no SHA")]
)
def test_a_start_refuses_a_file_that_it_cannot_read(
    tmp_path: Path, text: str | None, says: str
) -> None:
    """Nobody is left to believe that something is revoked."""
    path = tmp_path / "revoked"
    if text is not None:
        path.write_text(text, "utf-8")
    settings = Settings(**values(tmp_path, revoked_tokens=str(path)))
    with pytest.raises(ConfigurationError, match=says):
        access(settings, lambda: 0)


def test_every_role_follows_it(tmp_path: Path, file: Path) -> None:
    """What lets callers in brings the loop, as it brings that of the certificate."""
    settings = Settings(**values(tmp_path, revoked_tokens=str(file)))
    entry = access(settings, lambda: 0)
    assert entry.revoked is not None
    assert entry.loops() == [entry.revoked.run]
