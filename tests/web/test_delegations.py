"""Delegations and calendars over REST and as pages, by persona."""

from __future__ import annotations

import datetime as dt

import pytest

from approvals import delegations, hours
from approvals.models import Calendar, Decision, Delegation
from tests.decisions import FINANCE, SUPERVISORS, opened, waiting_mission
from tests.web.rest import V1, client_of, fields_of, post, problem_of
from tests.web.visits import get, signed_in

pytestmark = pytest.mark.django_db
WEEK = {"mon": [["09:00", "17:00"]]}


def tomorrow(clock):
    return (clock.now() + dt.timedelta(days=1)).isoformat()


# -- REST --------------------------------------------------------------------------------------------------------------


def test_giving_listing_and_revoking(clock, sam, outsider):
    answer = post(client_of(sam), "/delegations", {"to": "oscar", "until": tomorrow(clock), "groups": ["supervisors"]})
    made = answer.json()
    assert (answer.status_code, made["giver"], made["receiver"], made["in_force"]) == (201, "sam", "oscar", True)
    for person in (sam, outsider):
        assert client_of(person).get(f"{V1}/delegations").json()["results"] == [made]
    assert client_of(sam).delete(f"{V1}/delegations/{made['id']}").status_code == 204
    assert client_of(sam).get(f"{V1}/delegations").json()["results"][0]["in_force"] is False


def test_what_is_wrong_is_named_by_field(clock, sam):
    body = {"to": "ghost", "until": tomorrow(clock), "groups": ["legal"]}
    refused = problem_of(post(client_of(sam), "/delegations", body), 422, "invalid_delegation")
    assert fields_of(refused) == {"to", "groups"}
    assert fields_of(problem_of(post(client_of(sam), "/delegations", {}), 422, "invalid_input")) == {"to", "until"}


def test_anothers_delegation_is_not_there(clock, sam, fiona, outsider):
    given = delegations.give(sam, "oscar", until=clock.now() + dt.timedelta(days=1))
    for person in (fiona, outsider):
        problem_of(client_of(person).delete(f"{V1}/delegations/{given.pk}"), 404, "unknown_delegation")
    assert client_of(fiona).get(f"{V1}/delegations").json()["results"] == []


def test_one_decision_is_handed_on_and_the_vote_says_on_whose_behalf(clock, sam, outsider, fiona):
    decision = opened(waiting_mission(), SUPERVISORS)
    path = f"/decisions/{decision.pk}/delegate"
    problem_of(post(client_of(fiona), path, {"to": "oscar", "until": tomorrow(clock)}), 404, "unknown_decision")
    assert post(client_of(sam), path, {"to": "oscar", "until": tomorrow(clock)}).status_code == 201
    vote = {"verdict": "approve", "digest": decision.digest}
    told = post(client_of(outsider), f"/decisions/{decision.pk}/votes", vote).json()
    [cast] = told["tiers"][0]["cast"]
    assert (told["state"], cast["voter"], cast["on_behalf_of"], cast["stands"]) == ("approved", "oscar", "sam", False)


def test_a_decision_tells_its_seats_and_stages(sam):
    board = {"name": "board", "approvers": [{"group": "supervisors"}, {"person": "sam"}], "all_of": True}
    decision = opened(waiting_mission(), board, {**FINANCE, "parallel": True})
    first, second = client_of(sam).get(f"{V1}/decisions/{decision.pk}").json()["tiers"]
    assert (first["approvers"], first["all_of"], first["quorum"]["need"]) == ("board", True, 2)
    assert [(seat["group"], seat["person"]) for seat in first["seats"]] == [("supervisors", None), ("", "sam")]
    assert (first["stage"], second["stage"], second["state"]) == (1, 1, "open")


def test_the_queue_is_filtered_by_any_open_tier(sam, fiona, olivia):
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True, "name": "money"})
    for tier in ("supervisors", "finance", "money"):
        found = client_of(olivia).get(f"{V1}/decisions", {"tier": tier}).json()["results"]
        assert [one["id"] for one in found] == [str(decision.pk)]
    assert client_of(olivia).get(f"{V1}/decisions", {"tier": "legal"}).json()["results"] == []


def test_calendars_are_kept_by_policy_admins_and_operators(paula, olivia, sam):
    body = {"name": "office", "time_zone": "Europe/London", "hours": WEEK, "holidays": [{"day": "2026-12-25"}]}
    problem_of(post(client_of(sam), "/calendars", body), 403, "permission_denied")
    assert post(client_of(paula), "/calendars", body).status_code == 201
    problem_of(post(client_of(olivia), "/calendars", body), 409, "calendar_exists")
    shown = client_of(sam).get(f"{V1}/calendars/office").json()
    assert (shown["time_zone"], shown["holidays"]) == ("Europe/London", [{"day": "2026-12-25", "name": ""}])
    changed = client_of(olivia).put(f"{V1}/calendars/office", {"time_zone": "UTC", "hours": WEEK}, format="json")
    assert (changed.status_code, changed.json()["holidays"]) == (200, [])
    problem_of(client_of(sam).delete(f"{V1}/calendars/office"), 403, "permission_denied")
    assert client_of(paula).delete(f"{V1}/calendars/office").status_code == 204
    problem_of(client_of(paula).get(f"{V1}/calendars/office"), 404, "unknown_calendar")


