"""Login at an OpenID provider: authorization code with PKCE, state and nonce.

- What was begun is in a cookie of the browser that began it, so nobody can be made to
  finish the login of somebody else, and nobody else can crowd it out.
- The ID token is verified as any token is here: the algorithm is pinned to the key.
- Tokens are in the memory of the session. None of them stands in a URL, a page, a log
  or a cookie, and no refresh token is asked for.

Source: OpenID Connect Core 1.0 section 3.1, RFC 7636 (PKCE), RFC 9207 (iss in the
answer), RFC 9700 (best practices), OpenID Connect RP-Initiated Logout 1.0.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from attrs import define, field, frozen

from streams.console.templates import BASE
from streams.model.times import SECOND
from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import RequestLimits
from streams.sources.ssf.verifier import (
    SetRefusedError,
    UnknownKeyError,
    is_for,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.clients.jwks_cache import JwksCache
    from streams.outbound.client import HttpClient

NAMES_ITSELF: Final = "authorization_response_iss_parameter_supported"
DISCOVERY: Final = "/.well-known/openid-configuration"
LIMITS: Final = RequestLimits(seconds=15.0, largest=1 << 20)
BEGUN_SECONDS: Final = 600
MOST_DONE: Final = 1000
LONGEST_PAGE: Final = 1500  # a browser keeps no cookie of more than 4096 bytes
FRESH: Final = 3600 * SECOND  # for which a discovery document is believed
AGAIN: Final = 5 * SECOND  # after which a provider that did not answer is asked anew
LOGOUT_SECONDS: Final = 2.0  # that a page may wait for the provider's logout
LONGEST: Final = 10**9  # seconds that a token lasts: more is no time
SKEW: Final = 60  # seconds that the clocks may differ
OK: Final = 200
_TYPES: Final = ("jwt", "")


def _random() -> bytes:
    return secrets.token_bytes(32)


class LoginFailedError(Exception):
    """The login did not end well; the text is for the log and holds no secret."""


@frozen
class ProviderTokens:
    """What a login gave.

    Attributes:
        credential: that the API is asked with.
        expires: when it ends (ns); None: nobody says.
    """

    credential: str = field(repr=False)
    expires: int | None


@frozen
class BegunLogin:
    """A login under way.

    Attributes:
        to: page to show after it.
        until: ns.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    to: str
    until: int


@frozen(kw_only=True)
class ProviderClient:
    """This console as its provider knows it.

    Attributes:
        issuer: ``iss`` of its tokens.
        client_id: of the console.
        secret: of a confidential client; "" for a public one.
        scopes: that are asked for.
        redirect: where the provider sends browsers back to.
        after: page after a logout there.
        title: of the button.
        presents: which token the API is asked with: ``access`` or ``id``.
        algorithms: that its keys may have.
    """

    issuer: str
    client_id: str
    secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("openid",)
    redirect: str
    after: str
    title: str
    presents: str = "access"
    algorithms: tuple[str, ...] = ()


