"""Tell a credential that AWS did not accept from a call that failed for another reason.

A code that refuses the key or its signature gives ``denied``. Any other code came after
the credential had been accepted, so the access is ``allowed`` and its reason is the
code: NoSuchEntity and Throttling, and AccessDenied and UnauthorizedOperation too, where
no policy allows this action to a key that works.

One refusal for a policy ends a credential: the deny of every action to sessions older
than a time (AWSRevokeOlderSessions). A session that an explicit deny refuses is
``denied``, for it may be that one.

Source: the "Common Errors" pages of the AWS API references, EC2's error code list,
S3's error responses; IAM user guide, "Troubleshoot access denied error messages".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from streams.sources.reading.fields import mapping, text

if TYPE_CHECKING:
    from streams.model.records import Outcome

# Compared without the prefix (``Client.``), the ending (``Exception``) and case.
_NOT_ACCEPTED: Final = frozenset({
    "authfailure", "expiredtoken", "failedauthentication", "incompletesignature",
    "invalidaccesskeyid", "invalidclienttokenid", "invalididentitytoken",
    "invalidsignature", "invalidtoken", "missingauthenticationtoken",
    "requestexpired", "signaturedoesnotmatch", "signaturenotyetcurrent",
    "tokenrefreshrequired", "unauthenticated", "unrecognizedclient",
})  # fmt: skip
_BY_POLICY: Final = frozenset({
    "accessdenied", "unauthorizedoperation", "authorizationerror", "forbidden",
    "notauthorized", "unauthorized", "unauthorizedaccess",
})  # fmt: skip
_ENDINGS: Final = ("exception", "fault", "error")
_MOST: Final = 128  # characters; no code that is looked for has as many
_EXPLICIT: Final = "explicit deny"


def outcome_of(
    event: dict[str, Any], *, session: bool = False
) -> tuple[Outcome, str | None]:
    """Outcome and reason of a failed call or of a console login.

    Args:
        event: of CloudTrail.
        session: the caller presented temporary credentials.
    """
    error = event.get("errorCode")
    if error:
        code = text(error) or "unreadable errorCode"
        ended = session and _denied_explicitly(event, code)
        return ("denied" if ended or refuses(code) else "allowed"), code
    login = mapping(event.get("responseElements")).get("ConsoleLogin")
    if login == "Success":
        return "allowed", None
    return "denied", text(event.get("errorMessage")) or "console login failed"


def refuses(code: str) -> bool:
    """Whether an errorCode says that the credential was not accepted."""
    return _is_among(code[-_MOST:], _NOT_ACCEPTED)


def _denied_explicitly(event: dict[str, Any], code: str) -> bool:
    said = text(event.get("errorMessage")) or ""
    return _EXPLICIT in said and _is_among(code[-_MOST:], _BY_POLICY)


@lru_cache(1024)  # a log repeats its codes
def _is_among(code: str, codes: frozenset[str]) -> bool:
    name = code.rsplit(".", 1)[-1].rsplit(":", 1)[-1].casefold()
    return name in codes or any(
        name.endswith(ending) and name.removesuffix(ending) in codes
        for ending in _ENDINGS
    )
