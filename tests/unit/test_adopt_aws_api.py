"""IAM's API: signatures, a report that takes its time, pages of keys."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from streams.adopt.listing_source import ListingSource
from streams.model.times import parse_time
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError
from streams.sources.aws.adopt_api import FORM, WAIT, signing, walk
from streams.sources.aws.sigv4 import Credentials, Signer
from tests.unit.adopting import answered, by_name
from tests.unit.test_adopt_systems import REPORT

if TYPE_CHECKING:
    from pathlib import Path

    from streams.sources.adopting.walk import ListRequest

pytestmark = pytest.mark.unit

NOW = parse_time("2026-01-31T09:00:00Z") or 0
BODY = b"Action=ListAccessKeys&Version=2010-05-08&UserName=a%2Fb"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ASKED = "2026-11-26T00:00:00Z"


@pytest.mark.parametrize(
    ("token", "url", "signature"),
    [
        ("", "https://iam.amazonaws.com/",
         "823aed112d58e698a8c69d008a2d16addb566f93585a66206c73e843d636753e"),
        ("", "http://127.0.0.1:5000/x%20y/",
         "4c763f023a30227e9ab054739d795243eb7d2be80c5549cb3ebbc8b1e3325633"),
        ("tok/en+==", "https://iam.amazonaws.com/",
         "cc3c34d8e1949f4b03b010e0fb969883f089382fa851d0d0c14b49fbfa0dd2ff"),
    ],
    ids=["plain", "path", "session"],
)  # fmt: skip
def test_a_signature_is_that_of_awss_own_library(
    token: str, url: str, signature: str
) -> None:
    """Values computed by botocore 1.44."""
    key = Credentials("AKIDEXAMPLE", SECRET, token)
    given = {"content-type": FORM}
    headers = Signer("iam", "us-east-1").signed("POST", url, given, BODY, key, NOW)

    assert headers["authorization"].endswith(f", Signature={signature}")
    assert "20260131T090000Z" == headers["x-amz-date"]
    assert token == headers.get("x-amz-security-token", "")
    assert SECRET not in repr(key)


def test_keys_are_read_as_awss_programs_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or the environment; half of them are none."""
    file = tmp_path / "keys"
    file.write_text("AWS_ACCESS_KEY_ID = a\nAWS_SECRET_ACCESS_KEY=b\n", "utf-8")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "c")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)

    sign = signing(ListingSource(secret_file=file), "us-east-1")
    assert "Credential=a/" in sign("https://iam.amazonaws.com/", b"")["authorization"]
    with pytest.raises(UnreadableAnswerError, match="AWS_SECRET_ACCESS_KEY"):
        signing(ListingSource(), "us-east-1")


class Iam:
    """An account whose report takes a moment, and whose keys come in two pages."""

    def __init__(self) -> None:
        self.looks = 0
        self.waits: list[float] = []

    def answer(self, request: ListRequest) -> HttpAnswer:
        """Answer in XML, with the namespace that IAM has."""
        given = {name: value for name, (value,) in parse_qs(request.form).items()}
        inside = getattr(self, given["Action"])(given)
        self.waits.append(request.wait)
        space = 'xmlns="https://iam.amazonaws.com/doc/2010-05-08/"'
        return HttpAnswer({}, f"<R {space}><Result>{inside}</Result></R>".encode())

    def GenerateCredentialReport(self, _: dict[str, str]) -> str:  # noqa: N802
        """Be ready at the third look."""
        self.looks += 1
        return f"<State>{'COMPLETE' if self.looks > 2 else 'STARTED'}</State>"

    def GetCredentialReport(self, _: dict[str, str]) -> str:  # noqa: N802
        """Give the report."""
        return f"<Content>{b64encode(REPORT).decode()}</Content>"

    def ListAccessKeys(self, given: dict[str, str]) -> str:  # noqa: N802
        """Give one key a page."""
        assert "ann" == given["UserName"]
        last = given.get("Marker") == "m"
        key = ("AKIA2", "Inactive") if last else ("AKIA1", "Active")
        more = "" if last else "<Marker>m</Marker>"
        return (
            f"<IsTruncated>{'false' if last else 'true'}</IsTruncated>{more}"
            f"<AccessKeyMetadata><member><UserName>ann</UserName><AccessKeyId>{key[0]}"
            f"</AccessKeyId><Status>{key[1]}</Status><CreateDate>2024-05-03T00:00:00Z"
            "</CreateDate></member></AccessKeyMetadata>"
        )


def test_the_walk_waits_for_the_report_and_reads_all_keys() -> None:
    """An inactive key is suspended since it was listed."""
    iam = Iam()
    found = by_name(answered(walk(lambda: ASKED), iam.answer))

    assert [0.0, WAIT, WAIT] == iam.waits[:3]
    assert {"aws.access_key:AKIA1", "aws.access_key:AKIA2"} < found.keys()
    assert ("status", ASKED) == (
        found["aws.access_key:AKIA2"]["suspended"],
        found["aws.access_key:AKIA2"]["suspended_at"],
    )


@pytest.mark.parametrize("body", [b"", b"{}", b"<!DOCTYPE a><a/>", b"<a>"])
def test_what_is_no_answer_of_iam_ends_the_walk(body: bytes) -> None:
    """Also a document type: no entity is ever expanded."""
    with pytest.raises(UnreadableAnswerError, match="an answer is"):
        answered(walk(lambda: ASKED), lambda _: HttpAnswer({}, body, 200))


def test_a_report_that_is_never_ready_ends_the_walk() -> None:
    """After two minutes of looking."""
    iam = Iam()
    iam.looks = -1000
    with pytest.raises(UnreadableAnswerError, match="still being made"):
        answered(walk(lambda: ASKED), iam.answer)
