"""Headers of every answer of the console, and its cookies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# With no-referrer a browser would send `Origin: null` with our own forms.
HARD: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "X-Robots-Tag": "noindex, nofollow",
}
PRIVATE: Final = {**HARD, "Cache-Control": "no-store"}
# Content of a hash never changes.
PUBLIC: Final = {**HARD, "Cache-Control": "public, max-age=31536000, immutable"}
# What is saved is never shown with the rights of the console.
SAVED: Final = {
    **PRIVATE,
    "Content-Security-Policy": "sandbox; default-src 'none'",
}
SESSION: Final = "rescind_console"
LOGIN: Final = "rescind_login"
THEME: Final = "rescind_theme"
THEMES: Final = ("auto", "dark", "light")


def cookie_name(name: str, *, secure: bool) -> str:
    """Name of a cookie; over TLS a browser holds it to this host and to HTTPS."""
    return f"__Host-{name}" if secure else name


def set_cookie(
    response: web.Response,
    name: str,
    value: str,
    *,
    secure: bool,
    same_site: str = "Strict",
    seconds: int | None = None,
) -> None:
    """Set a cookie that no script reads; without seconds it ends with the browser."""
    response.set_cookie(
        cookie_name(name, secure=secure),
        value,
        path="/",
        httponly=True,
        samesite=same_site,
        secure=secure,
        max_age=seconds,
    )


def drop_cookie(response: web.Response, name: str, *, secure: bool) -> None:
    """Have a cookie forgotten."""
    response.del_cookie(
        cookie_name(name, secure=secure), path="/", httponly=True, secure=secure
    )
