"""The distribution rescind: an application, installed apart from its tree."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from tests.integration.test_guard_wheel import call, online, uv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@frozen
class Application:
    """The program, in a home of its own."""

    program: Path
    home: Path

    def environment(self) -> dict[str, str]:
        """Give what a new user's shell has."""
        return {"HOME": str(self.home), "PATH": os.defpath, "LANG": "C.UTF-8"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.home, env=self.environment(), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def application(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Application:
    """Build the wheel, and install it by `uv tool install` without any extra."""
    folder, tool = tmp_path_factory.mktemp("application"), uv(repository)
    home = folder / "home"
    home.mkdir()
    own = ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")
    environment = {k: v for k, v in os.environ.items() if k not in own}
    out = str(folder / "dist")
    build = [tool, "build", "--quiet", "--wheel", "--out-dir", out, str(repository)]
    online(build, environment)
    (wheel,) = (folder / "dist").glob("rescind-*.whl")
    pins = [tool, "export", "--quiet", "--frozen", "--no-dev", "--no-hashes"]
    pins += ["--no-emit-project", "--project", str(repository)]
    (folder / "pins.txt").write_text(call(pins, environment))
    environment |= {
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
    }
    install = [tool, "tool", "install", "--quiet", "--python", sys.executable]
    online(
        [*install, "--constraints", str(folder / "pins.txt"), str(wheel)], environment
    )
    return Application(folder / "bin" / "rescind", home)


def test_it_hunts(application: Application, repository: Path) -> None:
    """In a log that lies anywhere."""
    log = application.home / "audit.log"
    shutil.copy(repository / "examples/openbao/audit.log", log)
    done = application.run("hunt", str(log), "--output", "json")

    assert json.loads(done.stdout)["records"]["access"] == 139
    assert not done.stderr


def test_it_serves(application: Application) -> None:
    """Without settings: its token and its data are in the folder of the user."""
    with subprocess.Popen(
        [application.program, "serve", "--listen", "127.0.0.1:0"],
        cwd=application.home, env=application.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            host, port = url.removeprefix("http://").split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            connection.request("GET", "/healthz/live")
            assert connection.getresponse().status == 200
            connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("command", "extra"),
    [("worker", "rescind[kafka]"), ("dev-kafka", "rescind[dev-kafka]")],
)
def test_a_missing_extra_is_named(
    application: Application, command: str, extra: str
) -> None:
    """In one line, and not by a traceback."""
    done = application.run(command)

    assert done.returncode == 2
    assert extra in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_brings_nothing_that_customers_import(application: Application) -> None:
    """The guard is another distribution; neither overwrites a file of the other."""
    python = application.program.resolve().with_name("python")
    found = "import importlib.util as u; print(u.find_spec('rescind_guard'))"
    assert call([str(python), "-I", "-c", found]) == "None\n"
