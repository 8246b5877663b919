"""Missions that together come to every await of the engine.

A scene ends the same way whatever befalls its workers. What people do in it, `tests.deaths.audience` does. A type of
missions belongs to one performance, so that several may go on in one database and each has workers of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from missions.authoring import (
    Budget,
    BudgetExhausted,
    ChildFailed,
    Context,
    RetryPolicy,
    StepFailed,
    ToolFailed,
    Verdict,
)
from missions.engine import registry
from tests.deaths.faults import Fault, Harm
from tests.deaths.props import dawdle, double, fail, halve, write

Given = dict[str, Any]
Body = Callable[[Context, Given], Awaitable[Any]]


# -- Scenes ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One mission, and what is special about how it is performed."""

    body: Body
    terms: dict[str, Any] = field(default_factory=dict)  # of its type
    first_dies_at: str = ""  # a crash point at which an earlier worker dies
    first_hurt: tuple[Fault, ...] = ()  # what befalls its worker before anything else does
    people: tuple[str, ...] = ()  # controls that are asked for, one each time that it waits for `go`
    at_once: str = ""  # a control that is asked for when the first worker has died
    ends: str = "completed"
    deadline: float | None = None  # seconds from its start
    diverges: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether no other worker may be there: whoever comes buries the dead and runs controls, of any type."""
        return bool(self.first_dies_at or self.people or self.at_once or self.deadline or self.diverges)


SCENES: dict[str, Scene] = {}


def scene(**special: Any) -> Callable[[Body], Body]:
    """Add a scene under the name of its function."""

    def add(body: Body) -> Body:
        SCENES[body.__name__] = Scene(body=body, **special)
        return body

    return add


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


@scene()
async def circuit(m: Context, given: Given) -> Verdict:
    """A tool without an answer, whose circuit opens."""
    await m.tool("stage.breaks", what="breaks")
    return Verdict("done")


@scene()
async def steps(m: Context, given: Given) -> Verdict:
    """Steps of every kind, and one that fails, one that is late."""
    await m.step("double", double, 1)
    await m.step("halve", halve, 2)
    for name, limit in (("fail", {}), ("late", {"timeout": 0.05})):
        try:
            await m.step(name, fail if name == "fail" else dawdle, 1, retry=RetryPolicy(attempts=2, first_seconds=0.01),
                         **limit)
        except StepFailed:
            await m.observe(f"{name} has failed.")
    return Verdict("done")


@scene()
async def branches(m: Context, given: Given) -> Verdict:
    """Branches that win, lose, fail and are cut off, one with a question open."""
    await m.gather(m.step("double", double, 1), m.sleep(0.02), m.tool("stage.keyed", what="keyed"))
    await m.wait_any(m.sleep(0.1), m.approval("never", "Never mind?"))
    await m.wait_any(m.step("double", double, 2), m.wait_for_signal("never"))
    try:
        await m.wait_for(m.wait_for_signal("never"), timeout=0.05)
    except TimeoutError:
        await m.observe("In vain.")
    try:
        await m.gather(m.step("fail", fail, 1), m.wait_for_signal("never"))
    except StepFailed:
        await m.observe("One has failed.")
    await m.gather(m.step("fail", fail, 2), m.gather(m.step("double", double, 3)), return_exceptions=True)
    return Verdict("done")


async def _valid(proposal: Any) -> str | None:
    return None


@scene()
async def people(m: Context, given: Given) -> Verdict:
    """What people answer, and facts."""
    await m.now()
    await m.spend(cost="0.1", tokens=1, what="words")
    await m.patched("patch")
    await m.deprecate_patch("patch")
    await m.approval("plan", "Shall it go on?")
    await m.decide("sure", {"n": 1}, confidence=1.0, validators=[_valid])
    await m.decide("unsure", {"n": 2}, confidence=0.1)
    return Verdict("done")


@scene(terms={"budget": Budget(steps=1, effects=1)})
async def budget(m: Context, given: Given) -> Verdict:
    """A budget that people raise once, and one that they do not."""
    await m.gather(*(m.step(f"double-{number}", double, number) for number in range(3)))
    try:
        for number in range(3):
            await m.tool("stage.keyed", what=f"keyed{number}")
    except BudgetExhausted:
        await m.observe("No more.")
    return Verdict("done")


@scene()
async def waits(m: Context, given: Given) -> Verdict:
    """Short and long sleeps, signals that come and that do not."""
    began = await m.now()
    await m.sleep(0.02)
    await m.sleep(30)
    await m.sleep_until(began)
    await m.wait_for_signal("go")
    await m.wait_for_signal("never", timeout=30)
    return Verdict("done")


@scene()
async def papers(m: Context, given: Given) -> Verdict:
    """A workspace, artifacts, cursors."""
    await m.step("write", write, "a.txt")
    await m.wait_for_signal("go")
    kept = await m.artifact("a.txt", Path("a.txt"))
    await m.tool("stage.files", what="files")
    await m.step("write", write, "b.txt")
    text = (await m.read_artifact(kept)).decode()
    await m.artifact("large.bin", b"7" * 100_000)
    return Verdict("done", data={"text": text})


@scene()
async def chapters(m: Context, given: Given) -> Any:
    """Three chapters."""
    await m.step("double", double, 1)
    await m.tool("stage.keyed", what=f"keyed{given.get('chapter', 0)}")
    if given.get("chapter", 0) < 2:
        await m.continue_as({**given, "chapter": given.get("chapter", 0) + 1})
    return Verdict("done")


@scene()
async def parent(m: Context, given: Given) -> Verdict:
    """Children: joined, joined together, failing, held back."""
    kind = given["child"]
    await m.join(await m.spawn(kind, {"fails": False}))
    handles = [await m.spawn(kind, {"fails": fails}) for fails in (False, True)]
    try:
        await m.join_all(handles)
    except ChildFailed:
        await m.observe("A child has failed.")
    await m.join(await m.spawn(kind, {"fails": False}, after=handles[1:], on_failure="hold"))
    try:
        await m.join(await m.spawn(kind, {"fails": False}, after=handles[1:], on_failure="fail"))
    except ChildFailed:
        await m.observe("Another one was not started.")
    return Verdict("done")


async def child(m: Context, given: Given) -> Verdict:
    """A child of `parent`."""
    await m.tool("stage.keyed", what="keyed")
    if given["fails"]:
        raise ValueError("It fails.")
    return Verdict("done")


@scene(people=("rollback",))
async def rolled_back(m: Context, given: Given) -> Verdict:
    """Taken back once, and done again."""
    await m.step("double", double, 1)
    await m.tool("stage.keyed", what="keyed")
    await m.tool("stage.verifiable", what="verifiable")
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


# -- Of the crash table ------------------------------------------------------------------------------------------------
async def paid(m: Context, given: Given) -> Verdict:
    """One call of one tool."""
    await m.tool(given["tool"], **given["args"])
    return Verdict("done")


async def undone(m: Context, given: Given) -> Verdict:
    """The same; it is taken back while it waits."""
    await m.tool(given["tool"], **given["args"])
    await m.wait_for_signal("back")
    return Verdict("done")


async def carer(m: Context, given: Given) -> Verdict:
    """The same, by a child."""
    await m.join(await m.spawn(given["child"], given["of_child"]))
    return Verdict("done")


BODIES: dict[str, Body] = {"child": child, "paid": paid, "undone": undone, "carer": carer}


def register(types: dict[str, str]) -> None:
    """Know these types and no others: name → scene."""
    for known in list(registry._types):
        del registry._types[known]
    for name, of in types.items():
        if of in BODIES:
            registry.register(name, 1, "", _body(BODIES[of]))
        else:
            registry.register(name, 1, "", _body(SCENES[of].body), **SCENES[of].terms)


def _body(body: Body) -> Any:
    async def run(m: Context, given: dict[str, Any]) -> Any:
        return await body(m, given)

    return run
