"""`manage.py mission` steers: every verb, what it says to people and machines, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from approvals.policies import document, versions
from missions.authoring import Context, ToolCall, Verdict, mission, tool
from missions.engine import codec, registry
from missions.engine.claims import CONTROL
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.models import Mission, Signal, State
from tests import live_worker, parcels

booked: list[int] = []


@tool(name="stall.sell", effect="write", retry_safety="manual", compensate="stall.buy_back", sentence="Sell {amount}")
async def sell(call: ToolCall, amount: int) -> dict[str, Any]:
    """Sell"""
    booked.append(amount)
    return {"number": len(booked)}


@tool(name="stall.buy_back", effect="write", retry_safety="manual", sentence="Buy back {amount}")
async def buy_back(call: ToolCall, amount: int, number: int) -> dict[str, Any]:
    """Buy back"""
    booked.append(-amount)
    return {}


@mission("stall.sale", version=1)
async def sale(m: Context, request: dict[str, Any]) -> Verdict:
    """Sell, and wait to be closed."""
    await m.tool("stall.sell", amount=3)
    await m.wait_for_signal("close")
    return Verdict("sold")


def run(*words: object) -> str:
    out = io.StringIO()
    call_command("mission", *map(str, words), stdout=out)
    return out.getvalue()


def lines(*words: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*words, "--json").splitlines()]


def refused(*words: object, status: int = 1) -> str:
    with pytest.raises(CommandError) as error, contextlib.redirect_stdout(io.StringIO()):
        run(*words)
    assert error.value.returncode == status
    return str(error.value)


def asked(of: Mission) -> list[dict[str, Any]]:
    return [codec.load(one.payload) for one in Signal.objects.filter(mission_id=of.pk, name=CONTROL)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("verb", "state"),
    [("pause", State.WAITING), ("stop", State.RUNNING), ("resume", State.PAUSED), ("cancel", State.WAITING),
     ("retry", State.FAILED)],
)  # fmt: skip
def test_a_control_is_asked_for_under_the_name_of_who_sits_there(verb: str, state: str) -> None:
    sent = parcels.mission()
    Mission.objects.filter(pk=sent.pk).update(state=state)
    assert f"Asked for: {verb}." in run(verb, sent.uid, "--reason", "Outage")
    (put,) = asked(sent)
    assert (put["verb"], put["reason"]) == (verb, "Outage") and put["by"].endswith(" (command)")
    assert lines(verb, sent.uid) == [{"mission": str(sent.uid), "verb": verb, "seq": 2}]


@pytest.mark.django_db
def test_what_the_state_does_not_allow_and_what_is_not_there_are_refused() -> None:
    done = parcels.complete(parcels.mission())
    assert "pause does not apply" in refused("pause", done.uid)
    assert refused("pause", uuid.uuid4())
    assert "99" in refused("rollback", done.uid, "--to", 99, "--preview")
    assert "99" in refused("fork", done.uid, "--at", 99)
    assert "Say why" in refused("rollback", done.uid, "--to", 1, status=2)
    assert "Name a mission" in refused("replay", status=2)
    assert refused("replay", done.uid, "--all-running", status=2)
    assert asked(done) == []


@pytest.fixture
def stall(transactional_db: None) -> None:
    """Policy lets the stall sell."""
    booked.clear()
    rules = [{"name": "free", "scope": {"tool": "stall.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "stall", "mode": "enforce", "rules": rules}), activate=True, via="test")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stall")
def test_previewed_rolled_back_and_cancelled_with_its_effects() -> None:
    with live_worker.worker():
        sold = live_worker.parked(start("stall.sale", {})[0], "signal:close")
        shown = run("rollback", sold.uid, "--to", 1, "--preview")
        assert "Keeps 1 entries up to 1" in shown and "Sell 3" in shown and "stall.buy_back" in shown
        (seen,) = lines("rollback", sold.uid, "--to", 1, "--preview")
        assert seen["counts"]["compensable"] == 1 and booked == [3]
        run("rollback", sold.uid, "--to", 1, "--reason", "Too cheap", "--guidance", "Ask for more")
        live_worker.wait_until(sold, lambda now: now.timeline == 2 and now.waits_for == "signal:close")
        assert booked == [3, -3, 3]
        run("cancel", sold.uid, "--compensate")
        live_worker.ended(sold)
    assert sold.state == "cancelled" and booked == [3, -3, 3, -3]
    assert [one["guidance"] for one in asked(sold) if one["verb"] == "rollback"] == ["Ask for more"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stall")
def test_a_fork_and_the_check_of_all_that_runs() -> None:
    with live_worker.worker():
        sold = live_worker.parked(start("stall.sale", {})[0], "signal:close")
        (told,) = lines("fork", sold.uid, "--at", sold.head_seq, "--title", "What if")
        made = live_worker.parked(Mission.objects.get(uid=told["id"]), "signal:close")
        assert (made.effects_off, told["title"], made.brief.started_via) == (True, "What if", "command")
        assert "with effects on" in run("fork", sold.uid, "--at", 1, "--effects", "on")
        deliver(made.pk, "close", {})
        live_worker.ended(made)
        live_worker.parked(Mission.objects.latest("pk"), "signal:close")
    assert booked == [3, 3]
    assert "2 of 2 missions follow this code" in run("replay", "--all-running")
    kind = registry._types.pop(("stall.sale", 1))
    try:
        assert "2 are left to other code" in run("replay", "--all-running")

        async def other(m: Context, request: dict[str, Any]) -> Verdict:
            await m.step("weigh", lambda: 1)
            return Verdict("weighed")

        registry.register("stall.sale", 1, "", other)
        assert "2 of 2 missions would diverge" in refused("replay", "--all-running")
        assert [row["ok"] for row in lines_of_refused("replay", sold.uid)] == [False]
    finally:
        registry._types["stall.sale", 1] = kind


def lines_of_refused(*words: object) -> list[dict[str, Any]]:
    """What a command that fails printed with --json before."""
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("mission", *map(str, words), "--json", stdout=out)
    return [row for row in map(json.loads, out.getvalue().splitlines()) if "ok" in row]
