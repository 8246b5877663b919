"""Who sees what, where people are signed in, their tokens, and guessing passwords."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.test import Client

from missions.engine import registry
from missions.models import ApiToken, RestrictedScope, Restriction, SignIn
from missions.visibility import seen_by
from missions.web import tokens
from missions.web.access import visible_missions
from tests import parcels
from tests.web.conftest import Visit
from tests.web.rest import client_of, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
PASSWORD = "a good password"


def member(name: str, *groups: str, **more: bool) -> User:
    user = User.objects.create_user(name, password=PASSWORD, **more)
    user.groups.add(*(Group.objects.get_or_create(name=group)[0] for group in groups))
    return user


@pytest.fixture
def people() -> dict[str, User]:
    return {
        "owner": member("owner"), "other": member("other"), "operator": member("operator", "operators"),
        "lawyer": member("lawyer", "legal"), "admin": member("root", is_superuser=True),
        "gone": member("gone", "operators", is_active=False),
    }  # fmt: skip


def restrict(scope: str, name: str, *groups: str) -> None:
    Restriction.objects.bulk_create([Restriction(scope=scope, name=name, group=group) for group in groups])


def seers(people: dict[str, User]) -> set[str]:
    """Who sees the one mission: in the query, on its page, in the list, and over REST alike."""
    found = {name for name, user in people.items() if visible_missions(user).exists()}
    uid = str(visible_missions(people["admin"]).get().uid)
    for name, user in people.items():
        if name == "gone":  # nobody can sign in as them
            continue
        status = signed_in(user).get(f"/missions/{uid}/").status_code
        assert status == (200 if name in found else 404), name
        assert (uid in get(user, "/missions/")) is (name in found), name
        listed = client_of(user).get("/api/v1/missions").json()["results"]
        assert bool(listed) is (name in found), name
        for path in (f"/api/v1/missions/{uid}", f"/api/v1/missions/{uid}/journal", f"/api/v1/missions/{uid}/decisions"):
            assert client_of(user).get(path).status_code == (200 if name in found else 404), (name, path)
    return found


def test_roles_see_all_and_others_what_they_started(people: dict[str, User]) -> None:
    parcels.mission(people["owner"])
    assert seers(people) == {"owner", "operator", "lawyer", "admin"}


def test_a_restricted_type_is_seen_by_its_groups_its_owner_and_administrators(people: dict[str, User]) -> None:
    parcels.mission(people["owner"])
    restrict(RestrictedScope.MISSION_TYPE, parcels.TYPE, "legal", "finance")
    assert seers(people) == {"owner", "lawyer", "admin"}


def test_other_types_are_not_touched_by_a_restriction(people: dict[str, User]) -> None:
    parcels.mission(people["owner"])
    restrict(RestrictedScope.MISSION_TYPE, "secret", "legal")
    assert seers(people) == {"owner", "operator", "lawyer", "admin"}


@pytest.mark.parametrize(("name", "hidden"), [("internal", True), ("public", True), ("regulated", False)])
def test_a_restricted_data_class_hides_what_is_cleared_for_it(
    name: str, hidden: bool, people: dict[str, User]
) -> None:
    parcels.mission(people["owner"])
    assert registry.get_type(parcels.TYPE).data_classes == ("internal",)
    restrict(RestrictedScope.DATA_CLASS, name, "legal")
    assert ("operator" in seers(people)) is not hidden


def test_a_type_that_nobody_here_knows_is_hidden_once_a_data_class_is_restricted(people: dict[str, User]) -> None:
    mission = parcels.mission(people["owner"])
    type(mission).objects.filter(pk=mission.pk).update(type="not.known.here")
    assert visible_missions(people["operator"]).exists()
    restrict(RestrictedScope.DATA_CLASS, "regulated", "legal")
    assert not visible_missions(people["operator"]).exists()
    assert visible_missions(people["owner"]).exists()


@pytest.mark.django_db(transaction=True)  # the rail tells only of what is committed
def test_the_rail_of_all_leaves_out_what_is_restricted(people: dict[str, User]) -> None:
    mission = str(parcels.mission(people["owner"]).uid)
    restrict(RestrictedScope.MISSION_TYPE, parcels.TYPE, "legal")
    seers = ("operator", "lawyer", "admin")
    told = {name: str(client_of(people[name]).get("/api/v1/observations").json()) for name in seers}
    assert {name for name in seers if mission in told[name]} == {"lawyer", "admin"}
    own = client_of(people["owner"]).get(f"/api/v1/observations?mission={mission}")
    assert mission in str(own.json())


def test_strangers_see_nothing() -> None:
    parcels.mission()
    assert not parcels.Mission.objects.filter(seen_by(User(is_active=True))).exists()


# -- Sessions ----------------------------------------------------------------------------------------------------------


def sign_in(name: str = "sam", password: str = PASSWORD, **headers: str) -> Client:
    client = Client(**headers)
    client.post("/login/", {"username": name, "password": password})
    return client


def test_a_person_sees_where_they_are_signed_in_and_ends_the_others() -> None:
    member("sam", "supervisors")
    here, there = sign_in(HTTP_USER_AGENT="Firefox"), sign_in(HTTP_USER_AGENT="<b>Phone</b>")
    html = here.get("/me/").content.decode()
    assert "Firefox" in html and "&lt;b&gt;Phone" in html and "this one" in html
    other = SignIn.objects.get(agent="<b>Phone</b>")
    here.post("/me/sessions/end/", {"session": other.pk})
    assert there.get("/me/").status_code == 302
    assert here.get("/me/").status_code == 200
    there = sign_in()
    here.post("/me/sessions/end/")
    assert (there.get("/queue/").status_code, here.get("/queue/").status_code) == (302, 200)
    here.post("/logout/")
    assert not SignIn.objects.filter(ended_at=None).exists()


def test_nobody_ends_the_sessions_of_somebody_else() -> None:
    member("sam"), member("eve")
    sam, eve = sign_in("sam"), sign_in("eve")
    eve.post("/me/sessions/end/", {"session": SignIn.objects.get(user__username="sam").pk})
    eve.post("/me/sessions/end/")
    eve.post("/me/sessions/end/", {"session": "1e9"})
    assert sam.get("/me/").status_code == 200


def test_a_deactivated_person_is_out_at_once() -> None:
    user, client = member("sam"), sign_in()
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/queue/").status_code == 302


def test_guessing_is_slowed_down_for_that_name_from_that_address_alone() -> None:
    member("sam"), member("fiona")
    for _ in range(5):
        answer = Client().post("/login/", {"username": "sam", "password": "wrong"})
    assert answer.status_code == 429
    assert "Too many wrong passwords" in answer.content.decode()
    assert sign_in("sam").get("/queue/").status_code == 302  # the right password does not help now
    assert sign_in("fiona").get("/queue/").status_code == 200
    assert sign_in("sam", REMOTE_ADDR="192.0.2.7").get("/queue/").status_code == 200


# -- Tokens ------------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_can_be_revoked(olivia: User) -> None:
    client = signed_in(olivia)
    made = client.post("/me/tokens/new/", {"label": "CI", "days": "30", "scopes": ["missions:read"]})
    token = ApiToken.objects.get()
    secret = next(word for word in made.content.decode().split('"secret" tabindex="0">')[1].split("<") if word)
    assert (token.scopes, token.label, tokens.digest(secret.encode())) == (["missions:read"], "CI", token.hash)
    assert secret not in get(olivia, "/me/")
    assert client_of(token=secret).get("/api/v1/missions").status_code == 200
    client.post(f"/me/tokens/{token.pk}/revoke/")
    problem_of(client_of(token=secret).get("/api/v1/missions"), 401, "bad_token")


def test_nobody_revokes_a_token_of_somebody_else(olivia: User, sam: User) -> None:
    token, _ = tokens.issue(olivia)
    assert signed_in(sam).post(f"/me/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None


def test_only_administrators_say_for_which_agent_a_token_stands(olivia: User) -> None:
    sent = {"label": "Shop", "days": "30", "agent": "shop-agent"}
    assert 'name="agent"' not in get(olivia, "/me/")
    assert signed_in(olivia).post("/me/tokens/new/", sent).status_code == 200
    assert ApiToken.objects.get().agent == ""
    admin = User.objects.create_superuser("admin")
    assert signed_in(admin).post("/me/tokens/new/", {**sent, "agent": "a\tb"}).status_code == 422
    assert signed_in(admin).post("/me/tokens/new/", sent).status_code == 200
    assert ApiToken.objects.get(user=admin).agent == "shop-agent"
    assert "agent shop-agent" in get(admin, "/me/")


@pytest.mark.parametrize("sent", [{}, {"label": "x", "days": "0"}, {"label": "x", "days": "1", "scopes": ["all"]}])
def test_a_token_that_can_not_be_is_not_made(olivia: User, sent: dict[str, str]) -> None:
    answer = signed_in(olivia).post("/me/tokens/new/", sent)
    assert answer.status_code == 422
    assert not ApiToken.objects.exists()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_the_page_breaks_no_accessibility_rule(visit: Visit, olivia: User, scheme: str, width: int) -> None:
    tokens.issue(olivia, scopes=("missions:read", "missions:write"), days=30, label="Nightly reports")
    page = visit(olivia, "/me/", color_scheme=scheme, viewport={"width": width, "height": 900})
    assert not Axe().run(page).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
