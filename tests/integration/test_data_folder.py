"""What a server makes of a data folder that is in use, damaged or not its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from streams.apps.embedded import serve
from streams.engines.embedded.data_folder import LostLogError, StoreInUseError
from streams.engines.embedded.store import Store
from streams.settings.server import Settings
from streams.sinks.http_delivery import EndpointError
from tests.integration.cli_server import run as rescind
from tests.integration.serving import running, values

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

NAMES = [{"identifier": f"aws.access_key:AKIAEXAMPLE{n:09}"} for n in range(400)]


async def _filled(folder: Path) -> Path:
    """Serve once, and give the file of the log with some facts in it."""
    async with running(folder) as server:
        body = {"credentials": NAMES}
        status, _ = await server.post("/v1/adopt", "restorer", body)
        assert status == 201
    return folder / "data" / "rescind.db"


async def test_a_folder_in_use_is_named_with_the_reason(tmp_path: Path) -> None:
    """Whoever starts a second server by mistake reads why it did not start."""
    async with running(tmp_path) as server:
        with pytest.raises(StoreInUseError, match="another process serves from"):
            Store.open(tmp_path / "data", realm="default", genesis="second")
        status, _ = await server.get("/v1/findings")

    assert status == 200


@pytest.mark.parametrize("harm", ["emptied", "deleted", "swapped"])
async def test_a_log_that_is_gone_is_not_replaced_in_silence(
    tmp_path: Path, harm: str
) -> None:
    """A new log would lift every denial that guards hold."""
    file = await _filled(tmp_path)
    for other in file.parent.glob("rescind.db-*"):
        other.unlink()
    if harm == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()
    if harm == "swapped":
        async with running(tmp_path / "other"):
            pass
        (tmp_path / "other/data/rescind.db").rename(file)

    with pytest.raises(LostLogError, match="restore"):
        Store.open(file.parent, realm="default", genesis="another")
    (file.parent / "genesis").unlink()  # what the text says to do
    await Store.open(file.parent, realm="default", genesis="another").close()


async def test_a_restored_backup_is_another_log_to_guards(tmp_path: Path) -> None:
    """Its next facts get offsets under which guards may hold facts that it lost."""
    file = await _filled(tmp_path)
    first = (file.parent / "genesis").read_text()
    async with running(tmp_path) as server:
        assert first.strip() == server.served.genesis
    (file.parent / "genesis").unlink()
    async with running(tmp_path) as server:
        assert first.strip() != server.served.genesis
        assert len(NAMES) == server.served.feed.end


async def test_a_first_start_that_broke_off_is_made_up_for(tmp_path: Path) -> None:
    """An empty file is no lost log where none was ever there."""
    (tmp_path / "rescind.db").touch()
    store = Store.open(tmp_path, realm="default", genesis="first")
    await store.close()

    assert "first" == store.genesis


@pytest.mark.parametrize("harm", ["cut", "overwritten", "cut to a page"])
async def test_a_damaged_log_is_said_to_be_so(tmp_path: Path, harm: str) -> None:
    """One line, an exit code, no traceback, and the file as it was."""
    file = await _filled(tmp_path)
    size = file.stat().st_size
    if harm == "overwritten":
        file.write_bytes(b"no database" * 1000)
    else:
        os.truncate(file, size // 2 if harm == "cut" else 4096)
    damaged = file.read_bytes()
    done = await asyncio.to_thread(rescind, tmp_path, "serve", "--listen", "[::1]:0")

    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "restore" in done.stderr.splitlines()[-1]
    assert damaged == file.read_bytes()


async def test_a_webhook_that_cannot_be_used_is_refused_before_serving(
    tmp_path: Path,
) -> None:
    """Nobody is told that a server is ready that ends a moment later."""
    hook = {"url": "http://example.org/", "secrets": ["whsec_" + "A" * 32]}
    settings = Settings(**values(tmp_path, webhook=hook))
    told: list[Any] = []
    with pytest.raises(EndpointError, match="allow_private"):
        await serve(settings, started=told.append)

    assert [] == told


def test_a_signal_at_the_start_ends_the_server_in_order(tmp_path: Path) -> None:
    """Whoever waits for the URL may send SIGTERM the moment that it is there."""
    program = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from streams.apps.embedded import serve\n"
        "from streams.settings.server import Settings\n"
        "def started(_):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "settings = Settings(data_dir=Path(sys.argv[1]), listen={'port': 0})\n"
        "asyncio.run(serve(settings, started=started))\n"
        "print('in order')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert (0, "in order") == (done.returncode, done.stdout.splitlines()[-1])
