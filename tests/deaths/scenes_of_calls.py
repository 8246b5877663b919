"""Scenes of tool calls: answered, refused, in doubt, cut off, and held up."""

from __future__ import annotations

from missions.authoring import Context, ToolFailed, Verdict
from tests.deaths.faults import Fault, Harm
from tests.deaths.props import double
from tests.deaths.scene import Given, scene


@scene()
async def effects(m: Context, given: Given) -> Verdict:
    """Each retry safety, and reads."""
    for name in ("read", "read_thread", "keyed", "thread", "verifiable", "manual", "asked", "silent"):
        await m.tool(f"stage.{name}", what=name)
    return Verdict("done")


@scene()
async def doubts(m: Context, given: Given) -> Verdict:
    """No answer, refusals that pass, refusals for good."""
    await m.tool("stage.read", what="later-read")
    await m.tool("stage.read", what="lost-read")
    await m.tool("stage.keyed", what="later-keyed")
    await m.tool("stage.keyed", what="lost-keyed")
    await m.tool("stage.verifiable", what="unheard")
    await m.tool("stage.manual", what="lost-manual")
    return Verdict("done")


@scene()
async def refusals(m: Context, given: Given) -> Verdict:
    """Tools that declare an error; the author goes on. Where its first request was cut off it may succeed."""
    for name in ("keyed", "read"):
        try:
            await m.tool(f"stage.{name}", what=f"refused-{name}")
        except ToolFailed:
            await m.observe("It was refused.")
    return Verdict("done")


@scene(first_dies_at="after_intent")
async def in_doubt(m: Context, given: Given) -> Verdict:
    """A worker died with a verifiable call intended."""
    await m.tool("stage.verifiable", what="verifiable")
    await m.tool("stage.keyed", what="keyed")
    return Verdict("done")


@scene(first_dies_at="after_intent")
async def unknown(m: Context, given: Given) -> Verdict:
    """A worker died with a call intended of which only a person can tell."""
    await m.tool("stage.manual", what="manual")
    return Verdict("done")


@scene(first_dies_at="after_intent")
async def doubted(m: Context, given: Given) -> Verdict:
    """A worker died with a keyed call intended."""
    await m.tool("stage.keyed", what="keyed")
    return Verdict("done")


@scene(first_dies_at="after_intent", chooses="roll_back", ends="cancelled", leaves_doubt=True)
async def given_up(m: Context, given: Given) -> Verdict:
    """The same, and the person stops here."""
    await m.step("double", double, 1)
    await m.tool("stage.manual", what="manual")
    return Verdict("done")


RECHECK = Fault("effects.intents:stands:op.run.owner.in_database", Harm.LOST)


@scene(first_dies_at="after_intent", first_hurt=(RECHECK, RECHECK))
async def lethal(m: Context, given: Given) -> Verdict:
    """A call that worker after worker does not survive."""
    await m.step("double", double, 1)
    await m.tool("stage.verifiable", what="verifiable")
    return Verdict("done")


SHIELD = "effects.dispatch:call_tool:asyncio.shield"


@scene(first_hurt=(Fault(SHIELD, Harm.LOST),))
async def late(m: Context, given: Given) -> Verdict:
    """A worker is fenced in mid-call; the answer comes afterwards."""
    await m.tool("stage.slow", what="slow")
    return Verdict("done")


@scene(first_hurt=(Fault("effects.steps:StepRun._append:self._run.append", Harm.LOST),))
async def fenced(m: Context, given: Given) -> Verdict:
    """A worker loses its sessions and starts over."""
    for number in range(3):
        await m.step("double", double, number)
    return Verdict("done")


@scene(first_dies_at="after_intent:1:STOP")
async def hung(m: Context, given: Given) -> Verdict:
    """A worker hangs in the middle; its peer ends it."""
    await m.tool("stage.keyed", what="keyed")
    return Verdict("done")


@scene()
async def limits(m: Context, given: Given) -> Verdict:
    """Calls that wait for their turn."""
    await m.gather(*(m.tool("stage.limited", what=f"limited{number}") for number in range(3)))
    return Verdict("done")


@scene(period_budgets={"steps": 1, "effects": 1, "wall": 60, "tokens": 1000})
async def charged(m: Context, given: Given) -> Verdict:
    """Steps, calls and tokens under period budgets; the second step and the second call wait for people."""
    await m.step("double", double, 1)
    await m.spend(tokens=10)
    await m.step("double", double, 2)
    await m.tool("stage.read", what="read")
    await m.tool("stage.keyed", what="keyed")
    await m.tool("stage.verifiable", what="verifiable")
    return Verdict("done")


@scene()
async def circuit(m: Context, given: Given) -> Verdict:
    """A tool without an answer, whose circuit opens."""
    await m.tool("stage.breaks", what="breaks")
    return Verdict("done")
