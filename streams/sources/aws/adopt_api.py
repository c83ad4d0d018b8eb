"""Ask IAM for the credential report and for the access keys of each of its users.

Source: IAM API reference, GenerateCredentialReport, GetCredentialReport,
ListAccessKeys; "Making query requests".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from streams.outbound.answers import HttpAnswer
from streams.sources.adopting.adoption import Adoption, Option
from streams.sources.adopting.listing import ListingError
from streams.sources.adopting.walk import (
    MOST_PAGES,
    OK,
    ListRequest,
    Steps,
    Walk,
    ask,
    portions,
)
from streams.sources.aws.adopt import of_files, of_report, report_of
from streams.sources.aws.sigv4 import Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.sources.adopting.adoption import ListedSystem
    from streams.sources.adopting.listing import Listing

FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
VERSION: Final = "2010-05-08"
WAIT: Final = 2.0  # seconds between two looks at a report that is being made
LOOKS: Final = 60
ROOT: Final = "<root_account>"
_NO_SUCH_USER: Final = 404
_PARTS: Final = ("UserName", "AccessKeyId", "Status", "CreateDate")


def walk(clock: Callable[[], str]) -> Walk:
    """Have a report made, get it, and list the keys of its users.

    Args:
        clock: gives the time, RFC 3339.

    Raises:
        ListingError: there is no report, or an answer is not as documented.
    """
    yield from _made()
    reply = yield from ask(_call("GetCredentialReport"))
    rows = report_of(_text(_read(reply), "Content"))
    users = [row["user"] for row in rows if row["user"] != ROOT]
    keys: list[dict[str, Any]] = []
    for some in portions(users):
        left = dict.fromkeys(some, "")
        for _ in range(MOST_PAGES):
            if not left:
                break
            replies = yield [
                _call("ListAccessKeys", UserName=user, Marker=marker)
                for user, marker in left.items()
            ]
            asked, left = list(left), {}
            for user, page in zip(asked, replies, strict=True):
                if page.status == _NO_SUCH_USER:
                    continue  # deleted since the report
                found = _read(page)
                keys += [
                    {part: _text(member, part) for part in _PARTS}
                    for member in found.iter("member")
                ]
                if _text(found, "IsTruncated") == "true":
                    left[user] = _text(found, "Marker")
    return of_report(rows, keys, clock())


def _made() -> Steps:
    """Wait until the report is there; AWS makes one at most every four hours."""
    for look in range(LOOKS):
        call = _call("GenerateCredentialReport", wait=WAIT if look else 0.0)
        reply = yield from ask(call)
        if _text(_read(reply), "State") == "COMPLETE":
            return
    raise ListingError("the credential report is still being made: run it again")


def _call(action: str, *, wait: float = 0.0, **parameters: str) -> ListRequest:
    given = {name: value for name, value in parameters.items() if value}
    form = urlencode({"Action": action, "Version": VERSION, **given})
    missing = (_NO_SUCH_USER,) if action == "ListAccessKeys" else ()
    return ListRequest("", form=form, wait=wait, may_fail=missing)


def _read(reply: HttpAnswer) -> ET.Element:
    """Read an answer; names without their namespace.

    Raises:
        ListingError: it is no XML, or has what AWS never sends and parsers trip over.
    """
    if reply.status != OK or b"<!" in reply.body:
        raise ListingError("an answer is not one of IAM")
    try:
        root = ET.fromstring(reply.body)  # noqa: S314 - without a DTD, see above
    except (ET.ParseError, ValueError) as error:
        raise ListingError("an answer is not XML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ET.Element, name: str) -> str:
    found = element.find(f".//{name}")
    return "" if found is None else (found.text or "").strip()


def signing(
    source: ListedSystem, region: str
) -> Callable[[str, bytes], Mapping[str, str]]:
    """Return a function that signs the forms that are posted to IAM.

    Raises:
        ListingError: there is no access key.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    key_id, key, session = (source.values(*names).get(name, "") for name in names)
    if not key_id or not key:
        wanted = " and ".join(names[:2])
        raise ListingError(f"no credential to ask with: set {wanted}")
    by, signer = Credentials(key_id, key, session), Signer("iam", region)

    def sign(url: str, body: bytes) -> Mapping[str, str]:
        headers = {"content-type": FORM}
        return signer.signed("POST", url, headers, body, by, source.time())

    return sign


def _listing(source: ListedSystem, region: str) -> Listing:
    if source.files:
        return of_files(source.contents(), source.saved)
    sign = signing(source, region or "us-east-1")
    return source.walk(walk(source.now), {}, sign=sign)


ADOPT: Final = Adoption(
    authority="cloudtrail",
    help="IAM users, passwords and access keys (AWS_ACCESS_KEY_ID and others).",
    read=_listing,
    options=(Option("--region", "Region of IAM; default: us-east-1."),),
)
