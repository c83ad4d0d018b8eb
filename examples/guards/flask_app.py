"""A Flask service behind a guard, for servers with threads and forked workers.

pip install rescind-guard pyjwt flask gunicorn
export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=... JWT_KEY=...
gunicorn --workers 2 --threads 8 flask_app:app
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import jwt
from flask import Flask, Response, jsonify

from rescind_guard import Guard, Identifier, Presented
from rescind_guard.threads import ThreadedGuard
from rescind_guard.wsgi import GuardedApplication


def new_guard() -> Guard:
    """Make the guard of a worker, under a name of its own."""
    return Guard(
        os.environ["RESCIND_URL"],
        os.environ["RESCIND_GUARD_TOKEN"],
        name=f"orders-flask-{os.getpid()}",
    )


def presented(environ: dict[str, Any]) -> Presented | None:
    """Give what a caller presents, once its signature is verified.

    With your identity provider: RS256 or ES256, and the key from its JWKS.
    """
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme != "Bearer":
        return None
    try:
        claims = jwt.decode(
            token,
            os.environ["JWT_KEY"],
            algorithms=["HS256"],
            audience="orders",
            options={"require": ["sub", "jti", "iat", "exp"]},
        )
    except jwt.InvalidTokenError:
        return None
    who = (Identifier("agent.id", claims["sub"]), Identifier("jwt.jti", claims["jti"]))
    return Presented(who, issued_at=claims["iat"] * 1_000_000_000)


app = Flask(__name__)
guard = ThreadedGuard(new_guard)
app.wsgi_app = GuardedApplication(app.wsgi_app, guard, presented)  # type: ignore[method-assign]


@app.get("/orders")
def orders() -> Response:
    """Answer at once."""
    return jsonify(["order 1"])


@app.get("/events")
def events() -> Response:
    """Send an event ten times a second, for hours: it ends when the token does."""

    def numbers() -> Iterator[str]:
        for number in range(1_000_000):
            yield f"data: order {number}\n\n"
            time.sleep(0.1)

    return Response(numbers(), mimetype="text/event-stream")
