"""The 13 SETs of the CAEP specification give the right answers of their README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.model.records import DeadLetter, Lifecycle
from streams.sources.ssf.ssf import Ssf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

SESSION = ("session.id", "dMTlD|1600802906337.16|16008.16")
TOKEN = ("jwt.jti", "f61t6e20zdo3px56gepu8rzlsp4c1dpc0fx7")
ISSUER = "https://idp.example.com/123456789/"
ANSWERS = {
    "01": ("revoke", SESSION),
    "02": ("revoke", SESSION),
    "03": ("not_before", ("jwt.sub", f"{ISSUER}|jane.smith@example.com")),
    "04": ("narrow", TOKEN),
    "05": ("narrow", TOKEN),
    "06": ("narrow", ("saml.assertion",
                      "https://idp.example.com/987654321/|_a75adf55-01d7-dbd8372ebdfc")),
    "07": ("issue", None),
    "08": ("restore", ("jwt.sub",
                       "https://idp.example.com/3456789/|jane.smith@example.com")),
    "09": (None, ("jwt.sub",
                  "https://idp.example.com/3456789/|jane.smith@example.com")),
    "10": (None, ("device.id", f"{ISSUER}|e9297990-14d2-42ec-a4a9-4036db86509a")),
    "11": (None, None),
    "12": (None, None),
    "13": (None, ("jwt.sub",
                  "https://idp.example.com/3456789/|jane.doe@example.com")),
}  # fmt: skip


def read(folder: Path, number: str) -> Lifecycle:
    """Read one sample as its own source: one record, no dead letter."""
    (file,) = (folder / "caep").glob(f"{number}-*.json")
    (record,) = Ssf().records(file.read_bytes())
    assert isinstance(record, Lifecycle)
    return record


@pytest.mark.parametrize("number", ANSWERS)
def test_each_sample(public_samples: Path, number: str) -> None:
    """Its effect, and what it is about."""
    effect, target = ANSWERS[number]
    record = read(public_samples, number)
    assert (effect, () if target is None else (target,)) == (
        record.effect, record.identifiers,
    )  # fmt: skip


def test_the_third_spares_other_devices_and_tenants(public_samples: Path) -> None:
    """It matches all members of the complex subject."""
    record = read(public_samples, "03")
    device = f"{ISSUER}|e9297990-14d2-42ec-a4a9-4036db86509a"
    assert (device, "123456789") == (record.device, record.tenant)


def test_what_remains_of_the_narrowed_tokens(public_samples: Path) -> None:
    """04 and 05 have one iss, jti and type, and other content: both survive."""
    scopes = [read(public_samples, number).scope for number in ("04", "05")]
    assert [("role|ro-admin",), ("trusted_network|false",)] == scopes


def test_all_in_one_file(public_samples: Path) -> None:
    """13 records, whatever their shared ids; event_timestamp is the time."""
    data = b"\n".join(
        file.read_bytes() for file in sorted((public_samples / "caep").iterdir())
    )
    records = list(Ssf().records(data))
    assert 13 == len(records)
    assert not [one for one in records if isinstance(one, DeadLetter)]
    assert {1615304991 * 10**9} == {one.occurred_at for one in records}
