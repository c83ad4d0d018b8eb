"""Whether a guard needs a key, by where its receipts come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from structlog.testing import capture_logs

from streams.apps.builders.closure_rules import keys_of_guards
from streams.apps.builders.sources import configured_guard_keys
from streams.settings.server import ClosureSettings, Settings
from streams.settings.worker import WorkerSettings

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, *, keys: bool, signed: bool | None) -> Settings:
    """Give settings with a guard's key or none."""
    file = folder / "g.pem"
    public = Ed25519PrivateKey.generate().public_key()
    form = PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(public.public_bytes(Encoding.PEM, form))
    return Settings(
        guard_keys={"g": file} if keys else {},
        closure=ClosureSettings(signed_receipts=signed),
    )


@pytest.mark.parametrize(
    ("keys", "signed", "on_kafka", "on_the_feed"),
    [
        (False, None, False, False),
        (True, None, True, False),
        (True, False, False, False),
        (True, True, True, True),
        (False, True, True, True),
    ],
)
def test_in_a_topic_the_first_key_makes_all_guards_sign(
    tmp_path: Path,
    keys: bool,
    signed: bool | None,
    on_kafka: bool,
    on_the_feed: bool,
) -> None:
    """The settings may say otherwise; the worker says where names are anybody's."""
    made = settings(tmp_path, keys=keys, signed=signed)
    worker = WorkerSettings(name="w", data_dir=tmp_path)
    with capture_logs() as logs:
        assert on_kafka == keys_of_guards(made, worker).required
    assert on_the_feed == configured_guard_keys(made).required
    said = [each["event"] for each in logs]
    assert said == ([] if on_kafka else ["guard_names_open"])


def test_who_follows_no_closure_says_nothing_of_names(tmp_path: Path) -> None:
    """They are not its own."""
    made = settings(tmp_path, keys=False, signed=None)
    worker = WorkerSettings(name="w", data_dir=tmp_path, stages=frozenset({"sentinel"}))
    with capture_logs() as logs:
        keys_of_guards(made, worker)
    assert [] == logs
