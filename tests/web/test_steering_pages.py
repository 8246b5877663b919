"""Steering from the console: the mission's controls, timelines, forks, replays, and many missions from the list."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from psycopg.types.range import Range

from approvals.models import DecisionKind
from approvals.web import words
from missions.control import programs, undo
from missions.effects import standing
from missions.engine import codec
from missions.engine.claims import CONTROL
from missions.engine.controls import request as ask
from missions.governance import Choice
from missions.models import Kind, Mission, Signal, State, Timeline
from observability.console import fragments
from tests import decisions, parcels, rail
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db
PACKED = {"name": "pack", "title": "Check the parcel", "result": 1}


def asked(run: Mission) -> list[dict[str, Any]]:
    return [codec.load(one.payload) for one in Signal.objects.filter(mission_id=run.pk, name=CONTROL)]


def in_state(state: str, by: User | None = None) -> Mission:
    run = parcels.mission(by)
    Mission.objects.filter(pk=run.pk).update(state=state)
    return run


def offered(user: User, run: Mission) -> set[str]:
    """The controls on a mission's page."""
    html = get(user, page_of(run))
    return set(re.findall(rf'(?:formaction|href)="{page_of(run)}([a-z-]+)/"', html))


# -- What is offered, and to whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "operator", "supervisor"),
    [("running", {"pause", "stop", "cancel", "goal"}, {"pause", "stop", "cancel", "goal"}),
     ("paused", {"resume", "cancel", "goal"}, {"resume", "cancel", "goal"}),
     ("failed", {"retry"}, set()), ("completed", set(), set())],
)  # fmt: skip
def test_controls_are_offered_by_state_and_permission(
    olivia: User, sam: User, audrey: User, state: str, operator: set[str], supervisor: set[str]
) -> None:
    run = in_state(state)
    assert offered(olivia, run) == operator | {"roll-back", "fork", "replay"}
    assert offered(sam, run) == supervisor
    assert offered(audrey, run) == set() and "steer-form" not in get(audrey, page_of(run))


def test_a_control_is_asked_for_with_its_reason_and_a_second_click_counts_once(olivia: User) -> None:
    run, client = in_state(State.WAITING), signed_in(olivia)
    for _ in range(2):
        response = client.post(f"{page_of(run)}pause/", {"reason": "Lunch"})
        assert (response.status_code, response["Location"]) == (303, page_of(run))
    (put,) = asked(run)
    assert (put["verb"], put["reason"], put["by"]) == ("pause", "Lunch", "olivia")
    html = client.get(page_of(run)).content.decode()
    assert "Pause is asked for." in html and "Pause asked for by olivia; not done yet" in html


def test_cancelling_undoes_only_where_that_was_ticked(olivia: User) -> None:
    run, ticked = in_state(State.WAITING), in_state(State.WAITING)
    assert "Undo its effects first" in get(olivia, f"{page_of(run)}cancel/")
    signed_in(olivia).post(f"{page_of(run)}cancel/", {"reason": "Not wanted"})
    signed_in(olivia).post(f"{page_of(ticked)}cancel/", {"compensate": "on"})
    assert [asked(one)[0]["compensate"] for one in (run, ticked)] == [False, True]


def test_what_the_state_does_not_allow_is_told_in_words(olivia: User) -> None:
    run = parcels.complete(parcels.mission())
    response = signed_in(olivia).post(f"{page_of(run)}pause/", {"reason": "Lunch"})
    html = response.content.decode()
    assert response.status_code == 409 and "The mission is completed: pause does not apply." in html and "Lunch" in html
    assert asked(run) == []


def test_too_long_a_reason_is_kept_and_refused(olivia: User) -> None:
    run = in_state(State.WAITING)
    response = signed_in(olivia).post(f"{page_of(run)}cancel/", {"reason": "x" * 2001})
    assert response.status_code == 422 and "x" * 2001 in response.content.decode()
    assert asked(run) == []


