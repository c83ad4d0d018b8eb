"""A Celery worker behind a guard: a task runs while the credential behind it lives.

pip install rescind-guard celery
export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=... BROKER_URL=...
celery --app celery_app worker

Whoever takes the request verifies the caller's token, and sends what it presents with
the task, never the token itself: `delayed(pay, caller, ...)`. The worker refuses a task
of the dead when it comes to it, however long it waited in the queue, interrupts one
that runs, and asks again before the effect.
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task
from celery.result import AsyncResult

from rescind_guard import Guard, Identifier, Presented
from rescind_guard.threads import ThreadedGuard

CALLER = "rescind-caller"
app = Celery(
    "orders", broker=os.environ["BROKER_URL"], backend=os.environ.get("RESULT_URL")
)


def new_guard() -> Guard:
    """Make the guard of a worker process, under a name of its own."""
    return Guard(
        os.environ["RESCIND_URL"],
        os.environ["RESCIND_GUARD_TOKEN"],
        name=f"orders-celery-{os.getpid()}",
        live_sessions=True,
    )


guard = ThreadedGuard(new_guard)


def delayed(task: Task, claims: dict[str, Any], *arguments: Any) -> AsyncResult:
    """Queue a task for a caller with these verified claims."""
    caller = {each: claims[each] for each in ("sub", "jti", "iat")}
    return task.apply_async(arguments, headers={CALLER: caller})


class CallersTask(Task):  # type: ignore[misc]
    """A task that somebody asked for, and that runs while they may."""

    abstract = True

    @property
    def caller(self) -> Presented:
        """What whoever asked for the task presents."""
        claims = self.request.headers[CALLER]
        who = (
            Identifier("agent.id", claims["sub"]),
            Identifier("jwt.jti", claims["jti"]),
        )
        return Presented(who, issued_at=claims["iat"] * 1_000_000_000)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the task while its caller may have it run."""
        with guard.task(self.caller, scope=f"celery.task|{self.name}", interrupt=True):
            return self.run(*arguments, **named)


@app.task(base=CallersTask, bind=True)  # type: ignore[untyped-decorator]
def pay(self: CallersTask, order: str, seconds: float = 0.0) -> str:
    """Prepare for a while; then pay, once, if the caller still may."""
    time.sleep(seconds)
    guard.commit(self.caller)
    return f"paid {order}"
