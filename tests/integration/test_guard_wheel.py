"""The distributions of the guard, built and installed beside a customer's code.

The customer has packages named ``schemas`` and ``streams``; ours must neither replace
nor need them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from streams.engines.kafka.records.codec import fact_record
from tests.integration.kafka_guards import CHILD, revoke
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

AGENT = "agent.id:planner"
CUSTOMERS = {
    name: f'OWNER = "{name} of the customer"\n' for name in ("schemas", "streams")
}


@frozen
class Customer:
    """A customer's environment with the wheel in it."""

    python: Path
    wheel: Path
    compat: Path
    folder: Path

    def target(self, repository: Path, folder: Path, *wanted: str) -> None:
        """Install more into a folder that a script can put on its path."""
        extra = [uv(repository), "pip", "install", "--quiet", "--target", str(folder)]
        extra += ["--python", str(self.python)]
        extra += ["--constraints", str(self.folder / "pins.txt")]
        online([*extra, *wanted])

    def command(self, script: str, *arguments: str) -> list[str]:
        """Give the command that runs a script with nothing of ours on its path."""
        return [str(self.python), "-I", "-c", textwrap.dedent(script), *arguments]

    def run(self, script: str, *arguments: str) -> str:
        """Run a script; give what it printed."""
        done = subprocess.run(
            self.command(script, *arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def uv(repository: Path) -> str:
    """Give the uv that `make install` fetched, or the one of the machine."""
    fetched = sorted(repository.glob("build/uv-*"))
    found = str(fetched[-1]) if fetched else shutil.which("uv")
    assert found, "there is no uv: run make install"
    return found


def call(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command; give what it printed, and say why it failed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=env
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def online(command: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command of uv's from its cache, and ask the index only where it must."""
    try:
        return call([*command, "--offline"], env)
    except AssertionError:
        return call(command, env)


@pytest.fixture(scope="module")
def customer(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Customer:
    """Build the wheel and install it into an environment of its own."""
    folder = tmp_path_factory.mktemp("customer")
    tool = uv(repository)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT"}
    }
    build = [sys.executable, str(repository / "wheels" / "guard" / "build.py")]
    places = ["--out", str(folder / "dist"), "--stage", str(folder / "stage")]
    online([*build, "--uv", tool, *places], env=environment)
    (wheel,) = (folder / "dist").glob("rescind_guard-*.whl")
    (compat,) = (folder / "dist").glob("rescind_guard_compat-*.whl")

    call([tool, "venv", "--quiet", "--python", sys.executable, str(folder / "env")])
    python = folder / "env" / "bin" / "python"
    pins = [tool, "export", "--quiet", "--frozen", "--all-extras", "--no-hashes"]
    pins += ["--no-emit-project", "--project", str(repository)]
    (folder / "pins.txt").write_text(call(pins, env=environment))
    install = [tool, "pip", "install", "--quiet", "--python", str(python)]
    install += ["--constraints", str(folder / "pins.txt"), f"{wheel}"]
    online(install, env=environment)
    site = Path(
        call(
            [str(python), "-c", "import site; print(site.getsitepackages()[0])"]
        ).strip()
    )
    for name, source in CUSTOMERS.items():
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(source)
    return Customer(python, wheel, compat, folder)


def test_the_wheel_holds_one_package(customer: Customer) -> None:
    """Nothing as generic as schemas or enforcement lands in site-packages."""
    with zipfile.ZipFile(customer.wheel) as wheel:
        names = wheel.namelist()

    assert {name.split("/")[0] for name in names} == {
        "rescind_guard",
        "rescind_guard-0.1.0.dist-info",
    }
    assert "rescind_guard/py.typed" in names
    assert "rescind_guard/_vendor/schemas/released/cause/1.avsc" in names


@pytest.mark.parametrize(
    ("module", "extra"),
    [(name, f"rescind-guard[{name}]") for name in ("kafka", "faust", "grpc")],
)
def test_a_missing_extra_is_named(customer: Customer, module: str, extra: str) -> None:
    """Instead of the name of a module that nobody asked for."""
    printed = customer.run(
        """
        import importlib, sys
        try:
            importlib.import_module(f"rescind_guard.{sys.argv[1]}")
        except ModuleNotFoundError as error:
            print(error)
        """,
        module,
    )

    assert f"install {extra}" in printed


def test_the_former_names_forward_and_warn(
    customer: Customer, repository: Path, tmp_path: Path
) -> None:
    """For one release, by a distribution of their own; once an import, at its line."""
    customer.target(repository, tmp_path, "--no-deps", str(customer.compat))
    script = """
        import sys, warnings
        sys.path.insert(0, sys.argv[1])
        import rescind_guard
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            from enforcement import Guard, Mode
            from enforcement.aiohttp import protect
            from enforcement.tasks import DeniedError
            from agents_registry.identifiers import Identifier
        for warning in told:
            print(warning.category.__name__, warning.lineno, str(warning.message)[:43])
        print(
            Guard is rescind_guard.Guard, Mode is rescind_guard.Mode,
            DeniedError is rescind_guard.DeniedError,
            Identifier is rescind_guard.Identifier,
        )
        """
    printed = customer.run(script, str(tmp_path))

    assert printed.splitlines() == [
        "DeprecationWarning 7 import rescind_guard instead of enforcement",
        "DeprecationWarning 10 import rescind_guard instead of agents_regi",
        "True True True True",
    ]


def test_its_dependencies_are_light(customer: Customer) -> None:
    """What comes along is what aiohttp and attrs bring."""
    listed = customer.run(
        """
        from importlib.metadata import distributions
        print(*sorted(d.name.lower().replace("_", "-") for d in distributions()))
        """
    )

    assert set(listed.split()) <= {
        "aiohappyeyeballs", "aiohttp", "aiosignal", "attrs", "frozenlist", "idna",
        "multidict", "propcache", "rescind-guard", "typing-extensions", "yarl",
    }  # fmt: skip


async def test_a_guard_of_the_wheel_denies_what_is_revoked(
    customer: Customer, tmp_path: Path
) -> None:
    """Against a real server, in a process of its own, beside the customer's names."""
    script = """
        import asyncio, sys
        import schemas, streams
        from rescind_guard import Guard

        async def main():
            async with Guard(sys.argv[1], "guard", name="g", lease=4.0) as guard:
                assert await guard.ready(60)
                print(guard.check(sys.argv[2]).reason.value, flush=True)
                assert await guard.wait_for(sys.stdin.readline().strip(), 60)
                print(guard.check(sys.argv[2]).reason.value)
                print(schemas.OWNER, streams.OWNER, sep="; ")

        asyncio.run(main())
        """
    async with running(tmp_path) as server:
        credentials = {"credentials": [{"identifier": AGENT}]}
        status, answer = await server.post("/v1/adopt", "restorer", credentials)
        assert status == 201, answer
        process = await asyncio.create_subprocess_exec(
            *customer.command(script, server.url, AGENT),
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert await process.stdout.readline() == b"lives\n"
            revocation = {"identifier": AGENT}
            status, answer = await server.post("/v1/revocations", "revoker", revocation)
            assert status == 201, answer
            out, _ = await process.communicate(f"{answer['token']}\n".encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    assert out.decode().splitlines() == [
        "revoked",
        "schemas of the customer; streams of the customer",
    ]


def test_its_kafka_part_brings_its_own_schemas(
    customer: Customer, repository: Path, tmp_path: Path
) -> None:
    """It reads the records of this tree, and the customer's schemas stay theirs."""
    customer.target(repository, tmp_path, f"{customer.wheel}[kafka]")
    record = fact_record("default", revoke(CHILD), 1)
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import schemas
        from rescind_guard.kafka import KafkaGuard
        from rescind_guard._vendor.enforcement.kafka.replica import read_entry

        entry = read_entry(bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]))
        print(entry.effect.value, str(entry.target))
        print(schemas.OWNER, sorted(m for m in sys.modules if m.startswith("schemas")))
        guard = KafkaGuard({"bootstrap_servers": "127.0.0.1:1"}, name="g")
        print(guard.standing.replica.codec.__module__)
        """
    printed = customer.run(script, str(tmp_path), record.key.hex(), record.value.hex())

    assert printed.splitlines() == [
        "revoke vault.accessor:child",
        "schemas of the customer ['schemas']",
        "rescind_guard._vendor.schemas.codec",
    ]


@pytest.mark.long
def test_the_public_api_is_typed(customer: Customer, tmp_path: Path) -> None:
    """A type checker sees the types in the customer's environment."""
    module = tmp_path / "orders.py"
    module.write_text(
        textwrap.dedent(
            """
            from rescind_guard import Guard, Verdict
            from rescind_guard.aiohttp import protect
            from rescind_guard.asgi import GuardMiddleware
            from aiohttp import web

            def end(verdict: Verdict) -> None:
                reveal_type(verdict.allowed)

            def use(guard: Guard, app: web.Application) -> bool:
                guard.on_deny("session.id:1", end).cancel()
                protect(app, guard, lambda request: request.query.get("t"))
                return guard.check("session.id:1")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental",
         "--python-executable", str(customer.python), "orders.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert 'Revealed type is "bool"' in done.stdout
    assert 'got "Verdict", expected "bool"' in done.stdout
    assert "Found 1 error" in done.stdout, done.stdout


def test_its_version_and_floors_are_those_of_the_tree(repository: Path) -> None:
    """All distributions come from one tree."""
    tree = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    guard = tomllib.loads((repository / "wheels/guard/pyproject.toml").read_text())
    theirs = guard["project"]
    extras = theirs["optional-dependencies"].values()
    known = {*tree["dependencies"]}
    known |= {one for of in tree["optional-dependencies"].values() for one in of}

    assert theirs["version"] == tree["version"]
    compat = tomllib.loads(
        (repository / "wheels/guard-compat/pyproject.toml").read_text()
    )
    assert compat["project"]["version"] == tree["version"]
    assert compat["project"]["dependencies"] == [f"rescind-guard=={tree['version']}"]
    assert theirs["requires-python"] == tree["requires-python"]
    assert {*theirs["dependencies"], *(one for of in extras for one in of)} <= known
