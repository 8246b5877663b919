"""Scenes of what an author writes around calls: steps, branches, questions, waits, files, chapters and children."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from missions.authoring import (
    Budget,
    BudgetExhausted,
    ChildFailed,
    Context,
    RetryPolicy,
    StepFailed,
    Verdict,
)
from tests.deaths.props import dawdle, double, fail, halve, write
from tests.deaths.scene import Given, scene


@scene()
async def steps(m: Context, given: Given) -> Verdict:
    """Steps of every kind, and one that fails, one that is late."""
    await m.step("double", double, 1)
    await m.step("halve", halve, 2)
    for name, limit in (("fail", {}), ("late", {"timeout": 0.05})):
        try:
            await m.step(name, fail if name == "fail" else dawdle, 1, retry=RetryPolicy(attempts=2, first_seconds=0.1),
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


@scene()
async def elsewhere(m: Context, given: Given) -> Verdict:
    """A resource on an MCP server changes."""
    found = await m.wait_for_mcp("stage", "state://it")
    assert found == {"digest": "after"}
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
    await m.ask("words", "What to write?")
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
