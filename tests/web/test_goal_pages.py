"""A mission's goal in the console and over REST: what it is, who may amend it, what is asked for."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import expect

from missions.engine import codec
from missions.models import Goal, Mission, Signal
from tests import parcels
from tests.web.conftest import Visit
from tests.web.rest import client_of, fields_of, post, problem_of
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db
WANTED = {"goal": "Send it by road.", "reason": "It is cheaper."}


def amended(mission: Mission, version: int = 2, text: str = "Send it by <b>rail</b> \u202e.") -> Goal:
    told = {"text": text, "by": "sam", "reason": "Greener.", "key": f"{mission.pk}:{version}"}
    return Goal.objects.create(mission_id=mission.pk, version=version, **told)


def asked(mission: Mission) -> list[dict[str, object]]:
    return [codec.load(one.payload) for one in Signal.objects.filter(mission_id=mission.pk).order_by("seq")]


def test_the_page_tells_all_versions_and_asks_for_another(olivia: User) -> None:
    run = parcels.mission(title="Send a parcel")
    amended(run)
    page = f"{page_of(run)}goal/"
    html = get(olivia, page)
    assert "Version 2" in html and "by &lt;b&gt;rail" in html and "Send a parcel" in html
    head = get(olivia, page_of(run))
    assert "amended, version 2" in head and "\u202e" not in head
    answer = signed_in(olivia).post(page, WANTED)
    assert answer["Location"] == page_of(run)
    signed_in(olivia).post(page, WANTED)  # a second click
    (body,) = asked(run)
    assert (body["verb"], body["goal"], body["by_id"]) == ("amend", "Send it by road.", olivia.pk)
    assert "Another goal asked for by olivia" in get(olivia, page_of(run))
    signed_in(olivia).post(page, {**WANTED, "goal": "Send it by sea."})
    assert [one["goal"] for one in asked(run)] == ["Send it by road.", "Send it by sea."]


def test_what_can_not_be_is_shown_again(olivia: User) -> None:
    run = parcels.mission()
    page = f"{page_of(run)}goal/"
    for wrong in ({**WANTED, "reason": ""}, {"reason": "x"}, {**WANTED, "goal": "x" * 20_001}):
        answer = signed_in(olivia).post(page, wrong)
        assert answer.status_code == 422 and "Nothing was asked for" in answer.content.decode()
    parcels.complete(run)
    answer = signed_in(olivia).post(page, WANTED)
    assert answer.status_code == 409 and asked(run) == []
    assert "its goal stays as it is" in get(olivia, page)


def test_who_sees_a_mission_reads_its_goal_and_who_directs_amends(olivia: User, audrey: User, outsider: User) -> None:
    run = parcels.mission()
    page = f"{page_of(run)}goal/"
    assert "Amend it" in get(olivia, page) and "Amend it" not in get(audrey, page)
    assert signed_in(audrey).post(page, WANTED).status_code == 403
    stranger = signed_in(outsider)
    assert (stranger.get(page).status_code, stranger.post(page, WANTED).status_code) == (404, 404)
    own = parcels.mission(outsider)
    assert signed_in(outsider).post(f"{page_of(own)}goal/", WANTED).status_code == 303
    assert asked(run) == []


def test_goals_are_read_and_amended_over_rest(olivia: User, audrey: User) -> None:
    run = parcels.mission(title="Send a parcel")
    client, path = client_of(olivia), f"/missions/{run.uid}/goal"
    assert client.get(f"/api/v1{path}").json() == {
        "version": 1, "text": "Send a parcel", "original": "Send a parcel", "amendments": [],
    }
    first = client.post(f"/api/v1{path}", WANTED, format="json", HTTP_IDEMPOTENCY_KEY="k")
    again = client.post(f"/api/v1{path}", WANTED, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert (first.status_code, first.json()) == (202, again.json()) and len(asked(run)) == 1
    amended(run, text="Send it by rail.")
    told = client.get(f"/api/v1{path}").json()
    assert (told["version"], told["text"], told["amendments"][0]["by"]) == (2, "Send it by rail.", "sam")
    assert fields_of(problem_of(post(client, path, {"goal": "x"}), 422, "invalid_input")) == {"reason"}
    problem_of(post(client_of(audrey), path, WANTED), 403, "permission_denied")
    parcels.complete(run)
    problem_of(post(client, path, WANTED), 409, "control_refused")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_a_goal_is_amended_in_a_browser_on_a_page_without_barriers(
    visit: Visit, olivia: User, scheme: str, width: int
) -> None:
    run = parcels.mission()
    amended(run)
    page = visit(olivia, page_of(run), color_scheme=scheme, viewport={"width": width, "height": 900})
    page.get_by_role("link", name="Amend the goal").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/goal/")
    assert Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Goal", exact=True).fill("Send it by road.")
    page.get_by_label("Reason").fill("It is cheaper.")
    page.get_by_role("button", name="Amend the goal").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{page_of(run)}")
    expect(page.get_by_text("Another goal is asked for.")).to_be_visible()
    assert [one["goal"] for one in asked(run)] == ["Send it by road."]