@pytest.mark.parametrize("verb", ["pause", "stop", "resume", "cancel", "retry", "fork", "replay"])
def test_readers_are_told_who_may_and_outsiders_nothing(audrey: User, outsider: User, verb: str) -> None:
    run = in_state({"resume": "paused", "retry": "failed"}.get(verb, "waiting"))
    assert signed_in(audrey).post(f"{page_of(run)}{verb}/").status_code == 403
    assert signed_in(outsider).post(f"{page_of(run)}{verb}/").status_code == 404
    assert asked(run) == [] and Mission.objects.count() == 1


def test_who_started_a_mission_directs_it(outsider: User) -> None:
    run = in_state(State.WAITING, by=outsider)
    assert offered(outsider, run) == {"pause", "stop", "cancel", "goal"}
    assert signed_in(outsider).post(f"{page_of(run)}stop/").status_code == 303


def test_forms_are_refused_without_a_csrf_token(olivia: User) -> None:
    run, strict = in_state(State.WAITING), Client(enforce_csrf_checks=True)
    strict.force_login(olivia)
    for path in (f"{page_of(run)}pause/", f"{page_of(run)}fork/", f"{page_of(run)}replay/", "/missions/bulk/"):
        assert strict.post(path).status_code == 403
    assert asked(run) == []


def test_a_paused_mission_says_who_why_and_what_to_do(olivia: User) -> None:
    run = parcels.mission()
    paused = {"reason": "paused by a person", "detail": "Lunch", "by": "sam"}
    parcels.append(run, Kind.PAUSED, paused, path="control#1/end")
    Mission.objects.filter(pk=run.pk).update(state=State.PAUSED, reason="paused by a person")
    head = get(olivia, page_of(run)).split("mission-header-")[1].split("</section>")[0]
    assert "sam: Lunch." in head and "Resume it to let it go on." in head and "Paused: <" not in head


# -- Timelines ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def rolled_back() -> Mission:
    """Went back from entry 4 to entry 2, and packed anew."""
    run = parcels.mission()
    parcels.append(run, Kind.STEP, PACKED, path="pack#1")
    parcels.append(run, Kind.STEP, {**PACKED, "title": "Count the parcels"}, path="weigh#1")
    parcels.append(run, Kind.CONTROL, {"verb": "rollback", "by": "olivia", "reason": "Typo"}, path="control#1/taken")
    told = {"number": 2, "parent": 1, "to_seq": 2, "verb": "rollback", "guidance": "Weigh it twice"}
    parcels.append(run, Kind.TIMELINE, told, path="control#1/end", timeline=2)
    parcels.append(run, Kind.STEP, {**PACKED, "title": "Close the parcel"}, path="close#1", timeline=2)
    Timeline.objects.create(
        mission_id=run.pk, number=2, parent=1, to_seq=2, opened_seq=5, kept=[Range(1, 3), Range(5, None)],
        seed=run.uid, verb="rollback", reason="Typo", guidance="Weigh it twice", opened_by="olivia",
    )  # fmt: skip
    run.timeline = 2
    run.save()
    return run


def test_timelines_tell_who_why_and_what_was_said(audrey: User, rolled_back: Mission) -> None:
    html = get(audrey, page_of(rolled_back)).split(f'id="timelines-{rolled_back.uid}"')[1].split("</section>")[0]
    told = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))
    newest, oldest = told.split("Timeline 2")[1].split("Timeline 1")
    assert "Current" in newest and "Rolled back by olivia, keeping entries up to 2" in newest
    assert "Why: Typo" in newest and "Guidance: Weigh it twice" in newest and "5 to 6" in newest
    assert "Left behind" in oldest


@pytest.mark.django_db(transaction=True)  # the rail shows what is committed
@pytest.mark.parametrize("view", ["narrative", "log"])
def test_what_was_left_behind_says_so_in_words_and_is_no_checkpoint(
    olivia: User, rolled_back: Mission, view: str
) -> None:
    html = get(olivia, f"{page_of(rolled_back)}?view={view}")
    rows = re.findall(r'<(?:li|tr)[^>]* id="rail-.*?</(?:li|tr)>', html, re.DOTALL)
    names = ("Checked", "Counted", "Closed", "rolled")
    left = {name: "left behind" in row for name in names for row in rows if name in row}
    assert left == {"Checked": False, "Counted": True, "Closed": False, "rolled": False}
    links = re.findall(r'class="rail__back" href="[^"]*\?to=(\d+)"', html)
    assert links == ["2", "6"]


