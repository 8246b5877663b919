"""Stop buttons in the console and over REST: who may press, who may lift, what everybody is told."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.test import Client

from missions.engine import stops
from missions.models import Agent, Stop
from missions.web import tokens
from tests.web.conftest import Visit
from tests.web.rest import client_of, fields_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
BODY = {"scope": "tool", "name": "payments.refund", "reason": "It pays twice."}


@pytest.fixture
def lifter() -> User:
    user = User.objects.create_user("paula2")
    user.groups.add(Group.objects.get_or_create(name="policy-admins")[0])
    return user


def test_an_operator_stops_and_a_policy_admin_lifts(olivia: User, lifter: User) -> None:
    answer = signed_in(olivia).post("/stops/", BODY)
    assert (answer.status_code, answer["Location"]) == (303, "/stops/")
    stop = Stop.objects.get()
    assert (stop.scope, stop.name, stop.pressed_by) == ("tool", "payments.refund", "olivia")
    for page in ("/queue/", "/missions/", "/tools/"):
        assert "Stopped: tool payments.refund." in get(olivia, page)
    assert signed_in(olivia).post(f"/stops/{stop.pk}/lift/").status_code == 403
    assert stops.in_force() == [stop]
    assert signed_in(lifter).post(f"/stops/{stop.pk}/lift/", {"reason": "Mended."}).status_code == 303
    assert not stops.in_force()
    html = get(olivia, "/stops/")
    assert "Nothing is stopped." in html and "Mended." in html


def test_a_name_that_is_not_known_is_stopped_and_asked_about(olivia: User) -> None:
    client, _ = signed_in(olivia), Agent.objects.create(name="clerk")
    for scope, name, known in (
        ("tool", "payment.refund", False), ("tool", "payments.refund", True), ("mission_type", "refnud", False),
        ("mission_type", "refund", True), ("agent", "clerk", True), ("agent", "clark", False),
    ):  # fmt: skip
        page = client.post("/stops/", {"scope": scope, "name": name, "reason": "As typed"}, follow=True)
        assert ("Is it misspelt?" in page.content.decode()) is not known
    told = {one["name"]: one["known"] for one in client_of(olivia).get("/api/v1/stops").json()["results"]}
    assert [name for name, known in told.items() if not known] == ["clark", "refnud", "payment.refund"]


def test_others_see_what_is_stopped_and_change_nothing(outsider: User) -> None:
    stop = stops.press("all", reason="<b>Fire</b>", by="olivia")
    html = get(outsider, "/stops/")
    assert "&lt;b&gt;Fire" in html and "Stop something" not in html
    assert signed_in(outsider).post("/stops/", BODY).status_code == 403
    assert signed_in(outsider).post(f"/stops/{stop.pk}/lift/").status_code == 403
    assert stops.in_force() == [stop]


def test_strangers_are_told_nothing(client: Client) -> None:
    stops.press("all", reason="Fire", by="olivia")
    assert "Fire" not in client.get("/login/").content.decode()
    assert client.get("/stops/").status_code == 302


def test_what_can_not_be_stopped_is_shown_again_with_what_was_typed(olivia: User) -> None:
    answer = signed_in(olivia).post("/stops/", {"scope": "all", "name": "refund", "reason": "As typed"})
    assert answer.status_code == 422
    assert "As typed" in answer.content.decode() and "Everything has no name" in answer.content.decode()


def test_a_second_press_says_that_it_is_stopped_already(olivia: User) -> None:
    client = signed_in(olivia)
    client.post("/stops/", BODY)
    assert "That is stopped already." in client.post("/stops/", BODY, follow=True).content.decode()
    assert Stop.objects.count() == 1


def test_stops_over_rest(olivia: User, lifter: User, outsider: User) -> None:
    client = client_of(olivia)
    made = post(client, "/stops", BODY)
    assert made.status_code == 201
    one = f"/api/v1/stops/{made.json()['id']}"
    assert [row["name"] for row in client_of(outsider).get("/api/v1/stops").json()["results"]] == ["payments.refund"]
    problem_of(post(client, "/stops", BODY), 409, "already_stopped")
    problem_of(post(client_of(outsider), "/stops", BODY), 403, "permission_denied")
    problem_of(client.delete(one), 403, "permission_denied")
    lifted = client_of(lifter).delete(one, {"reason": "Mended."}, format="json")
    assert (lifted.status_code, lifted.json()["lifted_by"]) == (200, "paula2")
    problem_of(client_of(lifter).delete(one), 404, "unknown_stop")


@pytest.mark.parametrize(
    ("body", "fields"),
    [({**BODY, "scope": "world"}, {"scope"}), ({**BODY, "reason": ""}, {"reason"}), ({**BODY, "name": ""}, {"name"}),
     ({**BODY, "scope": "all"}, {"name"}), ({**BODY, "for": "ever"}, {"for"})],
)  # fmt: skip
def test_bad_bodies_name_their_fields(olivia: User, body: dict[str, str], fields: set[str]) -> None:
    assert fields_of(problem_of(post(client_of(olivia), "/stops", body), 422, "invalid_input")) == fields
    assert not Stop.objects.exists()


def test_a_token_that_starts_missions_stops_nothing(olivia: User) -> None:
    _, secret = tokens.issue(olivia, scopes=("missions:write",))
    problem_of(post(client_of(token=secret), "/stops", BODY), 403, "scope_missing")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_the_page_breaks_no_accessibility_rule(visit: Visit, olivia: User, scheme: str, width: int) -> None:
    stops.press("tool", "payments.refund", reason="It pays twice.", by="olivia")
    stops.lift(stops.press("all", reason="Fire", by="sam").pk, reason="Out", by="paula")
    page = visit(olivia, "/stops/", color_scheme=scheme, viewport={"width": width, "height": 900})
    assert not Axe().run(page).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
