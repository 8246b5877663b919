"""What agents spent: each answer counted once, whenever it commits, whoever counts, and wherever its mission went."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from config import llms
from missions.authoring import Context, Verdict, mission
from missions.control import forks, preview
from missions.engine import controls, history, starting
from missions.engine.clock import database_now
from missions.engine.dsn import conninfo
from missions.keeping import restoring
from missions.models import Archived, Kind, Mission
from observability import rollup, spend, tasks
from observability.models import Spend
from tests import llm_servers, parcels, rail, thinkers
from tests.conftest import Clock
from tests.live_worker import ended, parked, wait_until, worker
from tests.llm_servers import Say, in_order

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]
PRICES = "{local/scripted: {input: 1, output: 2, currency: GBP}}"  # per million tokens
SAID = {
    "agent": "scout", "version": 3, "member": "local/scripted", "usage": {"input_tokens": 10, "output_tokens": 5},
    "cost": "0.5", "currency": "GBP", "priced": True,
}  # fmt: skip
AGAIN = (  # the same answer once more, by another connection, which commits when the test likes
    "insert into missions_journal (mission_id, seq, timeline, kind, path, input_hash, payload, salt, digest, chain,"
    " attempt) select mission_id, seq + 100, timeline, kind, path, input_hash, payload, salt, digest, chain, attempt"
    " from missions_journal where mission_id = %s and kind = 'llm'"
)


@mission("spend.asks")
async def asks(m: Context, given: dict[str, Any]) -> Verdict:
    """One request of its own, and one of an agent; then it waits."""
    await m.llm("Say hello.")
    await m.agent("scout", goal="Look around.")
    await m.wait_for_signal("go")
    return Verdict("done")


def answered(mission: Mission, **more: Any) -> None:
    """An answer in a mission's journal."""
    parcels.append(mission, Kind.LLM, {**SAID, **more})


def counted() -> list[tuple[Any, ...]]:
    """What is counted: agent, version, turns, failed, unpriced, tokens, cost with its currency."""
    return [
        (row.agent, row.version, row.turns, row.failed, row.unpriced, row.tokens_in, row.tokens_out,
         f"{row.cost.normalize():f} {row.currency}")
        for row in Spend.objects.order_by("agent", "day", "version", "member", "currency")
    ]  # fmt: skip


def all_counted() -> None:
    """Count until nothing is left: what was written beside a transaction that is still open is counted after it."""
    give_up = time.monotonic() + 20
    spend.roll_up()
    while spend.uncounted_since() is not None:
        assert time.monotonic() < give_up
        spend.roll_up()


def test_answers_of_agents_are_counted_once_with_what_was_left_behind_and_without_what_was_copied(
    settings: Settings,
) -> None:
    settings.LLM_PRICES = llms.priced(PRICES)
    thinkers.version("scout")
    with thinkers.thinking(Say(text="Hm.", usage=(900, 100))) as llm, worker():
        run = parked(starting.start("spend.asks", {})[0], "signal:go")
        all_counted()
        once = [("", 0, 1, 0, 0, 900, 100, "0.0011 GBP"), ("scout", 1, 1, 0, 0, 900, 100, "0.0011 GBP")]
        assert counted() == once
        spend.roll_up()
        assert counted() == once
        seen = preview.preview(run, 1)
        controls.request(run.pk, "rollback", reason="Again", by="olivia", to=1, preview_digest=seen.digest)
        wait_until(run, lambda now: now.timeline == 2 and now.waits_for == "signal:go")
        forked = parked(forks.fork(run, run.head_seq), "signal:go")
    assert len(llm.requests) == 4 and any(entry.kind == Kind.LLM for entry in history.entries(forked.pk))
    spend.roll_up()
    assert counted() == [("", 0, 2, 0, 0, 1800, 200, "0.0022 GBP"), ("scout", 1, 2, 0, 0, 1800, 200, "0.0022 GBP")]
    today = database_now().date()
    assert {(row.day, row.member) for row in Spend.objects.all()} == {(today, "local/scripted")}


