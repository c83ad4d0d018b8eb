"""What to do about what a containment rule did, or did not do; as in `remedies`."""

from __future__ import annotations

from typing import Final

from streams.sinks.remedy_phrases import REVOKE

ACTED: Final = (
    "Look at the finding that the rule acted on, with `rescind findings`. If it is "
    "right, end {it} at the system that issued it, and revoke it with "
    f"{REVOKE} before the time above is over: from then on it is accepted again. "
    "Points without a guard accept it meanwhile: have it blocked there. If it is "
    "wrong, give it back with `rescind lift {id} --authority rescind.containment "
    '--aspect {rule} --reason "TEXT"`: the rule does not begin again, unless '
    "`after_lift` is set. If nobody can be asked, leave it: it ends by itself "
    "where a time stands above."
)
NOT_ACTED: Final = (
    "Look at the finding that the rule decided on, with `rescind findings`. If it is "
    f"right, revoke {{it}} with {REVOKE}, have it blocked at points without a guard, "
    "and end it at the system that issued it. `rescind blast-radius {id}` lists what "
    "ends with it. If it is wrong, nothing is to be done: change the rule {rule} in "
    "`containment` of the settings, and try it with `rescind policy test`. If a limit "
    "held the rule back, look for other findings of it first: many at once are an "
    "attack, or a rule that is too wide."
)
