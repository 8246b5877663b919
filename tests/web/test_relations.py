"""Parents, children, dependencies, deadlines and priorities, as API and pages tell them."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.contrib.auth.models import User

from missions.engine import children
from missions.models import Alarm, Mission
from tests import parcels
from tests.conftest import Clock
from tests.web.rest import V1, client_of, fields_of, post, problem_of
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db
REQUEST = {"type": parcels.TYPE, "input": parcels.INPUT}


def child_of(parent: Mission, title: str = "The <child>") -> Mission:
    spawn = children.Spawn(
        parent_id=parent.pk, parent_uid=parent.uid, started_by_id=parent.brief.started_by_id, timeline=1, chapter=1,
        path="spawn#1", type=parcels.TYPE, input=parcels.INPUT, title=title, key=None, after=(), on_failure="fail",
        priority=0, on_parent_end="keep",
    )
    return Mission.objects.get(uid=children.start_child(spawn))


def test_a_start_takes_what_it_waits_for_its_deadline_and_its_priority(olivia: User, clock: Clock) -> None:
    client, first = client_of(olivia), parcels.mission(olivia)
    deadline = (clock.now() + dt.timedelta(days=1)).isoformat()
    more = {"after": [str(first.uid)], "on_failure": "hold", "priority": 9, "deadline_at": deadline, "key": "k"}
    body = {**REQUEST, **more}
    told = post(client, "/missions", body)
    assert told.status_code == 201
    made = told.json()
    assert made["after"] == [{"id": str(first.uid), "on_failure": "hold", "met_at": None, "ended_as": ""}]
    assert made["waiting_for"]["kind"] == "mission" and made["waiting_for"]["what"] == str(first.uid)
    assert made["priority"] == 9
    assert dt.datetime.fromisoformat(made["deadline_at"]) == dt.datetime.fromisoformat(deadline)
    assert post(client, "/missions", body).status_code == 200
    assert Alarm.objects.filter(what__startswith="mission.deadline:").count() == 1
    waiting = client.get(f"{V1}/missions?waiting_on=mission").json()["results"]
    assert [one["id"] for one in waiting] == [made["id"]]


def test_what_can_not_be_waited_for_is_a_problem_of_its_field(olivia: User) -> None:
    client, first, stranger = client_of(olivia), parcels.mission(olivia), str(uuid.uuid4())
    for after in ([stranger], [str(first.uid)] * 2):
        found = problem_of(post(client, "/missions", {**REQUEST, "after": after}), 422, "invalid_input")
        assert fields_of(found) == {"after"}
    for wrong in ({"on_failure": "shrug"}, {"deadline_at": "2001-01-01T00:00:00Z"}, {"priority": 101}):
        found = problem_of(post(client, "/missions", {**REQUEST, **wrong}), 422, "invalid_input")
        assert fields_of(found) == set(wrong)
    assert Mission.objects.count() == 1


def test_parent_and_children_are_told_to_who_sees_them(olivia: User, outsider: User) -> None:
    parent = parcels.mission(outsider)
    child = child_of(parent)
    for user in (olivia, outsider):
        told = client_of(user).get(f"{V1}/missions/{parent.uid}").json()
        assert told["children"] == [
            {"id": str(child.uid), "type": parcels.TYPE, "title": "The <child>", "state": "ready"}
        ]
        assert client_of(user).get(f"{V1}/missions/{child.uid}").json()["parent"] == str(parent.uid)
        html = get(user, page_of(parent))
        assert f'href="{page_of(child)}"' in html and "The &lt;child&gt;" in html
        assert f'href="{page_of(parent)}"' in get(user, page_of(child))


def test_a_stranger_is_told_of_neither(outsider: User) -> None:
    parent = parcels.mission()
    child = child_of(parent)
    for mission in (parent, child):
        problem_of(client_of(outsider).get(f"{V1}/missions/{mission.uid}"), 404, "unknown_mission")
        assert signed_in(outsider).get(page_of(mission)).status_code == 404


def test_pages_say_what_a_mission_waits_for(olivia: User) -> None:
    first = parcels.mission(olivia, title="The first")
    last = parcels.mission(olivia, after=[first.uid], priority=4)
    html = get(olivia, page_of(last))
    assert f'href="{page_of(first)}"' in html and "its turn after" in html and "Starts after" in html
    assert "<dt>Priority</dt><dd>4</dd>" in html
    parcels.park(first, f"child:{child_of(first).uid}")
    assert "the end of" in get(olivia, "/missions/")


def test_the_start_form_takes_priority_and_deadline(olivia: User, clock: Clock) -> None:
    url, client = f"/missions/start/{parcels.TYPE}/", signed_in(olivia)
    good = {"input-address": "1 High Street", "input-weight": "3", "input-form-once": "abc"}
    deadline = (clock.now() + dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    assert client.post(url, {**good, "input-form-priority": "-7", "input-form-deadline": deadline}).status_code == 303
    mission = Mission.objects.get()
    assert mission.priority == -7 and mission.deadline_at is not None
    assert mission.deadline_at.strftime("%Y-%m-%dT%H:%M") == deadline
    late = {**good, "input-form-once": "other", "input-form-deadline": "2001-01-01T00:00", "input-form-priority": "900"}
    html = client.post(url, late).content.decode()
    assert "less than or equal to 100" in html
    html = client.post(url, {**late, "input-form-priority": ""}).content.decode()
    assert "This time has passed." in html and html.count('class="field__error"') == 1
    assert Mission.objects.count() == 1


@pytest.mark.parametrize("name", ["child:1", "mission:1", "control", "control:deadline"])
def test_what_the_engine_tells_can_not_be_forged(olivia: User, name: str) -> None:
    mission = parcels.mission(olivia)
    for body in ({"name": name}, {"name": "fine", "key": name}):
        problem_of(post(client_of(olivia), f"/missions/{mission.uid}/signals", body), 422, "reserved_name")
