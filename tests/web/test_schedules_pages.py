"""Schedules in the console: the list, the form with its errors, what can be done, and who may."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.engine import schedules
from missions.models import Mission, Schedule
from tests import parcels
from tests.conftest import Person
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
FORM = {
    "name": "nightly", "type": parcels.TYPE, "input": '{"address": "1 High Street", "weight": 3}', "title": "Nights",
    "cron": "0 3 * * *", "timezone": "Europe/Berlin", "missed": "latest", "priority": "", "enabled": "on",
}


@pytest.fixture
def nightly(olivia: User) -> Schedule:
    return schedules.create("nightly", type=parcels.TYPE, input=parcels.INPUT, cron="0 3 * * *", run_as=olivia)


def test_the_list_tells_when_each_comes_next_and_what_it_started_last(olivia: User, nightly: Schedule) -> None:
    schedules.create("off", type=parcels.TYPE, input=parcels.INPUT, cron="5 4 * * 1", enabled=False)
    mission, _ = schedules.run_now("nightly", started_by=olivia)
    Schedule.objects.filter(name="nightly").update(last_mission=mission.pk, last_at=nightly.next_at)
    Schedule.objects.filter(name="off").update(last_error="2026-01-01 00:00 UTC: <b>no</b>")
    html = get(olivia, "/schedules/")
    row = html.split('id="schedule-row-nightly"')[1].split("</tr>")[0]
    assert row.count("<li>") == 3 and f"/missions/{mission.uid}/" in row and "At 03:00" in row and "Enabled" in row
    off = html.split('id="schedule-row-off"')[1].split("</tr>")[0]
    assert "Disabled" in off and "&lt;b&gt;no&lt;/b&gt;" in off and "not while it is disabled" in off
    assert 'href="/schedules/" aria-current="page"' in html


def test_a_good_form_makes_a_schedule_and_another_changes_it(olivia: User) -> None:
    client = signed_in(olivia)
    response = client.post("/schedules/new/", FORM)
    assert (response.status_code, response["Location"]) == (303, "/schedules/")
    made = Schedule.objects.get()
    assert (made.name, made.run_as, made.priority, made.enabled) == ("nightly", olivia, 0, True)
    changed = {name: value for name, value in FORM.items() if name not in ("name", "enabled")}
    assert client.post("/schedules/nightly/", {**changed, "cron": "5 4 * * *", "priority": "7"}).status_code == 303
    made.refresh_from_db()
    assert (made.cron, made.priority, made.enabled, made.next_at) == ("5 4 * * *", 7, False, None)
    assert "The schedule “nightly” was changed." in client.get("/schedules/").content.decode()


def test_errors_stand_beside_their_fields_with_422_and_what_was_typed_is_kept(olivia: User) -> None:
    wrong = {**FORM, "name": "No Name", "cron": "every day", "timezone": "Mars", "input": '{"address": 1, "weight": 3}'}
    response = signed_in(olivia).post("/schedules/new/", wrong)
    html = response.content.decode()
    assert response.status_code == 422 and not Schedule.objects.exists()
    for field in ("name", "cron", "timezone", "input"):
        found = re.search(rf'<(?:input|textarea)[^>]*name="{field}"[^>]*>', html)
        assert found is not None and 'aria-invalid="true"' in found.group()
        assert f'id="id_{field}_error"' in html
    assert "address: " in html and 'value="every day"' in html
    for given in ("{", "[1]", '{"a": NaN}'):
        assert signed_in(olivia).post("/schedules/new/", {**FORM, "input": given}).status_code == 422


def test_a_name_that_is_taken_is_told_beside_the_name(olivia: User, nightly: Schedule) -> None:
    response = signed_in(olivia).post("/schedules/new/", FORM)
    assert response.status_code == 422 and "already" in response.content.decode()


def act(client: Client, verb: str, **more: str) -> int:
    return client.post("/schedules/nightly/act/", {"verb": verb, **more}).status_code


def test_what_can_be_done_with_a_schedule(olivia: User, nightly: Schedule) -> None:
    client = signed_in(olivia)
    assert act(client, "disable") == 303 and not Schedule.objects.get().enabled
    assert act(client, "enable") == 303 and Schedule.objects.get().enabled
    assert [act(client, "run", once="a") for _ in range(2)] == [303, 303]
    assert Mission.objects.count() == 1
    assert act(client, "dance") == 303
    assert "There is nothing of this name" in client.get("/schedules/").content.decode()
    assert act(client, "delete") == 303 and not Schedule.objects.exists()
    assert act(client, "enable") == 303
    assert "There is no schedule" in client.get("/schedules/").content.decode()


def test_htmx_gets_the_table_alone_and_the_word_of_what_was_done(olivia: User, nightly: Schedule) -> None:
    response = signed_in(olivia).post("/schedules/nightly/act/", {"verb": "disable"}, headers={"HX-Request": "true"})
    html = response.content.decode()
    assert response.status_code == 200 and "<html" not in html and 'id="schedule-results"' in html
    assert "was disabled" in html and ">Enable<" in html


@pytest.mark.parametrize(("group", "allowed"), [("operators", True), ("supervisors", False), ("auditors", False)])
def test_operators_see_schedules_and_others_do_not(
    person: Person, nightly: Schedule, group: str, allowed: bool
) -> None:
    client = signed_in(person("somebody", group))
    for path in ("/schedules/", "/schedules/new/", "/schedules/nightly/"):
        assert client.get(path).status_code == (200 if allowed else 403)
    assert act(client, "disable") == (303 if allowed else 403)
    assert Schedule.objects.get().enabled != allowed
    assert ('href="/schedules/"' in client.get("/missions/").content.decode()) == allowed
    assert Client().get("/schedules/")["Location"].startswith("/login/")


def test_a_form_without_its_csrf_token_changes_nothing(olivia: User, nightly: Schedule) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(olivia)
    assert act(client, "delete") == 403 and Schedule.objects.exists()
