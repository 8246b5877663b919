"""Telling people by e-mail: who, when by their own choices, and what stands in a message."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from approvals import comments, queue, reminding, votes
from approvals.models import Delivery, DeliveryState, Event, EventKind, Follower
from approvals.outbound import choices, events, failures, following, sending, timing
from approvals.outbound.choices import When
from config import mail as email_url
from missions.engine import alarms, listeners
from missions.errors import InvalidInput
from missions.models import Listener, State
from missions.testing.clock import Clock
from observability import checks, stuck, tasks
from observability.models import Check
from tests import decisions, parcels
from tests.conftest import Person
from tests.receivers import mail_server
from tests.web.visits import signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]


@pytest.fixture(autouse=True)
def post_office(settings: Settings) -> None:
    """E-mail is configured; Django's test runner keeps the messages in `mail.outbox`."""
    settings.EMAIL = email_url.parse("console:")
    settings.PUBLIC_URL = "https://standfast.example.org"


def told() -> list[tuple[str, str]]:
    sending.send_due()
    found = [(message.to[0].partition("@")[0], message.subject) for message in mail.outbox]
    mail.outbox.clear()
    return sorted(found)


def choose(user: User, **changes: object) -> None:
    values: dict[str, object] = {
        "events": {}, "time_zone": "UTC", "digest_every": "hour", "digest_at": dt.time(8), "quiet_from": None,
        "quiet_until": None, **changes,
    }  # fmt: skip
    choices.keep(user, **values)  # type: ignore[arg-type]


def test_who_takes_part_is_told_of_a_comment_but_its_author_is_not(sam: User, fiona: User, person: Person) -> None:
    owner = person("sue")
    decision = decisions.opened(decisions.waiting_mission(owner), decisions.SUPERVISORS, decisions.FINANCE)
    for one in (sam, fiona, owner):
        choose(one, events={EventKind.COMMENT: When.NOW, EventKind.OPENED: When.OFF})
    comments.add(decision.pk, sam, "Did the customer call?")
    assert told() == [("sue", subject := "New comment: Refund £900.00 to A. Patel for order ORD-1001")]
    comments.add(decision.pk, owner, "Twice.", key="once")
    comments.add(decision.pk, owner, "Twice.", key="once")
    assert told() == [("sam", subject)]


def test_who_can_vote_is_told_of_an_opening_and_nobody_else(
    sam: User, fiona: User, olivia: User, person: Person
) -> None:
    owner = person("sue", "supervisors")
    decisions.opened(decisions.waiting_mission(owner), decisions.SUPERVISORS, decisions.FINANCE)
    subject = "Waits for your decision: Refund £900.00 to A. Patel for order ORD-1001"
    assert told() == [("sam", subject)]


def test_a_message_holds_the_sentence_a_link_behind_sign_in_and_nothing_more(sam: User) -> None:
    decision = decisions.opened(decisions.waiting_mission(), evidence=({"title": "Secret file", "text": "hush"},))
    sending.send_due()
    [message] = mail.outbox
    assert message.body == (
        "Waits for your decision: Refund £900.00 to A. Patel for order ORD-1001\n"
        f"https://standfast.example.org/queue/{decision.pk}/\n\n"
        "You are told because of your choices: https://standfast.example.org/me/notifications/\n"
    )
    assert message.extra_headers["Message-ID"] == f"<{Delivery.objects.get().pk}@localhost>"
    response = Client().get(f"/queue/{decision.pk}/")
    assert response.status_code == 302 and response["Location"].startswith("/login/")


def test_the_settled_is_told_to_who_asked(sam: User, person: Person) -> None:
    owner = person("oscar")
    decision = decisions.opened(decisions.waiting_mission(owner))
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    assert told() == [("oscar", "Approved by sam: Refund £900.00 to A. Patel for order ORD-1001")]
    other = decisions.opened(decisions.waiting_mission(owner))
    queue.withdraw(other.pk)
    assert told() == []  # sam can not vote any more, and a withdrawal is no answer


def test_overdue_and_escalated_reach_who_is_asked_then(sam: User, fiona: User, clock: Clock) -> None:
    first = {**decisions.SUPERVISORS, "expires_seconds": 7200, "on_expiry": "escalate"}
    decisions.opened(decisions.waiting_mission(), first, decisions.FINANCE)
    assert [name for name, _ in told()] == ["sam"]
    clock.advance(hours=1)
    assert reminding.remind() == 1
    assert [(name, subject[:8]) for name, subject in told()] == [("sam", "Overdue:")]
    clock.advance(hours=1)
    alarms.ring_due()
    assert [(name, subject[:10]) for name, subject in told()] == [("fiona", "Escalated ")]


