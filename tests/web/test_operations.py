"""Health, figures and the archive, as pages and by REST: who sees them, and what they say."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User

from missions.models import BundlePiece, Mission
from observability import checks, tasks
from observability.models import Daily, Stuck
from tests import archive, parcels
from tests.conftest import Clock
from tests.web.rest import V1, client_of, problem_of
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def mission(olivia: User) -> Mission:
    mission = parcels.complete(parcels.mission(olivia, title="For Ann"))
    archive.leave(mission)
    return mission


def test_health_says_what_is_late_unwell_and_stuck_to_those_who_see_all(audrey: User, outsider: User) -> None:
    said = client_of(audrey).get(f"{V1}/health").json()
    assert (said["status"], said["checks"], said["stuck"]) == ("late", [], [])
    assert "has not run yet" in said["late"][0]
    checks.record(tasks.HEARTBEAT, True, "One mission worker is alive.")
    assert client_of(audrey).get(f"{V1}/health").json()["status"] == "ok"
    checks.record("rail-gap", False, "1 missions are damaged")
    Stuck.objects.create(kind="wait", subject="x", detail="It <waits>.")
    said = client_of(audrey).get(f"{V1}/health").json()
    assert (said["status"], said["late"], said["stuck"][0]["detail"]) == ("unwell", [], "It <waits>.")
    html = get(audrey, "/health/")
    assert "It &lt;waits&gt;." in html and "1 missions are damaged" in html
    problem_of(client_of(outsider).get(f"{V1}/health"), 403, "permission_denied")
    assert signed_in(outsider).get("/health/").status_code == 403


def test_late_housekeeping_is_told_and_readiness_is_not_its_business(audrey: User, clock: Clock) -> None:
    checks.record(tasks.HEARTBEAT, True, "fine")
    clock.advance(minutes=20)
    assert "has not run for 20 minutes" in get(audrey, "/health/")
    assert "housekeeping" not in client_of().get("/readyz").json()["checks"]


def test_figures_of_the_last_days(audrey: User, outsider: User, clock: Clock) -> None:
    today = clock.now().date()
    for days in (1, 5, 40):
        Daily.objects.create(day=today - dt.timedelta(days=days), type="refund", started=days, verdicts={"refunded": 3})
    rows = client_of(audrey).get(f"{V1}/stats").json()["results"]
    assert [row["started"] for row in rows] == [1, 5]
    assert len(client_of(audrey).get(f"{V1}/stats?days=50").json()["results"]) == 3
    assert "3 refunded" in get(audrey, "/health/")
    problem_of(client_of(outsider).get(f"{V1}/stats"), 403, "permission_denied")
    problem_of(client_of(audrey).get(f"{V1}/stats?days=-1"), 400, "bad_parameter")


def test_the_archive_lists_and_shows_what_left(mission: Mission, audrey: User) -> None:
    (row,) = client_of(audrey).get(f"{V1}/archive").json()["results"]
    assert (row["id"], row["title"], row["verdict"], row["entries"]) == (str(mission.uid), "For Ann", "delivered", 2)
    shown = client_of(audrey).get(f"{V1}/archive/{mission.uid}").json()
    assert shown["verified"] == {"ok": True, "entries": 2, "broken_at": None, "reason": ""}
    assert [entry["kind"] for entry in shown["journal"]] == ["started", "completed"]
    assert shown["parts"]["entries"] == 2
    assert client_of(audrey).get(f"{V1}/archive?q=nobody").json()["results"] == []
    assert "For Ann" in get(audrey, "/missions/archive/")
    html = get(audrey, f"/missions/archive/{mission.uid}/")
    assert "Seal good, 2 entries" in html and "Completed: On the mat." in html


def test_the_old_address_of_a_mission_leads_to_its_bundle(mission: Mission, audrey: User, outsider: User) -> None:
    answer = signed_in(audrey).get(page_of(mission))
    assert (answer.status_code, answer["Location"]) == (302, f"/missions/archive/{mission.uid}/")
    assert signed_in(outsider).get(page_of(mission)).status_code == 404


def test_a_damaged_bundle_is_shown_as_damaged(mission: Mission, audrey: User) -> None:
    BundlePiece.objects.update(body=b"nothing")
    assert "damaged" in get(audrey, f"/missions/archive/{mission.uid}/")
    shown = client_of(audrey).get(f"{V1}/archive/{mission.uid}").json()
    assert (shown["verified"]["ok"], shown["journal"]) == (False, [])


def test_who_started_a_mission_sees_its_bundle_and_outsiders_none(mission: Mission, outsider: User) -> None:
    mine = archive.leave(parcels.complete(parcels.mission(outsider, title="Mine")))
    rows = client_of(outsider).get(f"{V1}/archive").json()["results"]
    assert [row["id"] for row in rows] == [str(mine.uid)]
    assert client_of(outsider).get(f"{V1}/archive/{mine.uid}").status_code == 200
    problem_of(client_of(outsider).get(f"{V1}/archive/{mission.uid}"), 404, "not_archived")
    assert signed_in(outsider).get(f"/missions/archive/{mission.uid}/").status_code == 404
    assert "For Ann" not in get(outsider, "/missions/archive/")


def test_a_key_of_an_archived_mission_answers_409(olivia: User) -> None:
    body = {"type": parcels.TYPE, "input": parcels.INPUT, "key": "k"}
    client = client_of(olivia)
    assert client.post(f"{V1}/missions", body, format="json").status_code == 201
    archive.leave(parcels.complete(Mission.objects.get()))
    problem_of(client.post(f"{V1}/missions", body, format="json"), 409, "mission_archived")
