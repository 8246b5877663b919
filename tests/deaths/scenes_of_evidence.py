"""Scenes of evidence: read again where it is old and before the effect; unchanged, changed, gone, and never read.

What `stage.look` sees of a thing depends on its name and on how often it was asked for, so that a worker that dies may
see a change too early; the effect then still happens once, or not at all where the scene allows it.
"""

from __future__ import annotations

from missions.authoring import Context, Denied, EffectNotDone, Verdict
from tests.deaths.scene import Given, scene


@scene()
async def proofs(m: Context, given: Given) -> Verdict:
    """Evidence that is there, and is old by the time it is needed."""
    await m.tool("stage.look", what="steady")
    await m.sleep(2)
    await m.tool("stage.proven", what="steady")
    return Verdict("done")


@scene()
async def moved(m: Context, given: Given) -> Verdict:
    """Evidence that changes after people have approved."""
    await m.tool("stage.look", what="turns-2")
    await m.tool("stage.proven", what="turns-2")
    return Verdict("done")


@scene()
async def moved_late(m: Context, given: Given) -> Verdict:
    """Evidence that changes while a call is put off."""
    await m.tool("stage.look", what="later-turns-3")
    await m.tool("stage.proven", what="later-turns-3")
    return Verdict("done")


@scene()
async def moved_in_doubt(m: Context, given: Given) -> Verdict:
    """Evidence that changes while nobody knows whether a call has happened: it is looked up, or people are asked."""
    for name in ("proven", "probed"):
        what = f"lost-turns-3-{name}"
        await m.tool("stage.look", what=what)
        await m.tool(f"stage.{name}", what=what)
    return Verdict("done")


@scene(period_budgets={"effects": 9})
async def unproven(m: Context, given: Given) -> Verdict:
    """Evidence that was never read, that changes under an allowing rule, and that can not be had any more.

    What is denied gives back what it held of its budget.
    """
    for what, look in (("unseen", False), ("turns-2", True), ("gone-2", True)):
        try:
            if look:
                await m.tool("stage.look", what=what)
            await m.tool("stage.freely", what=what)
        except (Denied, EffectNotDone):
            await m.observe("It was denied.")
    return Verdict("done")