@define(eq=False)
class ProviderLogin:
    """Logins at one provider.

    Attributes:
        client: as the provider knows it.
    """

    client: ProviderClient
    _http: HttpClient
    _keys: JwksCache
    _clock: Callable[[], int]
    _secret: bytes = field(factory=_random, init=False, repr=False)
    _done: dict[str, None] = field(factory=dict, init=False, repr=False)
    _known: tuple[int, dict[str, Any]] | None = field(default=None, init=False)
    _failed: int | None = field(default=None, init=False)
    _asking: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def begin(self, to: str) -> tuple[str, str]:
        """Begin a login; return the provider's page, and the value of our cookie.

        Raises:
            LoginFailedError: the provider cannot be asked.
        """
        where = await self._endpoint("authorization_endpoint")
        until = self._clock() + BEGUN_SECONDS * SECOND
        page = to if len(to) <= LONGEST_PAGE else BASE
        body = f"{secrets.token_urlsafe(32)}.{until}.{_packed(page.encode())}"
        cookie = f"{body}.{self._derived('cookie', body)}"
        made = self._made(body)
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect,
            "scope": " ".join(self.client.scopes),
            "state": made.state,
            "nonce": made.nonce,
            "code_challenge": _challenge(made.verifier),
            "code_challenge_method": "S256",
        }
        return where + ("&" if "?" in where else "?") + urlencode(asked), cookie

    async def finish(
        self, cookie: str, query: Mapping[str, str]
    ) -> tuple[ProviderTokens, str]:
        """Finish a login; return its tokens, and the page to show.

        Args:
            cookie: that `begin` gave.
            query: that the provider sent the browser back with.

        Raises:
            LoginFailedError: it is another login, or the provider refused.
        """
        begun = self._begun(cookie)
        if begun is None or self._clock() >= begun.until or begun.state in self._done:
            raise LoginFailedError("no login of this browser is under way")
        if not hmac.compare_digest(
            query.get("state", "").encode(), begun.state.encode()
        ):
            raise LoginFailedError("state is of another login")
        while len(self._done) >= MOST_DONE:
            del self._done[next(iter(self._done))]
        self._done[begun.state] = None
        # A provider that says that it names itself has to (RFC 9207 section 2.4).
        named = (await self._document()).get(NAMES_ITSELF) is True
        if query.get("iss", "" if named else self.client.issuer) != self.client.issuer:
            raise LoginFailedError("iss is another provider")
        if "error" in query or "code" not in query:
            raise LoginFailedError("the provider sent no code")
        answer = await self._redeem(query["code"], begun.verifier)
        claims = await self._verified(answer.get("id_token"))
        self._check(claims, begun.nonce)
        return self._presented(answer, claims), begun.to

    async def logout_url(self) -> str:
        """Page of the provider that ends its own session; "" where it has none."""
        try:
            async with asyncio.timeout(LOGOUT_SECONDS):
                where = (await self._document()).get("end_session_endpoint")
        except (LoginFailedError, TimeoutError):
            return ""
        if not isinstance(where, str):
            return ""
        asked = {
            "client_id": self.client.client_id,
            "post_logout_redirect_uri": self.client.after,
        }
        return where + ("&" if "?" in where else "?") + urlencode(asked)

    def _begun(self, cookie: str) -> BegunLogin | None:
        """Login of a cookie that we made."""
        body, _, mark = cookie.rpartition(".")
        own = self._derived("cookie", body)
        if not hmac.compare_digest(mark.encode(errors="replace"), own.encode()):
            return None
        return self._made(body)

    def _made(self, body: str) -> BegunLogin:
        """Login of a seed, a time, and a page; its secrets are in no cookie."""
        seed, until, page = body.split(".")
        return BegunLogin(
            self._derived("state", seed),
            self._derived("nonce", seed),
            self._derived("verifier", seed),
            base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)).decode(),
            int(until),
        )

    def _derived(self, what: str, text: str) -> str:
        said = f"{what} {text}".encode(errors="replace")
        return _packed(hmac.digest(self._secret, said, "sha256"))

    def _presented(
        self, answer: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> ProviderTokens:
        if self.client.presents == "id":
            return ProviderTokens(str(answer["id_token"]), int(claims["exp"]) * SECOND)
        token, lasts = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token:
            raise LoginFailedError("the provider gave no access token")
        expires = None
        if isinstance(lasts, int | float) and 0 <= lasts <= LONGEST:
            expires = self._clock() + round(lasts * SECOND)
        return ProviderTokens(token, expires)

    async def _redeem(self, code: str, verifier: str) -> dict[str, Any]:
        where = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect,
            "code_verifier": verifier,
        }
        headers = {"accept": "application/json"}
        if self.client.secret:
            # Each is encoded before they are joined (RFC 6749 section 2.3.1).
            own = (self.client.client_id, self.client.secret)
            pair = ":".join(quote(each, safe="") for each in own)
            basic = base64.b64encode(pair.encode()).decode()
            headers["authorization"] = f"Basic {basic}"
        else:
            form["client_id"] = self.client.client_id
        try:
            got = await self._http.request(
                "POST", where, headers=headers, data=form, bounds=LIMITS
            )
            answer = got.object()
        except (RequestError, UnreadableAnswerError) as error:
            raise LoginFailedError("the provider gave no token") from error
        if got.status != OK:
            raise LoginFailedError(f"the provider refused the code ({got.status})")
        return answer

    async def _verified(self, token: Any) -> dict[str, Any]:
        """Claims of an ID token whose signature is good."""
        if not isinstance(token, str):
            raise LoginFailedError("the provider gave no ID token")
        for attempt in (1, 2):
            allowed = self.client.algorithms
            keys = {
                kid: key
                for kid, key in self._keys.keys.items()
                if key.algorithm in allowed
            }
            try:
                return signed(token.encode(), keys, _TYPES)
            except UnknownKeyError as error:
                # It may have been rotated, or was never read.
                if attempt == 1 and await self._keys.refresh():
                    continue
                raise LoginFailedError("the ID token's key is not known") from error
            except (SetRefusedError, UnicodeEncodeError) as error:
                raise LoginFailedError("the ID token is not good") from error
        raise LoginFailedError("the ID token's key is not known")

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        """Check whose an ID token is, for whom, for when, and of which login."""
        now = self._clock() / SECOND
        given, own = claims.get("nonce"), self.client.client_id
        expires, issued = claims.get("exp"), claims.get("iat")
        if claims.get("iss") != self.client.issuer:
            raise LoginFailedError("the ID token is of another issuer")
        if not is_for(claims, (own,)) or claims.get("azp", own) != own:
            raise LoginFailedError("the ID token is for somebody else")
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode(), nonce.encode()
        ):
            raise LoginFailedError("the ID token is of another login")
        if not isinstance(expires, int | float) or now >= expires + SKEW:
            raise LoginFailedError("the ID token has expired")
        if not isinstance(issued, int | float) or issued > now + SKEW:
            raise LoginFailedError("the ID token is of the future")

    async def _endpoint(self, name: str) -> str:
        found = (await self._document()).get(name)
        if not isinstance(found, str):
            raise LoginFailedError(f"the discovery document has no {name}")
        return found

    async def _document(self) -> dict[str, Any]:
        """Discovery document of the provider (OpenID Connect Discovery 1.0).

        Strangers may ask for a login: of all at once one asks the provider, and none
        for a while where it does not answer.
        """
        async with self._asking:
            now = self._clock()
            if self._known is not None and now - self._known[0] < FRESH:
                return self._known[1]
            if self._failed is not None and now - self._failed < AGAIN:
                raise LoginFailedError("the provider did not answer a moment ago")
            try:
                found = await self._discovered()
            except LoginFailedError:
                self._failed = self._clock()
                raise
            self._known = now, found
            return found

    async def _discovered(self) -> dict[str, Any]:
        where = self.client.issuer.rstrip("/") + DISCOVERY
        try:
            got = (await self._http.request("GET", where, bounds=LIMITS)).ok().object()
        except (RequestError, UnreadableAnswerError) as error:
            raise LoginFailedError("the provider cannot be asked") from error
        if got.get("issuer") != self.client.issuer:
            raise LoginFailedError("the discovery document is of another issuer")
        return got


def _challenge(verifier: str) -> str:
    return _packed(hashlib.sha256(verifier.encode()).digest())


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
