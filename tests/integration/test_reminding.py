"""Reminders, due times by business calendars, and what a change of manager does."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command

from approvals import delegations, hours, profiles, reminding, votes
from approvals.models import Decision, Profile, Tier
from approvals.scheduling import hours_of
from tests.decisions import FINANCE, SUPERVISORS, opened, waiting_mission

pytestmark = pytest.mark.django_db
OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


@pytest.fixture
def told(monkeypatch):
    """What was handed to whoever sends messages."""
    found = []
    monkeypatch.setattr(reminding, "_tellers", [])
    reminding.tell_by(lambda event, *, decision, facts: found.append((event, decision.pk, facts["people"])))
    return found


def test_half_way_and_when_it_is_overdue_those_who_may_vote_are_told_once(clock, told, sam, person, fiona):
    owner = person("ann", "supervisors")
    decision = opened(waiting_mission(started_by=owner), SUPERVISORS, FINANCE)  # due in an hour
    assert reminding.remind() == 0
    clock.advance(1801)
    assert (reminding.remind(), reminding.remind()) == (1, 0)
    clock.advance(1800)
    assert (reminding.remind(), reminding.remind()) == (1, 0)
    assert told == [("decision.due_soon", decision.pk, ["sam"]), ("decision.overdue", decision.pk, ["sam"])]


def test_who_has_voted_is_left_alone_and_delegates_are_told(clock, told, sam, person):
    simon, dee = person("simon", "supervisors"), person("dee")
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    delegations.give(simon, "dee", until=clock.now() + dt.timedelta(days=1))
    clock.advance(1801)
    reminding.remind()
    assert told[0][2] == [dee.username, simon.username]


def test_what_is_found_late_is_told_as_overdue_only(clock, told, sam):
    opened(waiting_mission())
    clock.advance(hours=5)
    reminding.remind()
    assert [event for event, *_ in told] == ["decision.overdue"]


def test_a_settled_decision_reminds_nobody(clock, told, sam):
    decision = opened(waiting_mission())
    votes.cast(decision.pk, sam, "reject", decision.digest, comment="No.", channel="api")
    clock.advance(hours=5)
    assert (reminding.remind(), told) == (0, [])


def test_a_teller_that_fails_leaves_the_reminder_for_the_next_time(clock, monkeypatch, caplog, sam):
    def fails(event, **more):
        raise RuntimeError("no outbox")

    monkeypatch.setattr(reminding, "_tellers", [fails])
    opened(waiting_mission())
    clock.advance(1801)
    assert reminding.remind() == 0
    assert [one.action for one in caplog.records if one.levelname == "ERROR"] == ["decision_reminder_failed"]
    assert not Tier.objects.filter(reminded_at__isnull=False).exists()


def test_due_counts_business_time_and_expiry_does_not(clock):
    hours.make("office", time_zone="Europe/London", hours=OFFICE, holidays={})
    friday = dt.datetime(2027, 3, 26, 15, 30, tzinfo=ZoneInfo("Europe/London"))  # the clocks change on Sunday
    clock.advance((friday - clock.now()).total_seconds())
    tier = {**SUPERVISORS, "calendar": "office", "sla_seconds": 7200, "expires_seconds": 7200}
    [tier] = opened(waiting_mission(), tier).tiers.all()
    minute = dt.timedelta(minutes=1)
    assert abs(tier.due_at - dt.datetime(2027, 3, 29, 9, 30, tzinfo=ZoneInfo("Europe/London"))) < minute
    assert abs(tier.remind_at - friday - dt.timedelta(hours=1)) < minute
    assert abs(tier.expires_at - friday - dt.timedelta(hours=2)) < minute


@pytest.mark.parametrize("name", ["", "always", "gone"])
def test_without_a_calendar_all_time_counts(name):
    assert hours_of(name) is None


def test_a_new_manager_is_asked_at_once(person, sam):
    ann, max_, mona = person("ann"), person("max"), person("mona")
    profiles.set_manager(ann, max_)
    spec = {"name": "manager", "approvers": [{"attribute": "owner.manager", "fallback": {"group": "finance"}}]}
    decision = opened(waiting_mission(started_by=ann), spec)
    profiles.set_manager(ann, mona)
    assert [set(Decision.objects.for_voter(one)) for one in (max_, mona)] == [set(), {decision}]


def test_the_command_tells_and_changes_a_profile(person, sam, capsys):
    person("max")
    call_command("profile", "sam", "--manager", "max")
    assert capsys.readouterr().out.splitlines() == ["manager: max"]
    for wrong in (("ghost",), ("sam", "--manager", "sam"), ("sam", "--manager", "ghost")):
        with pytest.raises(CommandError):
            call_command("profile", *wrong)
    assert Profile.objects.get(user=sam).manager.username == "max"
    call_command("profile", "sam", "--no-manager")
    assert Profile.objects.get(user=sam).manager is None


def test_nobody_is_their_own_manager(sam):
    with pytest.raises(ValueError, match="own manager"):
        profiles.set_manager(sam, sam)
