"""Lists for ``rescind adopt``: what is read, and which line an error names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streams.adopt.declared_list import read_list as read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

KEY = "aws.access_key:AKIA1"


def entries(folder: Path, text: str) -> list[dict[str, object]]:
    """Write a list and read it."""
    path = folder / "list"
    path.write_text(text, "utf-8")
    return read(path)


def test_reads_csv_with_lists_times_and_roots(tmp_path: Path) -> None:
    """Empty cells and lines say nothing; a spreadsheet's byte order mark is no name."""
    text = (
        "\ufeffidentifier, owners,issued_at,root,scope\r\n"
        f"{KEY},person.id:ann; team.id:ops,2026-01-01T00:00:00Z,,\r\n"
        "\r\n"
        'aws.access_key:AKIA2,,,Yes,"s3|a,b; s3|c"\r\n'
    )

    assert [
        {
            "identifier": KEY,
            "owners": ["person.id:ann", "team.id:ops"],
            "issued_at": "2026-01-01T00:00:00Z",
            "root": False,
        },
        {
            "identifier": "aws.access_key:AKIA2",
            "root": True,
            "scope": ["s3|a,b", "s3|c"],
        },
    ] == entries(tmp_path, text)


def test_reads_a_json_list(tmp_path: Path) -> None:
    """As it is, whatever the white space."""
    listed = [{"identifier": KEY, "root": True, "parents": ["aws.user:u"]}]
    for indent in (None, 2):
        assert listed == entries(tmp_path, "\n " + json.dumps(listed, indent=indent))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no identifier; name the columns by"),
        ("identifier\n", "no credentials in it"),
        ("identifier,owner\n", "line 1: no column is called 'owner'"),
        ("identifier;owners\n", "line 1: no column is called 'identifier;owners'"),
        (f"identifier\n{KEY}\nnonsense\n", "line 3: 'nonsense' is not an identifier"),
        (f"identifier,root\n{KEY}\n", "line 2: 1 columns instead of 2"),
        (f"identifier,root\n{KEY},maybe\n", "line 2: root is true or false"),
        (f'identifier,root\n"{KEY}\n,no\n', "not CSV"),
        (f"identifier,issued_at\n\n{KEY},noon\n", "line 3: 'noon' is not a time"),
        (f"identifier,expires_at\n{KEY},2451-01-01T00:00:00Z\n", "line 2: '2451"),
        (f"identifier,owners\n{KEY},ann\n", "line 2: 'ann' is not an identifier"),
        (f"identifier,root\n{'x:' + 'y' * 300},\n", "line 2: x: a value has 1 to 256"),
        ("identifier,root\n,yes\n", "line 2: identifier is missing"),
        ("[]", "no credentials in it"),
        ("{}", "line 1: JSON is a list of objects"),
        ("[1]", "line 1: an entry is an object"),
        ('[\n{"identifier": "a:b"}\n{', "line 3: not JSON: a comma is missing"),
        ('[{"identifier": "a:b"},', "line 1: not JSON"),
        ('[\n\n{"identifier": 1}]', "line 3: identifier is missing"),
        ('[{"identifier": "a:b", "root": "no"}]', "line 1: root is true or false"),
        ('[{"identifier": "a:b", "owners": "c:d"}]', "line 1: owners is a list"),
        ('[{"identifier": "a:b", "name": "x"}]', "line 1: unknown fields: name"),
    ],
)
def test_an_error_names_the_line_and_what_is_wrong(
    tmp_path: Path, text: str, said: str
) -> None:
    """Nothing of a list with an error is taken."""
    with pytest.raises(ValueError, match="list") as error:
        entries(tmp_path, text)

    assert said in str(error.value)


def test_the_line_is_the_one_where_a_quoted_entry_begins(tmp_path: Path) -> None:
    """A cell may go over several lines."""
    text = f'identifier,scope\n{KEY},"a\n|b"\nnonsense,\n'
    with pytest.raises(ValueError, match="line 4: 'nonsense'"):
        entries(tmp_path, text)


def test_text_that_is_not_utf8_is_said_to_be_so(tmp_path: Path) -> None:
    """Spreadsheets save other encodings too."""
    path = tmp_path / "list.csv"
    path.write_bytes("identifier\nperson.id:Jürgen\n".encode("latin-1"))
    with pytest.raises(ValueError, match="save it as UTF-8"):
        read(path)
