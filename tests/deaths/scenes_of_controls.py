"""Scenes in which people, or the engine, steer a mission."""

from __future__ import annotations

import contextlib

from missions.authoring import ChangesRequested, Context, Verdict
from tests.deaths.props import double
from tests.deaths.scene import Given, scene


@scene(people=("rollback",))
async def rolled_back(m: Context, given: Given) -> Verdict:
    """Taken back once, and done again."""
    await m.step("double", double, 1)
    await m.tool("stage.keyed", what="keyed")
    await m.tool("stage.verifiable", what="verifiable")
    await m.wait_for_signal("go")
    return Verdict("done")


@scene(people=("amend",))
async def amended(m: Context, given: Given) -> Verdict:
    """Its goal is amended while it asks for leave: it is told, and goes on otherwise."""
    await m.step("double", double, 1)
    with contextlib.suppress(ChangesRequested):
        await m.tool("stage.never", what="never")
    await m.wait_for_signal("go")
    return Verdict("done")


@scene(people=("pause", "cancel"), ends="cancelled")
async def cancelled(m: Context, given: Given) -> Verdict:
    """Paused, resumed, then cancelled with all that it did."""
    await m.tool("stage.keyed", what="keyed")
    await m.tool("stage.manual", what="manual")
    for _ in range(2):
        await m.wait_for_signal("go")
    return Verdict("done")


@scene(first_dies_at="after_intent", at_once="cancel", ends="cancelled")
async def taken_back(m: Context, given: Given) -> Verdict:
    """Cancelled with an effect in doubt."""
    await m.tool("stage.verifiable", what="verifiable")
    await m.wait_for_signal("never")
    return Verdict("done")


@scene(first_dies_at="after_intent", at_once="cancel", ends="cancelled")
async def asked_back(m: Context, given: Given) -> Verdict:
    """Cancelled with an effect in doubt of which only a person can tell."""
    await m.tool("stage.manual", what="manual")
    await m.wait_for_signal("never")
    return Verdict("done")


@scene(people=("retry",))
async def retried(m: Context, given: Given) -> Verdict:
    """Fails once; what was done before stands, in one place with other arguments."""
    await m.tool("stage.keyed", what="keyed")
    await m.tool("stage.thread", what="again" if m._run.claimed.timeline > 1 else "thread")
    if m._run.claimed.timeline == 1:
        raise ValueError("It fails.")
    return Verdict("done")


@scene(diverges=True)
async def diverged(m: Context, given: Given) -> Verdict:
    """The code of the second attempt is another one."""
    await m.tool("stage.keyed", what="keyed")
    await m.step("odd" if m._run.claimed.attempt == 2 else "even", double, 1)
    await m.wait_for_signal("go")
    return Verdict("done")


@scene(deadline=0.6)
async def overdue(m: Context, given: Given) -> Verdict:
    """Its deadline passes while it waits."""
    await m.step("double", double, 1)
    await m.wait_for_signal("end")
    return Verdict("done")


# -- Where people want something else ----------------------------------------------------------------------------------
# Each begins with more than its counterpart above, so that a fault in what both come to befalls that one.
@scene(people=("rollback",), overtakes="cancel", ends="cancelled")
async def overtaken(m: Context, given: Given) -> Verdict:
    """Half taken back when a person ends it: the other half can not be undone."""
    for number in range(2):
        await m.step("double", double, number)
    await m.tool("stage.stuck", what="stuck")
    await m.tool("stage.keyed", what="keyed")
    await m.wait_for_signal("go")
    return Verdict("done")


@scene(diverges=True, chooses="cancel", ends="cancelled")
async def dropped(m: Context, given: Given) -> Verdict:
    """The code is another one from the second attempt on, and a person ends it."""
    await _diverge(m)
    return Verdict("done")


@scene(diverges=True, chooses="roll_back")
async def wound_back(m: Context, given: Given) -> Verdict:
    """The same; a person has undone what came after."""
    await _diverge(m)
    return Verdict("done")


RECORDED = 7  # entries when `_diverge` first waits: started, three steps, ruling, intent, outcome


async def _diverge(m: Context) -> None:
    for number in range(2):
        await m.step("double", double, number)
    # From the attempt on that finds all of it recorded, however many workers that has taken.
    of_late = m._run.claimed.head_seq >= RECORDED and m._run.claimed.timeline == 1
    await m.step("odd" if of_late else "even", double, 1)
    await m.tool("stage.keyed", what="keyed")
    await m.wait_for_signal("go")


@scene(deadline=0.6, chooses="cancel", ends="cancelled")
async def wound_up(m: Context, given: Given) -> Verdict:
    """Its deadline passes, and a person ends it."""
    for number in range(2):
        await m.step("double", double, number)
    await m.wait_for_signal("end")
    return Verdict("done")
