"""Attributes: values that a subject is looked up by, and that nobody owns.

An e-mail address, a phone number or a login may pass from one to the next. Only its
keyed hash is kept (`streams.services.secret_names`). Sources write
``attribute.<name>`` with the value in plain and in one form, so
that systems that write it differently agree:

- e-mail addresses and logins: without outer blanks, in lower case, NFKC;
- phone numbers: E.164 (``+`` and 8 to 15 digits). A number without its country names
  nobody, since another country has it too.

Source: RFC 9493 section 3.2 (subject identifiers), RFC 7565 (``acct``), ITU-T E.164.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

from agents_registry.identifiers import ATTRIBUTE, Identifier

EMAIL: Final = ATTRIBUTE + "email"
PHONE: Final = ATTRIBUTE + "phone"
LOGIN: Final = ATTRIBUTE + "login"
LONGEST: Final = 1024  # characters; what is longer is no address
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+")
_BETWEEN: Final = re.compile(r"[\s().\-/]|\u2010|\u2011|\u00a0")
_E164: Final = re.compile(r"\+[1-9][0-9]{7,14}")


def is_attribute(identifier: Identifier) -> bool:
    """Whether the identifier names a value that is looked up, not owned."""
    return identifier.kind.startswith(ATTRIBUTE)


def email(value: Any) -> Identifier | None:
    """E-mail address in one form; None where it is none."""
    written = _written(value)
    return Identifier(EMAIL, written) if _ADDRESS.fullmatch(written) else None


def phone(value: Any) -> Identifier | None:
    """Phone number as E.164; None where it is none, or lacks its country."""
    written = _BETWEEN.sub("", _written(value).removeprefix("tel:").partition(";")[0])
    if written.startswith("00"):
        written = "+" + written[2:]
    return Identifier(PHONE, written) if _E164.fullmatch(written) else None


def login(value: Any) -> Identifier | None:
    """Login or ``acct:`` URI in one form."""
    written = _written(value).removeprefix("acct:")
    return Identifier(LOGIN, written) if written else None


def login_names(value: Any) -> tuple[Identifier, ...]:
    """Attributes that a login is looked up by: mostly an e-mail address as well."""
    return tuple(filter(None, (login(value), email(value))))


def _written(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        return ""
    return unicodedata.normalize("NFKC", value).strip().lower()