def test_a_reminder_of_one_of_two_open_tiers_reaches_its_own_voters_alone(
    sam: User, fiona: User, clock: Clock
) -> None:
    decisions.opened(
        decisions.waiting_mission(), decisions.SUPERVISORS,
        {**decisions.FINANCE, "sla_seconds": 86_400, "parallel": True},
    )  # fmt: skip
    assert [name for name, _ in told()] == ["fiona", "sam"]
    clock.advance(hours=2)
    reminding.remind()
    assert [name for name, _ in told()] == ["sam"]


def test_each_person_chooses_by_event(sam: User, person: Person) -> None:
    sue = person("sue", "supervisors")
    choose(sam, events={EventKind.OPENED: When.OFF})
    decisions.opened(decisions.waiting_mission())
    assert [name for name, _ in told()] == ["sue"]
    choose(sue, events={EventKind.OPENED: When.OFF})
    decisions.opened(decisions.waiting_mission())
    assert told() == []


def test_a_digest_collects_a_persons_events_into_one_message(sam: User, person: Person, clock: Clock) -> None:
    person("sue", "supervisors")
    choose(sam, events={EventKind.OPENED: When.DIGEST})
    for _ in range(3):
        decisions.opened(decisions.waiting_mission())
    assert [name for name, _ in told()] == ["sue"] * 3
    clock.advance(hours=1)
    sending.send_due()
    [message] = mail.outbox
    assert message.to == ["sam@example.org"] and message.subject == "3 things to know"
    assert message.body.count("Refund £900.00") == 3 and message.body.count("/queue/") == 3
    assert not Delivery.objects.exclude(state=DeliveryState.SENT).exists()


def test_a_daily_digest_goes_out_at_the_persons_hour_in_their_zone(sam: User) -> None:
    choose(sam, events={EventKind.OPENED: When.DIGEST}, digest_every="day", time_zone="Asia/Kolkata")
    decisions.opened(decisions.waiting_mission())
    assert told() == []
    at = Delivery.objects.get().next_at.astimezone(timing.zone_of("Asia/Kolkata"))
    assert (at.hour, at.minute) == (8, 0)


def test_quiet_hours_hold_back_and_then_everything_comes_together(sam: User, clock: Clock) -> None:
    now = clock.now()
    begin, end = (now - dt.timedelta(hours=1)).time(), (now + dt.timedelta(hours=2)).time()
    choose(sam, quiet_from=begin, quiet_until=end)
    decisions.opened(decisions.waiting_mission())
    decisions.opened(decisions.waiting_mission())
    assert told() == []
    clock.advance(hours=2, seconds=1)
    assert told() == [("sam", "2 things to know")]


def test_a_second_try_in_quiet_hours_waits_for_their_end(sam: User, settings: Settings, clock: Clock) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", 1
    decisions.opened(decisions.waiting_mission())
    sending.send_due()
    now = clock.advance(minutes=1)
    choose(sam, quiet_from=(now - dt.timedelta(minutes=1)).time(), quiet_until=(now + dt.timedelta(hours=1)).time())
    sending.send_due()
    waiting = Delivery.objects.get()
    assert (waiting.state, waiting.tries, waiting.together) == (DeliveryState.WAITING, 1, True)
    assert abs(waiting.next_at - now - dt.timedelta(hours=1)) < dt.timedelta(seconds=5)


def test_who_may_not_see_it_any_more_is_told_nothing(sam: User) -> None:
    choose(sam, events={EventKind.OPENED: When.DIGEST})
    decisions.opened(decisions.waiting_mission())
    sending.send_due()
    sam.groups.clear()
    Delivery.objects.update(next_at=Event.objects.get().at)
    assert told() == []
    assert Delivery.objects.get().state == DeliveryState.DROPPED


def test_without_e_mail_nobody_is_told_and_nothing_piles_up(sam: User, settings: Settings) -> None:
    settings.EMAIL = None
    decisions.opened(decisions.waiting_mission())
    assert told() == [] and not Delivery.objects.exists() and Event.objects.get().spread_at is not None


