"""Forks and the missions that they start: what is off stays off, however far down."""

from __future__ import annotations

from typing import Any

import pytest

from missions.authoring import Context, Denied, ToolCall, Verdict, mission, tool
from missions.control import forks
from missions.engine import history
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.keeping import parts
from missions.models import Mission
from tests import live_worker
from tests.corners import allow

pytestmark = pytest.mark.django_db(transaction=True)
sent: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    sent.clear()
    allow()


@tool(name="corner.send", effect="write", retry_safety="manual", sentence="Send {word}")
async def send(call: ToolCall, word: str) -> dict[str, Any]:
    """Send"""
    sent.append(word)
    return {"word": word}


async def _sent(m: Context, word: str) -> Verdict:
    try:
        await m.tool("corner.send", word=word)
    except Denied:
        return Verdict("off")
    return Verdict("sent")


@mission("forks.leaf", version=1)
async def leaf(m: Context, state: dict[str, Any]) -> Verdict:
    if not state.get("later"):
        await m.continue_as({"later": True})  # what is off is off in the next chapter too
    return await _sent(m, "leaf")


@mission("forks.branch", version=1)
async def branch(m: Context, request: dict[str, Any]) -> Verdict:
    below = await m.join(await m.spawn("forks.leaf", {}))
    after = await m.join(await m.spawn("forks.leaf", {}, after=[await m.spawn("forks.leaf", {})]))
    return Verdict(f"{below.verdict} {after.verdict} {(await _sent(m, 'branch')).verdict}")


@mission("forks.tree", version=1)
async def tree(m: Context, request: dict[str, Any]) -> Verdict:
    await m.wait_for_signal("go")
    return await m.join(await m.spawn("forks.branch", {}))


def test_all_that_a_fork_starts_has_its_effects_off_too() -> None:
    with live_worker.worker():
        run = live_worker.parked(start("forks.tree", {})[0], "signal:go")
        other = forks.fork(run, run.head_seq)
        deliver(other.pk, "go", {})
        live_worker.ended(other)
        assert (other.outcome.verdict, other.outcome.error, sent) == ("off off off", "", [])
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert run.outcome.verdict == "sent sent sent" and sorted(sent) == ["branch", "leaf", "leaf", "leaf"]
    started = {one.effects_off: history.entries(one.pk)[0].payload for one in Mission.objects.filter(parent__gt=0)}
    assert started[True]["effects"] is False and "effects" not in started[False]


@mission("forks.parent", version=1)
async def parent(m: Context, request: dict[str, Any]) -> Verdict:
    child = await m.spawn("forks.child", {})
    await m.wait_for_signal("go")
    return await m.join(child)


@mission("forks.child", version=1)
async def child(m: Context, request: dict[str, Any]) -> Verdict:
    await m.wait_for_signal("end")
    return Verdict("grown", data={"by": request.get("by", "source")})


def test_fork_between_a_spawn_and_its_join_takes_the_result_of_its_sources_child() -> None:
    """Also a fork of the fork; nobody starts the child again, and all are told of its end."""
    with live_worker.worker():
        run = live_worker.parked(start("forks.parent", {})[0], "signal:go")
        started = live_worker.parked(Mission.objects.get(parent=run.pk), "signal:end")
        forked = live_worker.parked(forks.fork(run, run.head_seq), "signal:go")
        again = live_worker.parked(forks.fork(forked, forked.head_seq), "signal:go")
        for one in (forked, again):
            deliver(one.pk, "go", {})
            live_worker.parked(one, "child:")
        deliver(started.pk, "end", {})
        for one in (forked, again):
            live_worker.ended(one)
            assert (one.outcome.verdict, one.outcome.error) == ("grown", "") and history.verify(one).ok
        assert parts.kept([started.pk]) == {started.pk: "relatives"}  # its own parent may still ask
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert Mission.objects.filter(type="forks.child").count() == 1 and parts.kept([started.pk]) == {}
