"""The management API of a transmitter, and the command that sets a stream up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from streams.cli.main import app
from streams.ssf import heartbeat, poll, setting_up
from streams.ssf.management import DeliveryMethod, Management
from streams.ssf.metadata import POLL, PUSH, discover
from streams.ssf.tokens import KeptSecret, tokens_of
from streams.ssf.transport import TransmitterError, Transport
from tests.integration.serving import running, until, values
from tests.transmitter import AUDIENCE, BEARER, transmitting

if TYPE_CHECKING:
    from typer.testing import Result

    from tests.transmitter import Transmitter

pytestmark = pytest.mark.integration

SUBJECT = {"format": "iss_sub", "iss": "https://idp.example.com", "sub": "agent-1"}
TOLD = ("planted-push-token", BEARER)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSF_TEST_TOKEN", BEARER)
    monkeypatch.setenv("RESCIND_SSF_TOKEN", BEARER)
    monkeypatch.setattr(poll, "PAUSE", 0.02)
    monkeypatch.setattr(heartbeat, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(setting_up, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr("streams.cli.ssf.LOOK_SECONDS", 0.02)


def transport() -> Transport:
    """Give a transport with the token, for loopback."""
    return Transport(
        tokens_of(KeptSecret(None, "SSF_TEST_TOKEN"), "", ""), allow_private=True
    )


async def managed(transmitter: Transmitter) -> Management:
    """Give the management API of a transmitter."""
    return Management(transport(), await discover(transport(), transmitter.url))


async def ssf(*arguments: str) -> Result:
    """Run ``rescind ssf``."""
    run = CliRunner().invoke
    result = await asyncio.to_thread(run, app, ["ssf", *arguments])
    assert not any(secret in result.output for secret in TOLD)
    return result


async def test_a_stream_lives_through_every_call() -> None:
    """Create, read, list, update, status, subjects, verification."""
    async with transmitting() as transmitter:
        api = await managed(transmitter)
        made = await api.create(DeliveryMethod(POLL), ("urn:a",), "ours")
        assert ((AUDIENCE,), ("urn:a",)) == (made.audience, made.events_delivered)
        assert f"{transmitter.url}/poll/s1" == made.delivery.endpoint_url
        assert made == await api.read("s1")
        assert (made,) == await api.streams()

        changed = await api.update("s1", {"description": "theirs"})
        assert "theirs" == transmitter.streams["s1"]["description"]
        assert ("urn:a",) == changed.events_delivered

        assert "enabled" == (await api.status("s1")).status
        await api.add_subject("s1", SUBJECT)
        assert [SUBJECT] == transmitter.streams["s1"]["subjects"]
        await api.verify("s1", "state")


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "token"), (403, "may not"), (404, "no such"), (409, "only one"),
     (429, "too often"), (418, "418")],
)  # fmt: skip
async def test_a_refusal_says_what_to_do(status: int, said: str) -> None:
    """With the status, and without the token."""
    async with transmitting() as transmitter:
        api = await managed(transmitter)
        transmitter.planned["/api/streams"] = [status]
        with pytest.raises(TransmitterError, match=said) as caught:
            await api.read("s1")
    assert status == caught.value.status
    assert BEARER not in str(caught.value)


async def test_a_configuration_of_another_issuer_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its keys would verify what they must not."""
    async with transmitting() as transmitter:
        document = transmitter.document(issuer="https://evil.example")
        monkeypatch.setattr(
            type(transmitter), "document", lambda _, **more: document | more
        )
        with pytest.raises(TransmitterError, match="another issuer"):
            await discover(transport(), transmitter.url)