def test_hostile_sentences_make_no_header_and_no_second_line(sam: User) -> None:
    hostile = "Pay\r\nBcc: thief@example.org\r\n\r\nnow \u202egnp.exe\x07"
    decisions.opened(decisions.waiting_mission(), sentence=hostile)
    sending.send_due()
    [message] = mail.outbox
    assert message.subject == "Waits for your decision: Pay Bcc: thief@example.org now gnp.exe"
    assert message.recipients() == ["sam@example.org"]
    assert message.message().as_string().count("\nBcc:") == 0


def test_a_hostile_address_is_given_up_at_once(sam: User) -> None:
    sam.email = "sam@example.org\r\nBcc: thief@example.org"
    sam.save()
    decisions.opened(decisions.waiting_mission())
    assert told() == []
    assert Delivery.objects.get().state == DeliveryState.FAILED


def test_a_real_mail_server_gets_it(sam: User, settings: Settings, clock: Clock) -> None:
    with mail_server() as box:
        found = email_url.parse(f"smtp://127.0.0.1:{box.port}/?tls=off&from=standfast@example.org")
        assert found is not None
        settings.EMAIL, settings.EMAIL_BACKEND = found, found.backend
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.DEFAULT_FROM_EMAIL = found.host, found.port, found.sender
        decisions.opened(decisions.waiting_mission(), sentence="Pay Ann")
        sending.send_due()
        [(sender, recipients, text)] = box.mails
        assert sender.startswith("<standfast@example.org>") and recipients == ["sam@example.org"]
        assert "Subject: Waits for your decision: Pay Ann\r\n" in text
        assert f"Message-ID: <{Delivery.objects.get().pk}@example.org>" in text
        box.refuses = "550 no such user"
        decisions.opened(decisions.waiting_mission())
        sending.send_due()
        assert Delivery.objects.get(state=DeliveryState.FAILED).error == "The mail server refuses the address."
    decisions.opened(decisions.waiting_mission())  # it is gone now
    sending.send_due()
    waiting = Delivery.objects.get(state=DeliveryState.WAITING)
    assert "ConnectionRefusedError" in waiting.error


def test_choices_that_can_not_be_kept_are_refused_by_field(sam: User) -> None:
    with pytest.raises(InvalidInput) as refused:
        choose(
            sam, events={"no.such": "now", EventKind.OPENED: "often"}, time_zone="Mars", digest_every="year",
            quiet_from=dt.time(1),
        )
    fields = {error["field"] for error in refused.value.errors}
    assert fields == {"no.such", EventKind.OPENED, "time_zone", "digest_every", "quiet_until"}


# -- Missions ----------------------------------------------------------------------------------------------------------


def test_signing_in_listens_to_ones_own_missions_until_one_chooses_otherwise(sam: User) -> None:
    assert not Listener.objects.exists()
    Client().force_login(sam)
    assert set(Listener.objects.values_list("pk", flat=True)) == {f"person:{sam.pk}"}
    off = dict.fromkeys(choices.OUTCOMES, When.OFF)
    choose(sam, events=off)
    assert not Listener.objects.exists()
    Client().force_login(sam)
    assert not Listener.objects.exists()


def test_who_started_a_mission_and_who_follows_it_are_told_of_its_end(olivia: User, person: Person) -> None:
    owner = person("oscar")
    for one in (owner, olivia):
        choose(one, events={EventKind.COMPLETED: When.NOW})
    mission = parcels.mission(owner, title="Parcel to High Street")
    following.follow(olivia, mission)
    following.follow(olivia, mission)
    parcels.complete(mission)
    from_lane(mission.pk)
    subject = [name for name, _ in told()]
    assert subject == ["olivia", "oscar"]
    following.unfollow(olivia, mission)
    assert not Listener.objects.filter(pk=f"mission:{mission.pk}").exists()


