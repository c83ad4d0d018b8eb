"""Adopt what IAM's credential report and its lists of access keys say.

Rules:

- Users are named by ARN without path, as the CloudTrail mapper names them; a password
  is the user's login profile.
- The report tells that a user has access keys and not which: their ids come from
  ``list-access-keys``. Keys that no list names are counted.
- ``N/A``, ``no_information`` and ``not_supported`` say nothing.
- An inactive key is suspended, as UpdateAccessKey does it, at the time of the list:
  AWS does not say since when, and the report may be four hours old.

Source: IAM user guide, "Get credential reports"; IAM API reference,
GetCredentialReport and ListAccessKeys.
"""

from __future__ import annotations

import csv
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any, Final

from streams.outbound.answers import objects
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import documents
from streams.sources.aws.effects import login_profile
from streams.sources.aws.identity import principal_of
from streams.sources.reading.fields import identifier, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.identifiers import Identifier

NEEDED: Final = ("user", "arn", "user_creation_time", "password_enabled")
KEYS: Final = ("access_key_1", "access_key_2")
NO_ID: Final = (
    "access keys that the report does not name (add what list-access-keys answers)"
)
NO_USER: Final = "access keys of users that are not in the report"
CERTIFICATES: Final = "signing certificates"


def of_files(files: Iterable[bytes], saved: str | None = None) -> Listing:
    """Return the listing of a report and of lists of access keys, in any order.

    Args:
        files: the report as CSV, or as GetCredentialReport answers (JSON); answers of
            ListAccessKeys (JSON, several in one file).
        saved: when the newest of them was written; None: now.

    Raises:
        ListingError: a file is neither, or there is not exactly one report.
    """
    reports: list[str] = []
    keys: list[Mapping[str, Any]] = []
    for data in files:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
            reports.append(_decoded(data))
            continue
        for document in documents(data):
            if "Content" in document:
                reports.append(_content(document["Content"]))
            elif "AccessKeyMetadata" in document:
                if document.get("IsTruncated") is True:
                    raise ListingError("a list of access keys is cut: get all of it")
                keys += objects(document["AccessKeyMetadata"])
            else:
                raise ListingError("neither a report nor a list of access keys")
    if len(reports) != 1:
        raise ListingError(f"one credential report is needed, not {len(reports)}")
    return of_report(list(_rows(reports[0])), keys, saved)


def of_report(
    rows: Iterable[Mapping[str, str]],
    keys: Iterable[Mapping[str, Any]],
    asked: str | None,
) -> Listing:
    """Return the listing of a report's rows and of key metadata.

    Args:
        rows: of the report, by column.
        keys: items of ListAccessKeys.
        asked: a time that is not before the one at which the keys were listed; None:
            now. An earlier one could stand before a restore that came in between.
    """
    listing = Listing()
    users: dict[str, Identifier] = {}
    told = 0
    for row in rows:
        user = principal_of(row["arn"])
        since: Any = row["user_creation_time"]
        listing.add(user, issued_at=since, changed_at=since)
        if user is None:
            continue
        users[row["user"]] = user
        if _yes(row, "password_enabled"):
            since = row.get("password_last_changed")
            listing.add(
                login_profile(user),
                issued_at=since, changed_at=since, parents=[user], owners=[user],
            )  # fmt: skip
        told += sum(_has_key(row, name) for name in KEYS)
        certificates = sum(_yes(row, f"cert_{n}_active") for n in (1, 2))
        listing.left_out[CERTIFICATES] += certificates
    named = 0
    for key in keys:
        owner = users.get(text(key.get("UserName")) or "")
        if owner is None:
            listing.left_out[NO_USER] += 1
            continue
        named += 1
        inactive = (text(key.get("Status")) or "").casefold() == "inactive"
        created = key.get("CreateDate")
        listing.add(
            identifier("aws.access_key", key.get("AccessKeyId")),
            issued_at=created,
            changed_at=created,
            parents=[owner],
            owners=[owner],
            suspended="status" if inactive else "",
            suspended_at=asked if inactive else None,
        )
    listing.left_out[NO_ID] += max(told - named, 0)
    return listing


def _rows(report: str) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(report.splitlines(), strict=True)
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise ListingError(f"no credential report: it has no column {missing[0]}")
    try:
        for row in reader:
            if None in row or None in row.values():
                message = f"line {reader.line_num}: not as many columns as the first"
                raise ListingError(message)
            yield row
    except csv.Error as error:
        raise ListingError(f"line {reader.line_num}: not CSV: {error}") from error


def _yes(row: Mapping[str, str], name: str) -> bool:
    return row.get(name, "").strip().casefold() == "true"


def _has_key(row: Mapping[str, str], name: str) -> bool:
    """Whether there is a key, active or not: then it has a time of rotation."""
    rotated = row.get(f"{name}_last_rotated", "").strip()
    return _yes(row, f"{name}_active") or rotated[:1].isdigit()


def report_of(content: Any) -> list[dict[str, str]]:
    """Read the rows of a report that is wrapped in base64.

    Raises:
        ListingError: it is none.
    """
    return list(_rows(_content(content)))


def _content(content: Any) -> str:
    try:
        return _decoded(b64decode(content, validate=True))
    except (Base64Error, TypeError, ValueError) as error:
        raise ListingError("the report's Content is not base64") from error


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListingError("the report is not UTF-8 text") from error