def test_what_has_no_price_and_what_nothing_answered_are_told_apart() -> None:
    thinkers.version("scout")
    with thinkers.thinking(in_order(Say(text="12.00", usage=(7, 3)), llm_servers.unauthorised())), worker():
        for _ in range(2):
            ended(starting.start("agent", {"agent": "scout", "goal": "Look around."})[0])
    spend.roll_up()
    assert [row[:7] for row in counted()] == [("scout", 1, 1, 1, 0, 0, 0), ("scout", 1, 1, 0, 1, 7, 3)]
    assert sum(row.cost for row in Spend.objects.all()) == 0


def test_a_late_commit_is_waited_for_and_not_skipped() -> None:
    run = rail.running()
    answered(run)
    spend.roll_up()
    with psycopg.connect(conninfo("test")) as late:
        late.execute(AGAIN, [run.pk])
        answered(rail.running(), version=4)  # younger, but committed first
        spend.roll_up()
        assert [row[1:3] for row in counted()] == [(3, 1)] and spend.uncounted_since() is not None
        late.commit()
    spend.roll_up()
    assert [row[1:3] for row in counted()] == [(3, 2), (4, 1)] and spend.uncounted_since() is None


def _count() -> None:
    try:
        spend.roll_up()
    finally:
        connection.close()


def test_two_that_count_at_once_count_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "MOST", 3)
    run = rail.running()
    for _ in range(20):
        answered(run)
    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(_count) for _ in range(4)]:
            one.result(20)
    assert counted() == [("scout", 3, 20, 0, 0, 200, 100, "10 GBP")]


def test_many_answers_are_counted_in_bounded_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "MOST", 1)
    monkeypatch.setattr(spend, "ROUNDS", 2)
    run = rail.running()
    for _ in range(6):
        answered(run)
    seen = [0]
    while "more wait" in spend.roll_up():
        seen.append(sum(row.turns for row in Spend.objects.all()))
        assert len(seen) < 20
    seen.append(sum(row.turns for row in Spend.objects.all()))
    assert seen[-1] == 6 and max(now - before for before, now in itertools.pairwise(seen)) <= 2


@pytest.mark.parametrize(
    "odd",
    [
        {"agent": "a\0b" * 200}, {"member": None, "currency": 5}, {"version": "x"}, {"version": 2**62},
        {"cost": "NaN"}, {"cost": "1e40"}, {"cost": []}, {"usage": None}, {"usage": [3]},
        {"usage": {"input_tokens": -3, "output_tokens": 2**62}},
    ],
)  # fmt: skip
def test_an_odd_entry_holds_nothing_up(odd: dict[str, Any]) -> None:
    run = rail.running()
    answered(run, **odd)
    answered(run)
    spend.roll_up()
    assert sum(row.turns for row in Spend.objects.all()) == 2
    assert Spend.objects.get(agent="scout", version=3, member="local/scripted", currency="GBP").cost in (
        Decimal("0.5"), Decimal(1),
    )  # fmt: skip


def test_the_archive_takes_only_what_is_counted_and_what_comes_back_counts_no_more(
    clock: Clock, transactional_db: None, settings: Settings, olivia: User
) -> None:
    settings.MISSIONS_KEEP_DAYS = 1
    run = rail.running(olivia)
    with psycopg.connect(conninfo("test")) as late:
        late.execute(rail.TAKEOVER, [rail.running(olivia).pk, 1])  # has its transaction id, and stays open
        answered(run)
        parcels.complete(run)
        clock.advance(days=3)
        rollup.roll_up()
        assert tasks.archive() == "0 missions were archived."
        late.commit()
    assert tasks.archive() == "1 missions were archived."
    once = [("scout", 3, 1, 0, 0, 10, 5, "0.5 GBP")]
    assert counted() == once and not Mission.objects.filter(pk=run.pk).exists()
    restoring.restore(Archived.objects.get(mission_id=run.pk))
    spend.roll_up()
    assert counted() == once