def from_lane(mission_id: int) -> None:
    """What the lane writes where somebody listens (`engine/sql/ended.sql`); its own tests show when."""
    with transaction.atomic():
        alarms.set_alarm(f"mission.outcome:{mission_id}", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    alarms.ring_due()


def test_a_mission_that_a_person_paused_needs_nobodys_attention(olivia: User) -> None:
    mission = parcels.mission(olivia)
    for reason, count in (("paused by a person", 0), ("stopped by a person", 0), ("violation", 1)):
        mission.state, mission.reason = State.PAUSED, reason
        mission.save()
        from_lane(mission.pk)
        assert Event.objects.filter(kind=EventKind.ATTENTION).count() == count
        alarms.Alarm.objects.all().delete()


def test_a_crowd_of_ends_is_told_by_one_ring(olivia: User) -> None:
    missions = [parcels.complete(parcels.mission(olivia)) for _ in range(5)]
    with transaction.atomic():
        for mission in missions:
            alarms.set_alarm(f"mission.outcome:{mission.pk}", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    alarms.Alarm.objects.exclude(what__startswith="mission.outcome").delete()
    assert alarms.ring_due() == 1
    assert Event.objects.filter(kind=EventKind.COMPLETED).count() == 5
    assert not alarms.Alarm.objects.filter(rung_at=None).exists()


def test_an_effect_in_doubt_is_told_to_who_started_the_mission_too(olivia: User, person: Person) -> None:
    owner = person("oscar")
    decisions.in_doubt(decisions.waiting_mission(owner))
    assert [(name, subject.partition(":")[0]) for name, subject in told()] == [
        ("olivia", "Waits for your decision"), ("oscar", "Effect in doubt"),
    ]  # fmt: skip


def test_workers_that_are_down_are_told_to_operators(olivia: User, sam: User) -> None:
    with transaction.atomic():
        events.emit("worker.down", sentence="No mission worker is running: missions wait.")
    assert told() == [("olivia", "Mission workers are down: No mission worker is running: missions wait.")]


# -- What the watches tell ---------------------------------------------------------------------------------------------


def test_an_outage_of_the_workers_is_told_once_and_again_after_it_was_over() -> None:
    def alarms_told() -> int:
        tasks.worker_heartbeat_alarm()
        return Event.objects.filter(kind=EventKind.WORKER_DOWN).count()

    Check.objects.create(name=tasks.HEARTBEAT, ok=True)
    assert [alarms_told() for _ in range(3)] == [1, 1, 1]
    Check.objects.filter(name=tasks.HEARTBEAT).update(ok=True)
    assert alarms_told() == 2


def test_a_stuck_mission_is_told_to_operators_and_to_who_started_it(
    olivia: User, person: Person, clock: Clock
) -> None:
    mission = parcels.mission(person("oscar"), title="Parcel")
    parcels.park(mission, "timer")
    clock.advance(hours=1)
    stuck._look_again.clear()
    for _ in range(2):
        stuck.watch()
        checks._changes_seen.clear()
    told_of = Event.objects.get(kind=EventKind.STUCK)
    assert told_of.mission_uid == mission.uid
    assert [name for name, _ in told()] == ["olivia", "oscar"]


def test_the_health_page_tells_what_was_given_up_and_what_waits_though_it_is_due(
    olivia: User, clock: Clock, settings: Settings
) -> None:
    tasks.send_outbound()
    assert Check.objects.get(name="outbound").ok
    olivia.email = "nonsense"
    olivia.save()
    with transaction.atomic():
        events.emit("worker.down", sentence="No mission worker is running.")
    tasks.send_outbound()
    found = Check.objects.get(name="outbound")
    assert not found.ok and found.detail == "1 deliveries were given up in the last day; see Webhooks."
    assert "1 deliveries were given up" in signed_in(olivia).get("/health/").content.decode()
    clock.advance(days=1, seconds=1)
    tasks.send_outbound()
    assert Check.objects.get(name="outbound").ok


def test_what_was_told_long_ago_is_thrown_away_and_what_waits_stays(olivia: User, sam: User, clock: Clock) -> None:
    with transaction.atomic():
        events.emit("worker.down", sentence="Long ago")
    told()
    choose(olivia, events={EventKind.WORKER_DOWN: When.DIGEST})
    with transaction.atomic():
        events.emit("worker.down", sentence="Still to come")
    sending.spreading.spread_all()
    mission = parcels.mission(sam)
    following.follow(olivia, mission)
    Follower.objects.create(user=olivia, mission_id=10**12)
    listeners.listen(listeners.of_mission(10**12))
    clock.advance(days=91)
    assert failures.forget(clock.now() - dt.timedelta(days=90)) > 0
    assert [event.sentence for event in Event.objects.all()] == ["Still to come"]
    assert Follower.objects.get().mission_id == mission.pk
    assert set(Listener.objects.values_list("pk", flat=True)) >= {f"mission:{mission.pk}"}
    assert not Listener.objects.filter(pk=f"mission:{10**12}").exists()