async def test_the_document_of_older_transmitters_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between host and path, under either name."""
    asked = []

    async def fetch(_: Transport, url: str) -> bytes:
        asked.append(url)
        if "ssf-" in url:
            raise TransmitterError("not here", 404)
        return b'{"issuer":"https://idp.example.com/tenant","jwks_uri":"https://x/k"}'

    monkeypatch.setattr(Transport, "fetch", fetch)
    found = await discover(transport(), "https://idp.example.com/tenant/")
    assert "https://x/k" == found.jwks_uri
    assert asked == [
        "https://idp.example.com/.well-known/ssf-configuration/tenant",
        "https://idp.example.com/.well-known/risc-configuration/tenant",
    ]


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://1.1.1.1/x", "https is needed"),
     ("http://127.0.0.1:1/x", "not on the public internet"),
     ("https://127.0.0.1:1/x", "not on the public internet"),
     ("https://10.0.0.1/x", "not on the public internet"),
     ("https://169.254.169.254/latest", "not on the public internet"),
     ("https://[::1]/x", "not on the public internet"),
     ("ftp://idp.example.com/", "not one of http or https"),
     ("https://user:secret@idp.example.com/", "must not hold a password"),
     ("no url", "not one of http or https")],
)  # fmt: skip
async def test_calls_go_to_the_public_internet_alone(url: str, said: str) -> None:
    """Unless the settings say otherwise; the token goes nowhere."""
    careful = Transport(tokens_of(KeptSecret(None, "SSF_TEST_TOKEN"), "", ""))
    with pytest.raises(TransmitterError, match=said) as caught:
        await careful.call("GET", url)
    assert caught.value.status is None
    assert "secret" not in str(caught.value)


async def test_a_redirect_is_not_followed() -> None:
    """The token would go where the redirect says."""
    async with transmitting() as transmitter:
        transmitter.planned["/keys"] = [302]
        with pytest.raises(TransmitterError, match="302"):
            await transport().fetch(f"{transmitter.url}/keys")
        assert 0 == transmitter.fetched


async def test_http_is_for_loopback_even_where_private_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bearer token must not cross a network in clear text."""
    from streams.outbound import pinned  # noqa: PLC0415 - to be replaced

    answer = [(2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(pinned, "_resolve", lambda *_: answer)
    with pytest.raises(TransmitterError, match="https is needed"):
        await transport().fetch("http://idp.internal/jwks")


async def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a transmitter sends."""
    monkeypatch.setattr("streams.ssf.transport.SMALL", 100)
    async with transmitting() as transmitter:
        with pytest.raises(TransmitterError, match="longer than"):
            await transport().fetch(f"{transmitter.url}/jwks")


def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    """Something beside us renews it; what is no token is an error without it."""
    file = tmp_path / "token"
    read = KeptSecret(file, "").read
    with pytest.raises(TransmitterError, match="cannot read"):
        read()
    file.write_text("one\n")
    assert "one" == read()
    file.write_text("two\n")
    assert "two" == read()
    file.write_text("secret one\nand two")
    with pytest.raises(TransmitterError) as caught:
        read()
    assert "secret" not in str(caught.value)


async def test_connect_makes_a_polled_stream_and_sees_its_verification(
    tmp_path: Path,
) -> None:
    """The settings that it prints run; a second time the stream is adopted."""
    async with transmitting() as transmitter:
        transmitter.put("a1")
        arguments = ("connect", transmitter.url, "--allow-private", "--name",
                     "stranger", "--subject", json.dumps(SUBJECT))  # fmt: skip
        first = await ssf(*arguments)
        assert 0 == first.exit_code, first.output
        assert "Made stream s1" in first.output
        assert [SUBJECT] == transmitter.streams["s1"]["subjects"]
        assert {"a1"} == transmitter.queue.keys()

        printed = settings_in(first)
        async with running(tmp_path, **printed) as server:
            await until(lambda: "a1" in transmitter.acked)
            again = await ssf(
                *arguments, "--output", "json", "--url", server.url,
                "--token-file", str(token_file(tmp_path, "viewer")),
            )  # fmt: skip
            told = json.loads(again.output)
            assert (0, False, True) == (
                again.exit_code, told["made"], told["verified"],
            )  # fmt: skip
            asked = ("--url", server.url, "--token-file", str(tmp_path / "viewer"))
            shown = await ssf("status", *asked)
            assert 0 == shown.exit_code, shown.output
            assert "stranger  enabled" in shown.output
    assert not transmitter.errors
    assert 1 == len(transmitter.streams)


def settings_in(result: Result) -> dict[str, Any]:
    """Give the printed settings, beside the authorities of the test's tokens."""
    printed: dict[str, Any] = yaml.safe_load(result.output.partition("serve`:\n")[2])
    ours = values(Path())["authorities"]
    return printed | {"authorities": ours | printed["authorities"]}


def token_file(folder: Path, token: str) -> Path:
    """Write a token to a file."""
    file = folder / token
    file.write_text(token)
    return file


async def test_tokens_are_got_by_client_credentials_and_anew_when_refused(
    tmp_path: Path,
) -> None:
    """A token is used while it lives; one that was ended is got anew, once a call."""
    async with transmitting(client=("us", "plantedsecret+")) as transmitter:
        file = tmp_path / "secret"
        file.write_text("plantedsecret+")
        arguments = (
            "connect", transmitter.url, "--allow-private", "--ssf-token-file",
            str(file), "--client-id", "us", "--token-url", f"{transmitter.url}/token",
        )  # fmt: skip
        result = await ssf(*arguments)
        assert 0 == result.exit_code, result.output
        assert "plantedsecret" not in result.output
        assert 1 == transmitter.calls.count(("POST", "/token"))

        printed = settings_in(result)
        async with running(tmp_path, **printed):
            transmitter.put("a1")
            await until(lambda: "a1" in transmitter.acked)
            transmitter.planned["/poll/s1"] = [401]
            transmitter.put("a2")
            await until(lambda: "a2" in transmitter.acked)
        assert 3 <= transmitter.calls.count(("POST", "/token")) <= 4
        file.write_text("wrong")
        wrong = await ssf(*arguments)
    assert (2, True) == (wrong.exit_code, "token endpoint" in wrong.output)


async def test_connect_says_when_no_verification_comes(tmp_path: Path) -> None:
    """Exit code 1: the stream is there, and mute."""
    async with transmitting(mute=True) as transmitter:
        result = await ssf(
            "connect", transmitter.url, "--allow-private", "--wait", "0.1"
        )
    assert 1 == result.exit_code
    assert "mute" in result.output


async def test_connect_sets_up_a_push_with_its_header(tmp_path: Path) -> None:
    """The ingest token goes to the transmitter, and is shown nowhere."""
    push = token_file(tmp_path, TOLD[0])
    async with transmitting() as transmitter:
        result = await ssf(
            "connect", transmitter.url, "--allow-private", "--push",
            "https://us.example.com/v1/ssf/push/idp", "--push-token-file", str(push),
            "--url", "http://127.0.0.1:1",
        )  # fmt: skip
        assert 0 == result.exit_code, result.output
        assert transmitter.streams["s1"]["delivery"] == {
            "method": PUSH, "authorization_header": f"Bearer {TOLD[0]}",
            "endpoint_url": "https://us.example.com/v1/ssf/push/idp",
        }  # fmt: skip
    assert "ssf status" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--subject", "agent-1"], 2, "RFC 9493"),
        (["--stream", "s9"], 2, "no such stream"),
        (["--ssf-token-file", "/nowhere"], 3, "cannot read"),
    ],
)
async def test_connect_says_what_is_wrong(
    arguments: list[str], code: int, said: str
) -> None:
    """One sentence, and an exit code."""
    async with transmitting() as transmitter:
        url = transmitter.url
        result = await ssf("connect", url, "--allow-private", *arguments)
    assert (code, True) == (result.exit_code, said in result.output)


async def test_a_second_stream_where_one_is_allowed(tmp_path: Path) -> None:
    """The person decides: adopt it by name."""
    async with transmitting(one_only=True) as transmitter:
        await (await managed(transmitter)).create(DeliveryMethod(POLL))
        url = "https://us.example.com/push"
        first = await ssf("connect", transmitter.url, "--allow-private", "--push", url)
        assert (2, True) == (first.exit_code, "only one" in first.output)
        adopted = await ssf(
            "connect", transmitter.url, "--allow-private", "--push", url,
            "--stream", "s1", "--url", "http://127.0.0.1:1",
        )  # fmt: skip
        assert 0 == adopted.exit_code, adopted.output
    delivery: dict[str, Any] = transmitter.streams["s1"]["delivery"]
    assert url == delivery["endpoint_url"]


async def test_status_without_streams(tmp_path: Path) -> None:
    """Says what to do."""
    file = token_file(tmp_path, "viewer")
    async with running(tmp_path) as server:
        result = await ssf("status", "--url", server.url, "--token-file", str(file))
    assert (0, True) == (result.exit_code, "ssf connect" in result.output)
