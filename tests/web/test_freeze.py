"""A frozen installation: every page says so, health does, and administrators alone thaw it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.engine import freezing, quarantine
from missions.errors import NotFrozen
from missions.models import Freeze, Mission, State, Worker
from missions.models.fields import DatabaseNow
from tests import parcels
from tests.web.rest import client_of, post, problem_of

pytestmark = pytest.mark.django_db
WHY = "A backup was restored."
BODY = {"reason": "The ledger was compared."}


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin", "admin@example.org", "standfast")


def freeze() -> Freeze:
    """As a worker that found a loss does."""
    return Freeze.objects.create(why=WHY, host="here", witness={}, found_at=DatabaseNow())


@pytest.mark.parametrize("page", ["/queue/", "/missions/", "/missions/freeze/"])
def test_every_page_of_a_frozen_installation_says_so(client: Client, sam: User, page: str) -> None:
    client.force_login(sam)
    assert WHY not in client.get(page).content.decode()
    freeze()
    shown = client.get(page).content.decode()
    assert "Frozen: no mission goes on." in shown and WHY in shown and 'href="/missions/freeze/"' in shown


def test_strangers_are_told_nothing(client: Client) -> None:
    freeze()
    assert WHY not in client.get("/login/").content.decode()


def test_health_tells_of_a_freeze_and_of_missions_in_quarantine(client: Client) -> None:
    Worker.objects.create(id=1, host="here", boot_id="b", pid=1, pid_started=1, backend_pid=1)
    freeze()
    mission = parcels.mission()
    Mission.objects.filter(pk=mission.pk).update(state=State.PAUSED, reason="quarantined")
    told = client.get("/readyz")
    assert (told.status_code, told.json()["frozen"], told.json()["quarantined"]) == (200, WHY, 1)


def test_administrators_thaw_in_the_console(client: Client, admin: User) -> None:
    freeze()
    client.force_login(admin)
    empty = client.post("/missions/freeze/", {"reason": ""})
    assert empty.status_code == 422 and freezing.current() is not None
    response = client.post("/missions/freeze/", BODY)
    assert (response.status_code, response["Location"]) == (303, "/missions/")
    thawed = Freeze.objects.get()
    assert (thawed.thawed_by, thawed.reason, thawed.nothing_was_lost) == ("admin", BODY["reason"], False)
    assert freezing.current() is None
    assert client.post("/missions/freeze/", BODY).status_code == 303  # somebody was faster


@pytest.mark.parametrize("name", ["sam", "olivia", "outsider"])
def test_nobody_else_thaws(client: Client, request: pytest.FixtureRequest, name: str) -> None:
    freeze()
    user = request.getfixturevalue(name)
    client.force_login(user)
    assert client.post("/missions/freeze/", BODY).status_code == 403
    problem_of(post(client_of(user), "/freeze/thaw", BODY), 403, "permission_denied")
    assert freezing.current() is not None


def test_thawing_makes_missions_suspect_that_have_not_ended(admin: User) -> None:
    going, over = parcels.mission(), parcels.mission()
    Mission.objects.filter(pk=over.pk).update(state=State.COMPLETED)
    freeze()
    assert client_of(admin).get("/api/v1/freeze").json()["why"] == WHY
    response = post(client_of(admin), "/freeze/thaw", BODY)
    assert (response.status_code, response.json()) == (200, {"suspect": 1})
    assert dict(Mission.objects.values_list("pk", "suspect")) == {going.pk: True, over.pk: False}
    assert client_of(admin).get("/api/v1/freeze").json() == {
        "frozen": False, "why": "", "host": "", "found_at": None,
    }  # fmt: skip
    problem_of(post(client_of(admin), "/freeze/thaw", BODY), 409, "not_frozen")


def test_a_planned_move_makes_nothing_suspect() -> None:
    mission = parcels.mission()
    freeze()
    assert freezing.thaw("Moved.", by="ann", nothing_was_lost=True) == 0
    mission.refresh_from_db()
    assert not mission.suspect
    with pytest.raises(NotFrozen):
        freezing.thaw("Again.", by="ann")


def test_a_pardoned_mission_starts_counting_again() -> None:
    mission = parcels.mission()
    Mission.objects.filter(pk=mission.pk).update(strikes=3)
    quarantine.pardon(mission.pk)
    mission.refresh_from_db()
    assert mission.strikes == 0
