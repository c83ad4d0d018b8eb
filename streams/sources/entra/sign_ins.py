"""Entra's sign-ins, and what the M365 unified log shows in use.

Rules:

- Presented is the secret of a service principal, else the session; a sign-in that names
  neither (a token refresh, say) stands for its user or service principal.
- In the unified log the session is SessionId of DeviceProperties (UserLoggedIn), of the
  row (Exchange) or AADSessionId of AppAccessContext (Exchange, SharePoint, Teams). Of
  other rows than sign-ins only those with a session are accesses.
- A user who signs in interactively makes the session, or has it checked again by the
  issuer: it was issued by then. The earliest of these times counts.
- An error code is that of one check. Those in `_ACCEPTED` come after the credential
  was found right: it worked, and a policy, a missing consent or a second factor stopped
  what it asked for. Any other one refuses it, also one of the request (its scope or
  resource): no page says whether the credential was looked at before. A row of a
  workload that failed was done by a session that the workload had accepted.

Source: Graph "signIn"; of codes learn.microsoft.com, "Microsoft Entra authentication
and authorization error codes" (entra/identity-platform/reference-error-codes), but for
500121 "Security operations for privileged accounts" (entra/architecture) and for 530003
"Known issues" of Azure IoT Operations; Office 365 Management Activity API
schema, "Azure Active Directory Secure Token Service (STS) Logon schema", "Exchange
Mailbox schema".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streams.model.records import Access
from streams.sources.entra.carriers import object_of, unified_of, upn_of
from streams.sources.reading.fields import (
    identifier,
    listed,
    mapping,
    named,
    nested,
    number,
    requires,
    text,
    tied,
)

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.records import Outcome
    from streams.sources.reading.dialect import DialectEvent

_KEY_ID: Final = "servicePrincipalCredentialKeyId"
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST: Final = 32  # characters of a workload
SIGN_INS: Final = frozenset({"userloggedin", "userloginfailed"})
_INTERACTIVE: Final = "interactiveUser"
_REFRESH: Final = "OAuth2:Token"
_DONE: Final = ("success", "succeeded", "true", "")
# Each as its page describes it; a code that no page describes refuses.
_ACCEPTED: Final = frozenset({
    # A second factor or its registration; an external challenge.
    "50072", "50074", "50076", "50078", "50079", "50158", "53004", "53010", "500121",
    "50097", "50129", "50155", "53000", "53001", "530003",  # the device
    "50131", "53002", "53003", "53011", "530032", "530034", "530035",  # policy, risk
    "65001", "65004", "90094", "90095",  # consent
    "50105",  # the signed-in user is not assigned to the app
    "50125", "50140", "50199",  # a page is shown in between
})  # fmt: skip


def sign_in_of(seen: DialectEvent) -> Access | None:
    """Access of a sign-in of Graph, diagnostic settings or Log Analytics."""
    body = seen.body
    user = object_of("entra.user", of(body, "userId"))
    principal = object_of("entra.service_principal", of(body, "servicePrincipalId"))
    secret = object_of("entra.app_credential", of(body, _KEY_ID))
    session = identifier("entra.session", of(body, "sessionId"))
    who = principal if secret or user is None else user
    presented = secret or session or who
    if presented is None:
        return None
    error = mapping(nested(of(body, "status"))).get("errorCode")
    outcome, reason = _outcome(of(body, "resultType") if error is None else error)
    kinds = nested(of(body, "signInEventTypes"))
    fresh = presented == session and (
        of(body, "isInteractive") in (True, "true", "True")
        or _INTERACTIVE in (kinds if isinstance(kinds, list) else [kinds])
    )
    owner = text(of(body, "userPrincipalName"))
    return _access(
        seen, presented, who,
        owner=owner or text(of(body, "servicePrincipalName")),
        outcome=outcome, reason=reason,
        issued_at=seen.time if fresh and reason is None else None,
        address=text(of(body, "ipAddress")), user_agent=text(of(body, "userAgent")),
    )  # fmt: skip


def unified_use(seen: DialectEvent) -> Access | None:
    """Access of a row of the unified log."""
    data = unified_of(seen.body)
    if data is None:
        return None
    session = identifier("entra.session", _session(data))
    signs_in = (text(data.get("Operation")) or "").casefold() in SIGN_INS
    name = text(data.get("UserId"))
    upn = upn_of(name) if name and "@" in name else None
    user = _user(data)
    presented = session or ((user or upn) if signs_in else None)
    if presented is None:
        return None
    done = str(data.get("ResultStatus") or "").casefold() in _DONE
    outcome, reason = _outcome(data.get("ErrorNumber") if signs_in else 0)
    if not (done or reason):
        said = text(data.get("LogonError")) or text(data.get("ResultStatus"))
        outcome, reason = ("denied" if signs_in else "allowed"), said
    asked = _properties(data.get("ExtendedProperties")).get("RequestType")
    fresh = session is not None and signs_in and asked not in (None, _REFRESH)
    return _access(
        seen, presented, user or upn, owner=name,
        outcome=outcome, reason=reason, ties=tied(user, upn),
        issued_at=seen.time if fresh and reason is None else None,
        point=_point(data),
        address=text(data.get("ClientIP")) or text(data.get("ActorIpAddress")),
        user_agent=_properties(data.get("ExtendedProperties")).get("UserAgent"),
    )  # fmt: skip


def _access(
    seen: DialectEvent, presented: Identifier, who: Identifier | None, **values: Any
) -> Access:
    return Access(
        source=seen.source, event_id=seen.event_id, event_type=seen.event_type,
        occurred_at=seen.time, identifiers=(presented,), offset=seen.offset,
        parents=requires(None if who == presented else who), actor=named(who),
        **{"point": "entra"} | values,
    )  # fmt: skip


def of(body: dict[str, Any], name: str) -> Any:
    """Field in either case: Log Analytics writes PascalCase."""
    value = body.get(name)
    return body.get(name[0].upper() + name[1:]) if value is None else value


def _outcome(error: Any) -> tuple[Outcome, str | None]:
    code = number(error) or "0"
    if code == "0":
        return "allowed", None
    return ("allowed" if code in _ACCEPTED else "denied"), f"error {code}"


def _point(data: dict[str, Any]) -> str:
    """Name the workload that logged a row; Entra itself is one of them."""
    workload = (text(data.get("Workload")) or "").casefold()
    known = workload.isascii() and workload.isalnum() and len(workload) <= _LONGEST
    if workload == "azureactivedirectory":
        return "entra"
    return f"m365:{workload}" if known else "m365"


def _session(data: dict[str, Any]) -> Any:
    context = mapping(nested(data.get("AppAccessContext")))
    return (
        _properties(data.get("DeviceProperties")).get("SessionId")
        or text(data.get("SessionId"))
        or text(context.get("AADSessionId"))
        or text(data.get("AADSessionId"))
    )


def _properties(value: Any) -> dict[str, str]:
    """Read a list of names and values; empty values are left out."""
    pairs = map(mapping, listed(nested(value)))
    return {
        name: found
        for one in pairs
        if (name := text(one.get("Name"))) and (found := text(one.get("Value")))
    }


def _user(data: dict[str, Any]) -> Identifier | None:
    """User's object id: of the actors the one that is a GUID, else the key."""
    ids = [text(mapping(one).get("ID")) for one in listed(nested(data.get("Actor")))]
    for one in (*ids, text(data.get("UserKey"))):
        if one and _GUID.fullmatch(one):
            return object_of("entra.user", one)
    return None
