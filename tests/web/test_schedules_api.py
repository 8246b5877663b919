"""Schedules over REST: who may, the whole life of one, and problems by field."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from missions.models import Mission, Schedule
from tests import parcels
from tests.conftest import Person
from tests.web.rest import V1, client_of, fields_of, post, problem_of

pytestmark = pytest.mark.django_db
BODY = {
    "name": "nightly", "type": parcels.TYPE, "input": parcels.INPUT, "cron": "0 3 * * *", "timezone": "Europe/Berlin",
}


@pytest.mark.parametrize(
    ("group", "allowed"),
    [("operators", True), ("", False), ("supervisors", False), ("auditors", False), ("policy-admins", False)],
)
def test_operators_keep_schedules_and_others_neither_see_nor_change_them(
    person: Person, olivia: User, group: str, allowed: bool
) -> None:
    post(client_of(olivia), "/schedules", BODY)
    client = client_of(person("somebody", *([group] if group else [])))
    answers = [
        client.get(f"{V1}/schedules"), client.get(f"{V1}/schedules/nightly"),
        post(client, "/schedules", {**BODY, "name": "other"}), post(client, "/schedules/nightly/run", {}),
        client.patch(f"{V1}/schedules/nightly", {"enabled": False}, format="json"),
        client.delete(f"{V1}/schedules/nightly"),
    ]
    assert [answer.status_code for answer in answers] == ([200, 200, 201, 201, 200, 204] if allowed else [403] * 6)
    assert Schedule.objects.filter(name="nightly").exists() != allowed
    assert Mission.objects.exists() == allowed


def test_an_administrator_may_and_the_stranger_is_asked_to_sign_in(person: Person) -> None:
    assert client_of(person("root", is_superuser=True)).get(f"{V1}/schedules").status_code == 200
    problem_of(client_of().get(f"{V1}/schedules"), 401, "not_authenticated")


def test_a_schedule_lives_and_whoever_changes_it_answers_for_it(olivia: User, person: Person) -> None:
    client = client_of(olivia)
    made = post(client, "/schedules", BODY).json()
    assert (made["run_as"], made["missed"], made["enabled"], len(made["next"])) == ("olivia", "latest", True, 5)
    assert made["input"] == {**parcels.INPUT, "note": ""}
    other = client_of(person("oskar", "operators"))
    changed = other.patch(f"{V1}/schedules/nightly", {"cron": "30 4 * * *", "missed": "skip"}, format="json").json()
    assert (changed["run_as"], changed["cron"], changed["missed"]) == ("oskar", "30 4 * * *", "skip")
    assert changed["timezone"] == "Europe/Berlin"  # what is not named stays
    off = client.patch(f"{V1}/schedules/nightly", {"enabled": False}, format="json").json()
    assert off["next"] == []
    assert [one["name"] for one in client.get(f"{V1}/schedules").json()["results"]] == ["nightly"]
    assert client.delete(f"{V1}/schedules/nightly").status_code == 204
    problem_of(client.get(f"{V1}/schedules/nightly"), 404, "unknown_schedule")


def test_run_now_starts_one_mission_a_key_in_the_name_of_the_caller(olivia: User, person: Person) -> None:
    post(client_of(olivia), "/schedules", BODY)
    client = client_of(person("oskar", "operators"))
    first, again = [post(client, "/schedules/nightly/run", {}, HTTP_IDEMPOTENCY_KEY="k") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"] and first.json()["started_by"] == "oskar"


def test_what_is_wrong_is_told_field_by_field(olivia: User) -> None:
    client = client_of(olivia)
    wrong = {**BODY, "cron": "61 * * * *", "timezone": "Mars", "input": {"address": 1}}
    found = problem_of(post(client, "/schedules", wrong), 422, "invalid_input")
    assert fields_of(found) == {"cron", "timezone", "input.address", "input.weight"}
    assert fields_of(problem_of(post(client, "/schedules", {**BODY, "name": "new"}), 422, "invalid_input")) == {"name"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({**BODY, "colour": "red"}, "colour"), ({**BODY, "missed": "perhaps"}, "missed"),
        ({**BODY, "priority": 101}, "priority"), ({**BODY, "name": "No Name"}, "name"),
    ]
    for body, field in cases:
        assert fields_of(problem_of(post(client, "/schedules", body), 422, "invalid_input")) == {field}
    post(client, "/schedules", BODY)
    problem_of(post(client, "/schedules", BODY), 409, "schedule_exists")
    patch = client.patch(f"{V1}/schedules/nightly", {"name": "other"}, format="json")
    assert fields_of(problem_of(patch, 422, "invalid_input")) == {"name"}
