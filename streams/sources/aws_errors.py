"""Tell a refused caller from a call that failed for another reason.

A code that refuses authentication or authorisation gives ``denied``. Any other code
(NoSuchEntity, LimitExceeded, Throttling, ...) came after the credential had been
accepted: it still worked, so the access is ``allowed`` and its reason is the code.

Source: the "Common Errors" pages of the AWS API references, EC2's error code list,
S3's error responses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.sources.fields import mapping, text

if TYPE_CHECKING:
    from streams.records import Outcome

# Compared without the prefix (``Client.``), the ending (``Exception``) and case.
_DENIED: Final = frozenset({
    "accessdenied", "accountproblem", "authfailure", "authorizationerror",
    "expiredtoken", "failedauthentication", "forbidden", "incompletesignature",
    "invalidaccesskeyid", "invalidclienttokenid", "invalididentitytoken",
    "invalidsignature", "invalidtoken", "missingauthenticationtoken",
    "notauthorized", "optinrequired", "requestexpired", "signaturedoesnotmatch",
    "signaturenotyetcurrent", "tokenrefreshrequired", "unauthenticated",
    "unauthorized", "unauthorizedaccess", "unauthorizedoperation",
    "unrecognizedclient",
})  # fmt: skip
_ENDINGS: Final = ("exception", "fault", "error")


def outcome_of(event: dict[str, Any]) -> tuple[Outcome, str | None]:
    """Give outcome and reason of a failed call or of a console login."""
    error = event.get("errorCode")
    if error:
        code = text(error) or "unreadable errorCode"
        return ("denied" if refuses(code) else "allowed"), code
    login = mapping(event.get("responseElements")).get("ConsoleLogin")
    if login == "Success":
        return "allowed", None
    return "denied", text(event.get("errorMessage")) or "console login failed"


def refuses(code: str) -> bool:
    """Tell whether an errorCode says that the caller was not let in."""
    name = code.rsplit(".", 1)[-1].rsplit(":", 1)[-1].casefold()
    if name in _DENIED:
        return True
    return any(
        name.endswith(ending) and name.removesuffix(ending) in _DENIED
        for ending in _ENDINGS
    )