def test_a_calendar_that_can_not_be_says_why(paula):
    body = {"name": "always", "time_zone": "Mars/Olympus", "hours": {"mon": [["17:00", "09:00"]]}}
    refused = problem_of(post(client_of(paula), "/calendars", body), 422, "invalid_calendar")
    assert fields_of(refused) == {"name", "time_zone", "hours"}


# -- Pages -------------------------------------------------------------------------------------------------------------


def test_out_of_office_is_given_and_revoked_on_the_page(clock, sam, outsider):
    first, last = (clock.now().date() + dt.timedelta(days=days) for days in (2, 4))
    form = {"to": "oscar", "first": first.isoformat(), "last": last.isoformat(), "groups": ["supervisors"]}
    assert signed_in(sam).post("/me/delegations/", form).status_code == 303
    given = Delegation.objects.get()
    assert given.ends_at - given.starts_at == dt.timedelta(days=3)
    assert given.starts_at == dt.datetime.combine(first, dt.time(), tzinfo=dt.UTC)
    assert "oscar for you" in get(sam, "/me/delegations/")
    assert "You for sam" in get(outsider, "/me/delegations/")
    revoking = f"/me/delegations/{given.pk}/revoke/"
    assert revoking not in get(outsider, "/me/delegations/")
    assert signed_in(outsider).post(revoking).status_code == 404
    assert signed_in(sam).post(revoking).status_code == 303
    assert "Revoked" in get(sam, "/me/delegations/")


def test_a_form_that_is_refused_comes_back_with_what_was_typed(clock, sam):
    response = signed_in(sam).post("/me/delegations/", {"to": "ghost", "last": clock.now().date().isoformat()})
    page = response.content.decode()
    assert (response.status_code, 'value="ghost"' in page) == (422, True)
    assert "There is no active person of this name." in page


def test_the_decision_page_hands_on_and_tells_who_voted_for_whom(sam, outsider, fiona):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    page = f"/queue/{decision.pk}/"
    assert "Let somebody else decide" in get(sam, page)
    assert signed_in(fiona).post(f"{page}delegate/", {"to": "oscar"}).status_code == 404
    refused = signed_in(sam).post(f"{page}delegate/", {"to": "ghost"})
    assert (refused.status_code, b"There is no active person" in refused.content) == (422, True)
    assert signed_in(sam).post(f"{page}delegate/", {"to": "oscar", "days": "3"}).status_code == 302
    assert str(decision.pk) in get(outsider, "/queue/")
    vote = {"verdict": "approve", "digest": decision.digest}
    assert signed_in(outsider).post(f"{page}vote/", vote).status_code == 303
    assert "on behalf of sam" in " ".join(get(outsider, page).split())


def test_open_tiers_are_named_in_the_queue(sam, fiona):
    opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True})
    for person in (sam, fiona):
        assert "supervisors, finance" in get(person, "/queue/")


def test_calendars_on_the_page(paula, sam):
    form = {"name": "office", "time_zone": "Europe/London", "mon": "09:00-12:30, 13:00-17:00",
            "holidays": "2026-12-25 Christmas Day\n"}  # fmt: skip
    assert signed_in(sam).post("/calendars/new/", form).status_code == 403
    assert signed_in(paula).post("/calendars/new/", form).status_code == 303
    calendar = Calendar.objects.get()
    assert calendar.hours == {"mon": [["09:00", "12:30"], ["13:00", "17:00"]]}
    assert "Mon 09:00–12:30, 13:00–17:00" in get(sam, "/calendars/")
    assert "09:00-12:30, 13:00-17:00" in get(paula, "/calendars/office/")
    wrong = signed_in(paula).post("/calendars/office/", {**form, "tue": "9-5", "holidays": "Xmas"})
    assert wrong.status_code == 422
    assert "is no day" in wrong.content.decode()
    wrong = signed_in(paula).post("/calendars/office/", {**form, "tue": "9-5"})
    assert "a span is from and until" in wrong.content.decode()
    assert signed_in(paula).post("/calendars/office/delete/").status_code == 303
    assert not Calendar.objects.exists()


def test_many_delegations_cost_no_statement_a_row(clock, django_assert_max_num_queries, person, sam):
    dee = person("dee")
    for number in range(5):
        giver = person(f"giver{number}", "supervisors")
        delegations.give(giver, "dee", until=clock.now() + dt.timedelta(days=1))
    for _ in range(30):
        opened(waiting_mission(), SUPERVISORS)
    client = signed_in(dee)
    with django_assert_max_num_queries(45):
        assert client.get("/queue/").status_code == 200
    assert Decision.objects.for_voter(dee).count() == 30


def test_the_always_calendar_is_no_row():
    with pytest.raises(hours.CalendarRefused):
        hours.make("always", time_zone="UTC", hours=WEEK, holidays={})