def test_a_mission_of_one_timeline_shows_no_list_of_them(olivia: User) -> None:
    assert "timelines-heading" not in get(olivia, page_of(parcels.mission()))


def test_pushed_items_carry_the_link_for_operators_only(rolled_back: Mission) -> None:
    operator = fragments.Scene.of(rolled_back, "steer")
    assert operator.roll_back and not fragments.Scene.of(rolled_back, "direct").roll_back


# -- Forks and replays -------------------------------------------------------------------------------------------------


def test_a_fork_is_started_with_effects_off_unless_told(olivia: User, rolled_back: Mission) -> None:
    client = signed_in(olivia)
    assert 'value="2"' in get(olivia, f"{page_of(rolled_back)}fork/?at=2")
    response = client.post(f"{page_of(rolled_back)}fork/", {"at": 2, "title": "What if", "effects": "off"})
    made = Mission.objects.latest("pk")
    assert (response.status_code, response["Location"]) == (303, page_of(made))
    assert (made.brief.title, made.brief.started_by, made.effects_off) == ("What if", olivia, True)
    html = client.get(page_of(made)).content.decode()
    assert "Effects are off" in html and f'href="{page_of(rolled_back)}"' in html
    client.post(f"{page_of(rolled_back)}fork/", {"at": 2, "effects": "on"})
    assert Mission.objects.latest("pk").effects_off is False


@pytest.mark.parametrize(("at", "status"), [("3", 409), ("99", 409), ("x", 422), ("", 422), ("0", 422)])
def test_a_fork_from_an_entry_that_is_not_there_starts_nothing(
    olivia: User, rolled_back: Mission, at: str, status: int
) -> None:
    response = signed_in(olivia).post(f"{page_of(rolled_back)}fork/", {"at": at, "effects": "on", "title": "Kept"})
    assert response.status_code == status and "Kept" in response.content.decode()
    assert Mission.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("apart")
def test_the_check_against_this_code_tells_what_it_found(olivia: User) -> None:
    run, client = parcels.mission(), signed_in(olivia)
    parcels.append(run, Kind.STEP, PACKED, path="pack#1")  # which the code of test.parcel never does
    html = client.post(f"{page_of(run)}replay/").content.decode()
    assert "something else than the mission recorded" in html and "pack#1" in html
    Mission.objects.filter(pk=run.pk).update(type="test.gone")
    assert "has no code for it" in client.post(f"{page_of(run)}replay/").content.decode()
    assert client.get(f"{page_of(run)}replay/").status_code == 302


# -- Many at once ------------------------------------------------------------------------------------------------------


def bulk(user: User, **fields: Any) -> Any:
    return signed_in(user).post("/missions/bulk/", {"verb": "pause", "scope": "selected", **fields})


def test_the_ticked_are_steered_and_the_refused_say_why(olivia: User) -> None:
    waiting, ended, other = in_state(State.WAITING), parcels.complete(parcels.mission()), in_state(State.WAITING)
    response = bulk(olivia, mission=[str(waiting.uid), str(ended.uid), "nonsense"], reason="Outage", once="o")
    html = response.content.decode()
    assert "Asked of 1 of 2 missions." in html and "The mission is completed: pause does not apply." in html
    assert asked(waiting)[0]["reason"] == "Outage" and asked(other) == []
    bulk(olivia, mission=[str(waiting.uid)], once="o")
    bulk(olivia, verb="stop", mission=[str(waiting.uid)], once="o")
    assert [one["verb"] for one in asked(waiting)] == ["pause", "stop"]


def test_all_that_fit_are_counted_before_and_asked_after(olivia: User) -> None:
    fitting = [in_state(State.WAITING) for _ in range(3)]
    other = in_state(State.SLEEPING)
    wanted = {"scope": "all", "state": "waiting", "after": str(fitting[0].uid)}
    html = bulk(olivia, **wanted).content.decode()
    assert "Pause 3 missions?" in html and not any(map(asked, fitting))
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html.split("bulk-heading")[2]))
    assert "Asked of 3 of 3 missions." in signed_in(olivia).post("/missions/bulk/", sent).content.decode()
    assert all(map(asked, fitting)) and asked(other) == []


