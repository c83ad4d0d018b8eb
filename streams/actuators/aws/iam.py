"""IAM's Query API: forms that are signed, XML that answers.

Source: IAM API reference, "Making query requests", "Common errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from attrs import define

from streams.actuators.calls import Call, strange, unusable
from streams.outbound.answers import RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from streams.actuators.calls import IssuerApi
    from streams.outbound.answers import HttpAnswer

VERSION: Final = "2010-05-08"
STS: Final = "2011-06-15"
NO_ENTITY: Final = "NoSuchEntity"
MOST_PAGES: Final = 100
_OK: Final = 200


def action(name: str, **parameters: str) -> Call:
    """Call of an action of IAM, or of GetAccessKeyInfo of STS."""
    version = STS if name == "GetAccessKeyInfo" else VERSION
    form = (("Action", name), ("Version", version), *parameters.items())
    return Call(name, "POST", "/", form=form)


@define
class Iam:
    """Reads IAM's answers."""

    api: IssuerApi

    async def look(self, name: str, **parameters: str) -> ET.Element | None:
        """Answer of an action that changes nothing; None: NoSuchEntity.

        Raises:
            RequestError: the answer is neither.
        """
        call = action(name, **parameters)
        answer = await self.api.send(call)
        root = _xml(answer.body)
        if root is None:
            raise unusable(call, answer)
        if answer.status == _OK:
            if root.tag != f"{name}Response":
                raise strange(call, answer, "the answer is not one of IAM")
            return root
        code = text(root, "Code")
        if code == NO_ENTITY:
            return None
        reason = f"status {answer.status}"
        raise RequestError(reason, f"{name}: {code}"[:100], answer=answer)

    async def members(
        self, name: str, **parameters: str
    ) -> AsyncIterator[Mapping[str, str]]:
        """Yield members of a list, page by page; none of what is gone."""
        marker: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            page = await self.look(name, **parameters, **marker)
            if page is None:
                return
            for member in page.iter("member"):
                yield {each.tag: (each.text or "").strip() for each in member}
            if text(page, "IsTruncated") != "true":
                return
            marker = {"Marker": text(page, "Marker")}
        raise RequestError("too_many", f"{name}: more than {MOST_PAGES} pages")


def text(element: ET.Element, name: str) -> str:
    """Text of the first element of a name; empty where there is none."""
    found = element.find(f".//{name}")
    return "" if found is None else (found.text or "").strip()


def error_code(answer: HttpAnswer) -> str:
    """Code of an error; empty where the answer is none of AWS."""
    root = _xml(answer.body)
    return "" if root is None else text(root, "Code")


def _xml(body: bytes) -> ET.Element | None:
    """XML with names without their namespace; None where it is none.

    What AWS never sends and parsers trip over, a DTD, is none.
    """
    if b"<!" in body:
        return None
    try:
        root = ET.fromstring(body)  # noqa: S314 - without a DTD, see above
    except (ET.ParseError, ValueError):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
