"""The page and the REST view of a mission's own decision: lineage, marking as wrong, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User

from missions.models import Kind, Mission, WrongMark
from tests import parcels
from tests.web.conftest import Visit
from tests.web.rest import client_of, fields_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"


def decided(mission: Mission, **payload: Any) -> str:
    """The address of a decision that the mission has recorded."""
    told = {
        "name": "route", "title": f"Route {HOSTILE}", "class": "route", "proposal": {"by": "road"}, "alternatives": [],
        "evidence": [], "confidence": 0.8, "findings": [], "rests_on": [1], **payload,
    }  # fmt: skip
    entry = parcels.append(mission, Kind.DECIDED, told, path="route#1")
    return f"/missions/{mission.uid}/decided/{entry.seq}/"


@pytest.fixture
def mission(outsider: User) -> Mission:
    return parcels.mission(outsider)


def test_the_page_tells_the_decision_and_marks_it(mission: Mission, olivia: User, outsider: User) -> None:
    address = decided(mission)
    html = get(outsider, address)
    assert HOSTILE not in html and "&lt;script&gt;" in html and "Mark as wrong" in html
    assert "Roll back to before it" not in html
    assert "Roll back to before it" in get(olivia, address)
    answer = signed_in(olivia).post(address, {"reason": "The road is closed."})
    assert (answer.status_code, answer["Location"]) == (303, address)
    html = get(outsider, address)
    assert "The road is closed." in html and "Marked as wrong" in html
    assert "marked as wrong already" in signed_in(olivia).post(address, {"reason": "x"}, follow=True).content.decode()
    assert WrongMark.objects.count() == 1


def test_what_is_missing_is_asked_for_and_kept(mission: Mission, olivia: User) -> None:
    answer = signed_in(olivia).post(decided(mission), {"reason": ""})
    assert answer.status_code == 422
    assert "Say why." in answer.content.decode()
    assert not WrongMark.objects.exists()


def test_who_may_not_see_or_direct_changes_nothing(mission: Mission, fiona: User, outsider: User) -> None:
    address = decided(mission)
    assert signed_in(fiona).post(address, {"reason": "x"}).status_code == 403
    stranger = User.objects.create_user("stranger")
    assert signed_in(stranger).get(address).status_code == 404
    assert signed_in(outsider).get(f"/missions/{mission.uid}/decided/99/").status_code == 404
    assert signed_in(outsider).get(f"/missions/{mission.uid}/decided/99999999999/").status_code == 404
    assert not WrongMark.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_narrative_leads_there(mission: Mission, outsider: User) -> None:
    address = decided(mission)
    assert f'href="{address}"' in get(outsider, f"/missions/{mission.uid}/")


def test_over_rest(mission: Mission, olivia: User, fiona: User) -> None:
    path = decided(mission).rstrip("/")
    client = client_of(olivia)
    told = client.get(f"/api/v1{path}").json()
    assert (told["decided"]["class"], told["wrong"], told["hidden"]) == ("route", None, 0)
    assert [one["how"] for one in told["resting"]] == ["itself"]
    problem_of(post(client_of(fiona), f"{path}/wrong", {"reason": "x"}), 403, "permission_denied")
    assert fields_of(problem_of(post(client, f"{path}/wrong", {}), 422, "invalid_input")) == {"reason"}
    marked = post(client, f"{path}/wrong", {"reason": "The road is closed."})
    assert marked.json()["wrong"]["marked_by"] == "olivia"
    problem_of(post(client, f"{path}/wrong", {"reason": "x"}), 409, "already_marked")
    problem_of(client.get(f"/api/v1/missions/{mission.uid}/decided/1"), 404, "no_such_decision")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_the_page_breaks_no_accessibility_rule(
    visit: Visit, mission: Mission, olivia: User, scheme: str, width: int
) -> None:
    address = decided(mission, findings=["The road is long."], alternatives=[{"by": "rail"}])
    parcels.effect(mission)
    page = visit(olivia, address, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert not Axe().run(page).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
