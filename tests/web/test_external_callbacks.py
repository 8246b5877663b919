"""The way of an answer back to the system that asked: who is told of it, why it failed, and once more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from approvals import votes
from approvals.models import Decision, Delivery, DeliveryState
from approvals.outbound import leasing, sending, signing, spreading
from approvals.outbound.wire import Answer
from missions.web import tokens
from tests import decisions
from tests.conftest import Person
from tests.receivers import Receiver, receiver
from tests.unit.test_outbound_signing import verified
from tests.web.rest import client_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
BODY = {
    "sentence": "Which depot?", "tiers": [{"group": "supervisors"}], "answers": {"form": "text"}, "key": "depot-7",
    "callback_url": "https://8.8.8.8/answers?token=7731",
}  # fmt: skip


@pytest.fixture
def robot(person: Person) -> User:
    return person("robot")


@pytest.fixture
def agent(robot: User) -> Any:
    return client_of(token=tokens.issue(robot, scopes=("decisions:open", "decisions:read"))[1])


def asked(agent: Any, sam: User, **more: Any) -> dict[str, Any]:
    """A decision from outside, answered."""
    opened: dict[str, Any] = post(agent, "/decisions", {**BODY, **more}).json()
    votes.cast(opened["id"], sam, "approve", opened["digest"], answer="The northern one.", channel="api")
    return opened


def fail() -> None:
    """All that is due is sent, and refused for good."""
    spreading.spread_all()
    for one in leasing.take():
        leasing.record(one, Answer(error="Answered 410.", status=410, milliseconds=3, final=True))


def given_up(sam: User, *, by: User) -> str:
    """A decision that this person opened from outside, whose answer could not be delivered."""
    opened = asked(client_of(by), sam)
    fail()
    return str(opened["id"])


def callback_of(client: Any, decision: str) -> Any:
    return client.get(f"/api/v1/decisions/{decision}").json().get("callback")


def test_the_asker_reads_how_far_it_is_and_has_it_delivered_again(agent: Any, sam: User) -> None:
    opened = post(agent, "/decisions", BODY).json()
    assert opened["callback"] == {"url": BODY["callback_url"], "delivery": None}
    path = f"/decisions/{opened['id']}/callback/redeliver"
    problem_of(post(agent, path, {}), 404, "unknown_delivery")  # there is no answer yet
    votes.cast(opened["id"], sam, "approve", opened["digest"], answer="North.", channel="api")
    fail()
    given_up = callback_of(agent, opened["id"])["delivery"]
    assert (given_up["state"], given_up["error"], given_up["next_at"]) == ("failed", "Answered 410.", None)
    assert [one["status"] for one in given_up["tries"]] == [410]
    again = post(agent, path, {})
    assert (again.status_code, again.json()["state"], again.json()["id"]) == (202, "waiting", given_up["id"])
    assert post(agent, path, {}).status_code == 202  # asked twice, delivered once
    assert len(leasing.take()) == 1
    problem_of(post(agent, path, {}), 409, "being_sent")


def test_it_is_told_to_the_asker_operators_and_administrators_alone(
    agent: Any, sam: User, olivia: User, audrey: User, outsider: User, person: Person
) -> None:
    opened = asked(agent, sam)
    fail()
    rest, page = f"/decisions/{opened['id']}/callback/redeliver", f"/queue/{opened['id']}/"
    for user in (sam, audrey):
        assert callback_of(client_of(user), opened["id"]) is None
        assert "7731" not in get(user, page)
        problem_of(post(client_of(user), rest, {}), 404, "unknown_delivery")
        assert signed_in(user).post(f"{page}callback/").status_code == 404
    problem_of(post(client_of(outsider), rest, {}), 404, "unknown_decision")
    assert signed_in(outsider).post(f"{page}callback/").status_code == 404
    assert Delivery.objects.get().state == DeliveryState.FAILED
    for user in (olivia, person("boss", is_superuser=True)):
        assert callback_of(client_of(user), opened["id"])["url"] == BODY["callback_url"]
        assert post(client_of(user), rest, {}).status_code == 202
    reader = client_of(token=tokens.issue(olivia, scopes=("decisions:read", "decisions:vote"))[1])
    assert problem_of(post(reader, rest, {}), 403, "scope_missing")["scope"] == "decisions:open"


def test_what_nobody_asked_to_be_called_back_for_has_no_callback(agent: Any, sam: User, olivia: User) -> None:
    quiet = asked(agent, sam, callback_url="")
    of_mission = decisions.opened(decisions.waiting_mission(olivia))
    for decision in (quiet["id"], of_mission.pk):
        assert callback_of(client_of(olivia), decision) is None
        problem_of(post(client_of(olivia), f"/decisions/{decision}/callback/redeliver", {}), 404, "unknown_delivery")
        assert 'id="callback"' not in get(olivia, f"/queue/{decision}/")


def test_the_page_says_why_it_failed_and_delivers_again(agent: Any, sam: User, olivia: User, robot: User) -> None:
    opened = asked(agent, sam)
    page = f"/queue/{opened['id']}/"
    assert "It is not on its way yet." in get(robot, page)
    fail()
    for user in (olivia, robot):
        html = get(user, page)
        assert "Answered 410." in html and "It was given up" in html and "Deliver again" in html
    listed = get(olivia, "/webhooks/")
    assert "Callbacks that were given up" in listed and f"{page}#callback" in listed
    sent = signed_in(robot).post(f"{page}callback/")
    assert (sent.status_code, sent["Location"]) == (303, f"{page}#callback")
    assert Delivery.objects.get().state == DeliveryState.WAITING
    assert "Callbacks that were given up" not in get(olivia, "/webhooks/")
    assert signed_in(robot).get(f"{page}callback/")["Location"] == page
    leasing.take()
    assert "It is being sent right now." in signed_in(robot).post(f"{page}callback/", follow=True).content.decode()


@pytest.fixture
def server(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    with receiver() as made:
        yield made


@pytest.mark.django_db(transaction=True)
def test_the_answer_in_words_arrives_signed_at_last(server: Receiver, agent: Any, sam: User, robot: User) -> None:
    opened = asked(agent, sam, callback_url=f"{server.url}/ok")
    fail()
    assert not server.got
    signed_in(robot).post(f"/queue/{opened['id']}/callback/")
    sending.send_due()
    [got] = server.got
    token = Decision.objects.get().external.token_id
    assert verified(signing.secret(signing.of_caller(robot.pk, token)), got.headers, got.body)
    told = json.loads(got.body)["data"]
    assert (told["key"], told["state"], told["resolution"]["value"]) == ("depot-7", "approved", "The northern one.")
    assert callback_of(agent, opened["id"])["delivery"]["state"] == "sent"
    assert "Accepted" in get(robot, f"/queue/{opened['id']}/")
