"""Starting, listing, showing and signalling missions over REST."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from missions.engine import mailbox
from missions.engine.clock import database_now
from missions.models import Entry, Mission, Signal
from tests import parcels
from tests.web.rest import V1, client_of, fields_of, post, problem_of

pytestmark = pytest.mark.django_db
REQUEST = {"type": parcels.TYPE, "input": parcels.INPUT}


# -- Start -------------------------------------------------------------------------------------------------------------
def test_start_answers_201_with_the_mission_and_writes_its_first_entry(olivia: User) -> None:
    response = post(client_of(olivia), "/missions", {**REQUEST, "title": "For Ann", "priority": 5})
    body = response.json()
    assert response.status_code == 201
    mission = Mission.objects.get(uid=body["id"])
    assert body == {
        "id": str(mission.uid), "type": parcels.TYPE, "version": 1, "title": "For Ann", "state": "ready", "reason": "",
        "waiting_for": None, "step": "", "timeline": 1, "attempt": 0, "verdict": None, "error": None,
        "started_by": "olivia", "started_at": body["started_at"], "ended_at": None,
        "input": {**parcels.INPUT, "note": ""}, "spend": {"steps": 0, "effects": 0, "cost": "0", "tokens": 0},
        "budget": None, "progress": None, "priority": 5, "deadline_at": None, "parent": None, "children": [],
        "after": [], "agent": None, "agents": [], "data_classes": ["internal"],
    }  # fmt: skip
    assert dt.datetime.fromisoformat(body["started_at"]).utcoffset() is not None
    assert mission.priority == 5
    assert Entry.objects.filter(mission_id=mission.pk).count() == 1


def test_start_takes_a_budget_and_the_mission_tells_of_it(olivia: User) -> None:
    client = client_of(olivia)
    created = post(client, "/missions", {**REQUEST, "budget": {"steps": 5, "cost": "2.50", "wall": 3600}}).json()
    started = dt.datetime.fromisoformat(created["started_at"])
    deadline = dt.datetime.fromisoformat(created["budget"].pop("deadline"))
    assert created["budget"] == {"steps": 5, "cost": "2.50"} and deadline == started + dt.timedelta(hours=1)
    shown = client.get(f"{V1}/missions/{created['id']}").json()
    assert shown["spend"] == {"steps": 0, "effects": 0, "cost": "0", "tokens": 0} and shown["budget"]["steps"] == 5


def test_a_budget_that_makes_no_sense_is_refused_by_field(olivia: User) -> None:
    response = post(client_of(olivia), "/missions", {**REQUEST, "budget": {"steps": -1, "money": 3}})
    problem = problem_of(response, 422, "invalid_input")
    assert fields_of(problem) == {"budget.steps", "budget.money"}


@pytest.mark.parametrize("in_header", [True, False])
def test_the_same_key_answers_200_with_the_same_mission(olivia: User, in_header: bool) -> None:
    client = client_of(olivia)
    body, headers = (REQUEST, {"HTTP_IDEMPOTENCY_KEY": "k1"}) if in_header else ({**REQUEST, "key": "k1"}, {})
    first, second = post(client, "/missions", body, **headers), post(client, "/missions", body, **headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert Mission.objects.count() == 1


def test_key_in_body_and_header_are_the_same_key(olivia: User) -> None:
    client = client_of(olivia)
    post(client, "/missions", {**REQUEST, "key": "k1"})
    assert post(client, "/missions", REQUEST, HTTP_IDEMPOTENCY_KEY="k1").status_code == 200


def test_two_different_keys_in_one_request_are_refused(olivia: User) -> None:
    response = post(client_of(olivia), "/missions", {**REQUEST, "key": "k1"}, HTTP_IDEMPOTENCY_KEY="k2")
    assert fields_of(problem_of(response, 422, "invalid_input")) == {"key"}
    assert not Mission.objects.exists()


def test_another_request_under_the_same_key_is_a_conflict_that_names_the_first(olivia: User) -> None:
    client = client_of(olivia)
    first = post(client, "/missions", {**REQUEST, "key": "k1"}).json()
    other = {**REQUEST, "input": {**parcels.INPUT, "weight": 4}, "key": "k1"}
    assert problem_of(post(client, "/missions", other), 409, "key_reused")["mission"] == first["id"]
    assert Mission.objects.count() == 1


def test_a_start_time_delays_the_mission(olivia: User) -> None:
    later = database_now() + dt.timedelta(days=2)
    body = post(client_of(olivia), "/missions", {**REQUEST, "start_at": later.isoformat()}).json()
    assert Mission.objects.get(uid=body["id"]).wake_at == later


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"input": {"address": "x"}}, {"weight"}),
        ({"input": {**parcels.INPUT, "colour": "red"}}, {"colour"}),
        ({"input": {"address": 1, "weight": "heavy"}}, {"address", "weight"}),
        ({"input": []}, {"input"}),
        ({"input": None}, {"input"}),
        ({"type": 7}, {"type"}),
        ({"title": "x" * 201}, {"title"}),
        ({"title": False, "priority": "9"}, {"title", "priority"}),
        ({"priority": 101}, {"priority"}),
        ({"key": ""}, {"key"}),
        ({"key": "x" * 201}, {"key"}),
        ({"start_at": "2030-01-01T00:00:00"}, {"start_at"}),
        ({"start_at": "tomorrow"}, {"start_at"}),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, {"start_at"}),
        ({"owner": 1, "state": "completed"}, {"owner", "state"}),
    ],
)
def test_a_field_that_does_not_fit_is_named_and_nothing_starts(
    olivia: User, change: dict[str, Any], fields: set[str]
) -> None:
    response = post(client_of(olivia), "/missions", {**REQUEST, **change})
    assert fields_of(problem_of(response, 422, "invalid_input")) == fields
    assert not Mission.objects.exists()


def test_missing_fields_are_all_named_at_once(olivia: User) -> None:
    assert fields_of(problem_of(post(client_of(olivia), "/missions", {}), 422, "invalid_input")) == {"type", "input"}


def test_an_unknown_type_is_refused_by_name(olivia: User) -> None:
    response = post(client_of(olivia), "/missions", {**REQUEST, "type": "nonsense"})
    assert "nonsense" in problem_of(response, 422, "unknown_type")["detail"]


@pytest.mark.parametrize("name", ["fiona", "audrey", "paula", "outsider"])
def test_only_operators_and_supervisors_start(name: str, request: pytest.FixtureRequest) -> None:
    response = post(client_of(request.getfixturevalue(name)), "/missions", REQUEST)
    problem_of(response, 403, "permission_denied")
    assert not Mission.objects.exists()


@pytest.mark.parametrize("name", ["sam", "olivia"])
def test_operators_and_supervisors_start(name: str, request: pytest.FixtureRequest) -> None:
    assert post(client_of(request.getfixturevalue(name)), "/missions", REQUEST).status_code == 201


def test_an_administrator_starts(admin_user: User) -> None:
    assert post(client_of(admin_user), "/missions", REQUEST).status_code == 201


# -- Show --------------------------------------------------------------------------------------------------------------
def shown(user: User, mission: Mission) -> Any:
    """The mission as `user` sees it."""
    return client_of(user).get(f"{V1}/missions/{mission.uid}").json()


def test_a_parked_mission_tells_what_it_waits_for_and_since_when(audrey: User) -> None:
    decision, due = str(uuid.uuid4()), database_now() + dt.timedelta(hours=4)
    waiting = shown(audrey, parcels.park(parcels.mission(), f"decision:{decision}"))["waiting_for"]
    assert (waiting["kind"], waiting["what"], waiting["due"]) == ("decision", decision, None)
    assert dt.datetime.fromisoformat(waiting["since"]) <= database_now()
    asleep = shown(audrey, parcels.park(parcels.mission(), "timer", due=due))["waiting_for"]
    assert (asleep["kind"], asleep["what"]) == ("timer", "")
    assert dt.datetime.fromisoformat(asleep["due"]) == due


def test_an_ended_mission_tells_its_verdict_or_its_error(audrey: User) -> None:
    done = shown(audrey, parcels.complete(parcels.mission()))
    assert done["verdict"] == {"verdict": "delivered", "summary": "On the mat.", "data": {"signed": True}}
    assert (done["error"], done["state"]) == (None, "completed") and done["ended_at"]
    broken = shown(audrey, parcels.fail(parcels.mission()))
    assert (broken["verdict"], broken["error"], broken["state"]) == (None, "The van broke down.", "failed")


# -- List --------------------------------------------------------------------------------------------------------------
def ids(response: Any) -> list[str]:
    """The ids of a list of missions."""
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def test_the_list_is_newest_first_and_its_cursor_goes_on_without_gap_or_repeat(audrey: User) -> None:
    made = [str(parcels.mission(title=f"No {number}").uid) for number in range(7)]
    client, seen, cursor = client_of(audrey), [], ""
    while cursor is not None:
        response = client.get(f"{V1}/missions", {"limit": 3, "cursor": cursor} if cursor else {"limit": 3})
        parcels.mission()  # newer rows must not shift the pages
        seen += ids(response)
        cursor = response.json()["next"]
    assert seen == made[::-1]


def test_a_page_never_exceeds_100_rows(audrey: User) -> None:
    for _ in range(101):
        parcels.mission()
    response = client_of(audrey).get(f"{V1}/missions", {"limit": 5000})
    assert len(ids(response)) == 100 and response.json()["next"]


def test_the_list_asks_the_same_number_of_statements_however_long_it_is(
    audrey: User, olivia: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        parcels.complete(parcels.mission(olivia))
    client = client_of(audrey)
    with django_assert_max_num_queries(5):
        assert len(ids(client.get(f"{V1}/missions"))) == 30


def test_filters_narrow_the_list(audrey: User) -> None:
    ready = parcels.mission(title="Fifty 50% roses")
    asks = parcels.park(parcels.mission(title="Tulips"), "decision:1")
    hears = parcels.park(parcels.mission(title="Tulips too"), "signal:paid")
    hears_more = parcels.park(parcels.mission(), "signal:paid_back")
    client = client_of(audrey)

    def found(**params: str) -> set[str]:
        return set(ids(client.get(f"{V1}/missions", params)))

    def uids(*missions: Mission) -> set[str]:
        return {str(mission.uid) for mission in missions}

    assert found(state="ready") == uids(ready)
    assert found(type=parcels.TYPE) == uids(ready, asks, hears, hears_more)
    assert found(type="other") == set()
    assert found(waiting_on="decision") == uids(asks)
    assert found(waiting_on="signal") == uids(hears, hears_more)
    assert found(waiting_on="signal:paid") == uids(hears)
    assert found(q="tulips") == uids(asks, hears)
    assert found(q="50% r") == uids(ready)
    assert found(q="50_") == set()
    assert found(q=str(ready.uid)) == uids(ready)
    assert found(q="tulips", waiting_on="decision") == uids(asks)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("state=due", "bad_parameter"), ("waiting_on=people", "bad_parameter"), ("sate=ready", "bad_parameter"),
        ("limit=0", "bad_parameter"), ("limit=x", "bad_parameter"), ("limit=-1", "bad_parameter"),
        ("limit=9999999999999999999999", "bad_parameter"), ("limit=%C2%B2", "bad_parameter"),
        ("q=%00", "bad_parameter"), ("type=a%00b", "bad_parameter"),
        ("cursor=nonsense", "bad_cursor"), ("cursor=%00", "bad_parameter"), ("cursor=W10", "bad_cursor"),
        ("cursor=WzEsMl0", "bad_cursor"), ("cursor=Wy0xXQ", "bad_cursor"), ("cursor=WzEuNV0", "bad_cursor"),
        ("cursor=W3RydWVd", "bad_cursor"), ("cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OV0", "bad_cursor"),
        ("cursor=" + "W1tb" * 30_000, "bad_cursor"), ("cursor=é", "bad_cursor"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(audrey: User, query: str, code: str) -> None:
    problem_of(client_of(audrey).get(f"{V1}/missions?{query}"), 400, code)


# -- Who sees what -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["sam", "fiona", "lee", "olivia", "paula", "audrey"])
def test_members_of_the_trusted_groups_see_every_mission(name: str, request: pytest.FixtureRequest) -> None:
    mission = parcels.mission()
    client = client_of(request.getfixturevalue(name))
    assert ids(client.get(f"{V1}/missions")) == [str(mission.uid)]
    assert client.get(f"{V1}/missions/{mission.uid}").status_code == 200


def test_others_see_only_what_they_started(outsider: User, olivia: User) -> None:
    own, foreign = parcels.mission(outsider), parcels.mission(olivia)
    client = client_of(outsider)
    assert ids(client.get(f"{V1}/missions")) == [str(own.uid)]
    assert client.get(f"{V1}/missions/{own.uid}").status_code == 200
    problem_of(client.get(f"{V1}/missions/{foreign.uid}"), 404, "unknown_mission")


RECORDS = ("", "/journal", "/checkpoints", "/effects", "/timelines", "/verify")


@pytest.mark.parametrize("record", RECORDS)
def test_a_foreign_mission_does_not_exist_for_an_outsider(record: str, outsider: User, olivia: User) -> None:
    foreign = parcels.mission(olivia)
    client = client_of(outsider)
    unseen = problem_of(client.get(f"{V1}/missions/{foreign.uid}{record}"), 404, "unknown_mission")
    absent = problem_of(client.get(f"{V1}/missions/{uuid.uuid4()}{record}"), 404, "unknown_mission")
    assert unseen["title"] == absent["title"]


@pytest.mark.parametrize("path", ["/missions", "/effects", "/mission-types", "/tools", "/observations", "/decisions"])
def test_strangers_are_asked_to_sign_in(path: str) -> None:
    response = client_of().get(f"{V1}{path}")
    problem_of(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Token")


# -- Signals -----------------------------------------------------------------------------------------------------------
def test_a_signal_is_kept_and_makes_the_mission_due(olivia: User) -> None:
    mission = parcels.park(parcels.mission(), "signal:paid")
    response = post(client_of(olivia), f"/missions/{mission.uid}/signals", {"name": "paid", "payload": {"sum": "9.00"}})
    assert response.status_code == 202
    assert response.json() == {"mission": str(mission.uid), "name": "paid", "key": None, "delivered": True}
    mission.refresh_from_db()
    assert mission.wake_at is not None and mission.wake_at <= database_now()
    kept = Signal.objects.get(mission_id=mission.pk)
    assert (kept.name, bytes(kept.payload), kept.sender) == ("paid", b'{"sum":"9.00"}', "olivia")


@pytest.mark.parametrize("in_header", [True, False])
def test_the_same_key_is_delivered_once(olivia: User, in_header: bool) -> None:
    mission, client = parcels.mission(), client_of(olivia)
    body, headers = {"name": "paid"}, {"HTTP_IDEMPOTENCY_KEY": "k"}
    if not in_header:
        body, headers = {"name": "paid", "key": "k"}, {}
    statuses = [post(client, f"/missions/{mission.uid}/signals", body, **headers).status_code for _ in range(2)]
    assert statuses == [202, 200]
    assert Signal.objects.count() == 1


def test_a_signal_after_the_end_is_a_conflict_with_the_verdict(olivia: User) -> None:
    mission = parcels.complete(parcels.mission())
    problem = problem_of(
        post(client_of(olivia), f"/missions/{mission.uid}/signals", {"name": "paid"}), 409, "mission_ended"
    )
    assert (problem["state"], problem["verdict"]["verdict"], problem["error"]) == ("completed", "delivered", None)
    broken = parcels.fail(parcels.mission())
    problem = problem_of(
        post(client_of(olivia), f"/missions/{broken.uid}/signals", {"name": "paid"}), 409, "mission_ended"
    )
    assert (problem["verdict"], problem["error"]) == (None, "The van broke down.")
    assert not Signal.objects.exists()


def test_a_repeated_key_after_the_end_is_still_known(olivia: User) -> None:
    mission = parcels.mission()
    mailbox.deliver(mission.pk, "paid", {}, key="k")
    parcels.complete(mission)
    response = post(client_of(olivia), f"/missions/{mission.uid}/signals", {"name": "paid", "key": "k"})
    assert (response.status_code, response.json()["delivered"]) == (200, False)


@pytest.mark.parametrize("field", ["name", "key"])
@pytest.mark.parametrize("reserved", ["decision:7d", "effect:7d"])
def test_nobody_forges_or_suppresses_an_answer_to_a_decision(olivia: User, field: str, reserved: str) -> None:
    mission = parcels.park(parcels.mission(), "decision:7d")
    body = {"name": "paid", "payload": {"verdict": "approved"}, field: reserved}
    problem = problem_of(post(client_of(olivia), f"/missions/{mission.uid}/signals", body), 422, "reserved_name")
    assert fields_of(problem) == {field}
    in_header = post(
        client_of(olivia), f"/missions/{mission.uid}/signals", {"name": "paid"}, HTTP_IDEMPOTENCY_KEY=reserved
    )
    problem_of(in_header, 422, "reserved_name")
    assert not Signal.objects.exists()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name"}), ({"name": ""}, {"name"}), ({"name": "x" * 201}, {"name"}), ({"name": 1}, {"name"}),
        ({"name": "paid", "payload": [1]}, {"payload"}), ({"name": "paid", "sender": "sam"}, {"sender"}),
    ],
)  # fmt: skip
def test_a_signal_that_does_not_fit_is_refused_by_field(olivia: User, body: dict[str, Any], fields: set[str]) -> None:
    mission = parcels.mission()
    response = post(client_of(olivia), f"/missions/{mission.uid}/signals", body)
    assert fields_of(problem_of(response, 422, "invalid_input")) == fields


def test_who_only_looks_on_sends_no_signals(audrey: User, outsider: User) -> None:
    mission, own = parcels.mission(), parcels.mission(outsider)
    problem_of(post(client_of(audrey), f"/missions/{mission.uid}/signals", {"name": "x"}), 403, "permission_denied")
    problem_of(post(client_of(outsider), f"/missions/{mission.uid}/signals", {"name": "x"}), 404, "unknown_mission")
    assert post(client_of(outsider), f"/missions/{own.uid}/signals", {"name": "x"}).status_code == 202