def test_cancelling_many_is_asked_about_once_more(olivia: User) -> None:
    run = in_state(State.WAITING)
    html = bulk(olivia, verb="cancel", compensate="on", mission=[str(run.uid)]).content.decode()
    assert "Cancel 1 mission?" in html and "undone first" in html and asked(run) == []
    bulk(olivia, verb="cancel", compensate="on", mission=[str(run.uid)], confirmed="on")
    assert asked(run)[0]["compensate"] is True


@pytest.mark.parametrize(
    ("fields", "words_"),
    [({}, "No mission was ticked."), ({"scope": "all"}, "Filter the list first"), ({"verb": "rollback"}, "rollback"),
     ({"reason": "x" * 2001}, "2000")],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused(olivia: User, fields: dict[str, str], words_: str) -> None:
    run = in_state(State.WAITING)
    response = bulk(olivia, **({"mission": [str(run.uid)]} if fields.keys() & {"verb", "reason"} else {}), **fields)
    assert response.status_code == 422 and words_ in response.content.decode()
    assert asked(run) == []


def test_only_operators_see_the_bar_and_may_use_it(olivia: User, sam: User) -> None:
    run = in_state(State.WAITING)
    assert "bulk-form" in get(olivia, "/missions/") and "bulk-form" not in get(sam, "/missions/")
    assert bulk(sam, mission=[str(run.uid)]).status_code == 403 and asked(run) == []
    assert signed_in(sam).get("/missions/bulk/").status_code == 302


# -- Decisions that the engine asks ------------------------------------------------------------------------------------

SETS: list[tuple[str, tuple[Choice, ...]]] = [
    (DecisionKind.DIVERGENCE, programs.DIVERGED), (DecisionKind.ROLLBACK, undo.CHOICES),
    (DecisionKind.STANDING, standing.CHOICES), (DecisionKind.QUESTION, programs.LATE),
]


@pytest.mark.parametrize(("kind", "choices"), SETS)
def test_the_engines_questions_tell_what_each_choice_does(
    olivia: User, kind: str, choices: tuple[Choice, ...]
) -> None:
    operators = {**decisions.SUPERVISORS, "group": "operators"}
    why = "entry 4 records step at 'pack#1',\nbut the code asks for 'weigh#1'"
    run, details = decisions.waiting_mission(), {"why": why, "matched_seq": 3}
    intent = decisions.intent_of(run, tool="", args=details)
    decision = decisions.opened(
        run, operators, kind=kind, choices=choices, path="control#1/attend#1", facts=details, intent=intent
    )
    html = get(olivia, f"/queue/{decision.pk}/")
    for choice in choices:
        assert words.DOES[kind, choice.value] in html
    label = words.LABELS.get((kind, "why"), "Why")
    assert f"<dt>{label}" in html and html.count("but the code asks for") == 1
    assert words.HEADINGS[kind] in html and "Record this answer" in html and "but the code asks for" in html
    assert "Can be undone" not in html  # each choice says what it does
    assert "data-reject" not in html and "roll-back" not in html


def test_every_kind_has_a_sign() -> None:
    assert set(words.KINDS) == set(DecisionKind.values)


def test_a_decision_leads_to_before_it_was_asked(olivia: User, sam: User) -> None:
    run = rail.running()
    parcels.append(run, Kind.STEP, PACKED, path="pack#1")
    decision = rail.asking(run)
    asked_at = parcels.Entry.objects.get(mission_id=run.pk, kind="asked").seq
    assert f"{page_of(run)}roll-back/?to={asked_at - 1}" in get(olivia, f"/queue/{decision.pk}/")
    assert "roll-back" not in get(sam, f"/queue/{decision.pk}/")


def test_what_is_asked_shows_until_it_is_done(olivia: User) -> None:
    run = in_state(State.WAITING)
    ask(run.pk, "stop", by="sam")
    assert "Stop asked for by sam" in get(olivia, page_of(run))
    Mission.objects.filter(pk=run.pk).update(control_done=1)
    assert "asked for by" not in get(olivia, page_of(run))
