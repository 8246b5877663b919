"""Replaying a version on the past: what is read of it, what counts as different, and that it is counted once."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection

from approvals.models import Change, Policy, Replay, ReplayDifference, VersionState
from approvals.policies.document import InvalidPolicy
from approvals.simulation import candidates, history, replaying, statements
from approvals.simulation.history import Place, Stretch
from approvals.simulation.windows import Window
from missions.engine.clock import database_now
from missions.models import Kind, Timeline
from tests import parcels
from tests.policies import row
from tests.replays import PATH, allowed, asked, draft, in_force, mission, over, replayed, ruled, undone

pytestmark = pytest.mark.django_db
ASK_ALL = over("0.0")


def changes(replay: Replay) -> dict[str, int]:
    return replay.summary["changes"]


def test_each_difference_is_counted_with_how_people_had_decided() -> None:
    in_force(ASK_ALL)
    run = mission()
    for number, (amount, state) in enumerate((("20.00", "rejected"), ("30.00", "approved"), ("900.00", "approved"))):
        asked(run, amount, state, path=f"{PATH}{number}")
    ruled(run, "allow", "950.00", path="a#1")
    undone(run, ruled(run, "allow", "960.00", path="a#2"))
    ruled(run, "deny", "10.00", path="a#3")
    replay = replayed(draft(allowed(), over("500.0")))
    assert changes(replay) == {"escalate_allow": 2, "allow_escalate": 2, "deny_allow": 1}
    people = replay.summary["people"]
    assert (people["allows_rejected"], people["allows_approved"]) == (1, 1)
    assert (people["asks_more"], people["asks_more_undone"], people["asks_less"]) == (2, 1, 2)
    assert (replay.total, replay.done, replay.summary["actions"], replay.differing) == (6, 6, 6, 5)
    rejected = ReplayDifference.objects.get(replay=replay, decided="rejected")
    assert (rejected.change, rejected.mission_uid, rejected.rules) == (Change.ESCALATE_ALLOW, run.uid, ["refunds"])


def test_same_rules_change_nothing_and_do_not_loosen() -> None:
    version = in_force(allowed(), ASK_ALL)
    asked(mission(), "750.00")
    replay = replayed(version)
    assert (replay.differing, replay.loosens, replay.summary["load"][0]["now"]) == (
        0, False, replay.summary["load"][0]["then"],
    )  # fmt: skip


def test_other_tiers_are_a_difference_and_fewer_of_them_loosen() -> None:
    finance_too = [{"group": "supervisors", "quorum": 1}, {"group": "finance", "quorum": 2}]
    in_force(over("0.0", tiers=finance_too))
    asked(mission())
    one_of_finance = [{"group": "supervisors", "quorum": 1}, {"group": "finance", "quorum": 1}]
    replay = replayed(draft(over("0.0", tiers=one_of_finance)))
    assert changes(replay) == {"escalate_other": 1}
    assert replay.loosens
    assert not replayed(draft(over("0.0", tiers=[*finance_too, {"group": "legal"}]))).loosens


def test_loosening_is_told_against_what_is_in_force_not_against_the_past() -> None:
    in_force(row("never", "deny"))
    ruled(mission(), "allow")
    replay = replayed(draft(allowed()))
    assert (replay.differing, replay.loosens) == (0, True)


def test_other_policies_bind_as_they_are_in_force() -> None:
    in_force(over("800.0", "deny"), name="bars")
    in_force(ASK_ALL)
    run = mission()
    asked(run, "900.00")
    asked(run, "100.00", path="b#1")
    assert changes(replayed(draft(allowed()))) == {"escalate_deny": 1, "escalate_allow": 1}


def test_conditions_read_the_time_and_the_facts_of_then(clock) -> None:
    in_force(ASK_ALL)
    run = mission()
    ruled(run, "allow", agent="clerk", data_class="payments", clearance=("internal", "payments"))
    then = database_now()
    clock.advance(days=30)
    condition = f'now < timestamp("{(then + dt.timedelta(days=1)).isoformat()}") && agent.name == "clerk"'
    replay = replayed(draft(row("clerks", "allow", f'{condition} && data.class == "payments"'), over("0.0", "deny")))
    assert changes(replay) == {"allow_deny": 1}
    assert replayed(draft(row("clerks", "allow", condition))).differing == 0


def test_entries_of_earlier_releases_are_judged_by_what_followed_them() -> None:
    in_force(allowed())
    run = mission()
    ruled(run, "allow", "900.00", kept=False, path="send#1")
    told = {"tool": "payments.refund", "args": {"amount": "900.00"}, "effect_class": "write", "retry_safety": "keyed"}
    parcels.append(run, Kind.INTENT, told, path="send#1")
    asked(run, "900.00", "rejected", kept=False, path="b#1")
    ruled(run, "deny", "900.00", kept=False, path="c#1")
    replay = replayed(draft(row("all", "deny")))
    assert changes(replay) == {"allow_deny": 1, "escalate_deny": 1}
    assert (replay.summary["actions"], replay.summary["unrecorded"], replay.done) == (2, 1, 3)


def test_arguments_that_no_rule_may_read_are_denied_as_the_gate_would() -> None:
    in_force(allowed())
    run = mission()
    entry = ruled(run, "deny")
    payload = {"tool": "payments.refund", "phase": "plan", "outcome": "deny", "reason": "", "policy_version": ""}
    told = {"tool": "payments.refund", "args": None, "args_bytes": 90_000, "effect_class": "write",
            "retry_safety": "manual", "owner_id": None}  # fmt: skip
    parcels.append(run, Kind.RULING, {**payload, "intent": told}, path="b#1")
    replay = replayed(draft(row("all", "allow")))
    assert [one.seq for one in replay.differences.all()] == [entry.seq]


def test_windows_mission_types_budgets_forks_and_replays_themselves_are_told_apart(clock) -> None:
    in_force(ASK_ALL)
    run = mission()
    ruled(run, "allow", path="a#1")
    clock.advance(hours=2)
    middle = database_now()
    clock.advance(hours=2)
    ruled(run, "allow", path="a#2")
    other = mission()
    type(other).objects.filter(pk=other.pk).update(type="other")
    ruled(other, "allow")
    own = mission()
    type(own).objects.filter(pk=own.pk).update(type=history.OWN_TYPE)
    ruled(own, "allow")
    fork = mission()
    ruled(fork, "allow")
    Timeline.objects.create(mission_id=fork.pk, number=2, parent=1, to_seq=2, opened_seq=3, kept=[(1, 3)],
                            seed=fork.uid, verb="fork")  # fmt: skip
    version = draft(row("all", "deny"))

    def found(window: Window, **more: str) -> list[tuple[int, int]]:
        rows = replayed(version, window, **more).differences.order_by("pk")
        return [(one.mission_id, one.seq) for one in rows]

    assert found(Window()) == [(run.pk, 2), (run.pk, 3), (other.pk, 2)]
    assert found(Window(since=middle)) == [(run.pk, 3), (other.pk, 2)]
    assert found(Window(until=middle)) == [(run.pk, 2)]
    assert found(Window(), mission_type="other") == [(other.pk, 2)]
    assert found(Window(last=1)) == [(other.pk, 2)]
    assert found(Window(last=1, until=middle)) == found(Window(last=9, until=middle)) == [(run.pk, 2)]


def test_what_the_engine_ruled_itself_is_no_ruling_of_policy() -> None:
    in_force(allowed())
    run = mission()
    told = {"tool": "payments.refund", "outcome": "deny", "reason": "The budget is used up.", "policy_version": ""}
    parcels.append(run, Kind.RULING, {**told, "phase": "budget"})
    replay = replayed(draft(ASK_ALL))
    assert (replay.done, replay.summary["actions"]) == (1, 0)


def test_a_part_that_is_repeated_counts_once(monkeypatch) -> None:
    monkeypatch.setattr(replaying, "PART_SECONDS", 0.0)
    monkeypatch.setattr(replaying, "BATCH", 2)
    in_force(ASK_ALL)
    run = mission()
    for number in range(5):
        ruled(run, "allow", path=f"a#{number}")
    replay = replayed(draft(row("all", "deny")))
    assert [part.counts["read"] for part in replay.parts.order_by("number")] == [2, 2, 1]
    again = [replaying.run_part(replay, number) for number in (1, 2, 3)]
    replay.refresh_from_db()
    assert (replay.done, replay.differing, replay.differences.count()) == (5, 5, 5)
    assert again == list(replay.parts.order_by("number"))


def test_differences_beyond_the_limit_are_counted_and_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(replaying, "KEPT", 3)
    in_force(ASK_ALL)
    run = mission()
    for number in range(5):
        ruled(run, "allow", path=f"a#{number}")
    replay = replayed(draft(row("all", "deny")))
    assert (replay.differing, replay.differences.count()) == (5, 3)


def test_versions_are_pinned_when_it_begins() -> None:
    in_force(ASK_ALL)
    asked(mission())
    version = draft(allowed(), over("500.0"))
    replay = replaying.open_run(mission().uid, version, Window().usual(), "")
    in_force(row("never", "deny"), name="aaa")
    in_force(row("never", "deny"))
    assert replaying.run_part(replay, 1).counts["looser"] == 0
    assert candidates.references(candidates.in_force())[0][0] == "aaa"


def test_what_is_in_force_and_unreadable_stops_it() -> None:
    version = draft(allowed())
    Policy.objects.create(name="bad").versions.create(number=1, state=VersionState.ACTIVE, rules=[], digest="0" * 64)
    with pytest.raises(InvalidPolicy, match="digest differs"):
        replaying.open_run(mission().uid, version, Window().usual(), "")


def test_the_walk_uses_its_index() -> None:
    stretch = Stretch(after=Place(), until=database_now())
    text = (statements.FOLDER / "rulings.sql").read_text()
    with connection.cursor() as cursor:
        cursor.execute("set local enable_seqscan = off")
        cursor.execute(f"explain {text}", {**stretch.values(), "limit": 250})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "journal_rulings" in plan and "Sort" not in plan, plan
