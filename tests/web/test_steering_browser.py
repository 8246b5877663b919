"""Steering in a real browser: live updates, ticks that stay, by keyboard, without scripts, narrow, light and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from psycopg.types.range import Range

from approvals.models import Decision
from missions.control import programs
from missions.engine import feed
from missions.engine.controls import request as ask
from missions.models import EffectState, Kind, Mission, State, Timeline
from tests import decisions, parcels, rail
from tests.web.conftest import Visit
from tests.web.test_console_browser import RULES, focused
from tests.web.visits import page_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def step(run: Mission, title: str, path: str, timeline: int = 1) -> None:
    parcels.append(run, Kind.STEP, {"name": path, "title": title, "result": 1}, path=f"{path}#1", timeline=timeline)


def busy(by: User) -> Mission:
    """A parked mission with effects of every fate, and one decision under way."""
    run = rail.running(by, title="Send the parcels of order ORD-1001 to the museum")
    step(run, "Check the address", "check")
    for state in (EffectState.DONE, EffectState.UNDONE, EffectState.IN_DOUBT):
        parcels.effect(run, state, compensate="demo.get_back")
    parcels.effect(run, compensate="", effect_class="irreversible")
    rail.asking(run)
    return run


def rolled_back(by: User) -> Mission:
    """A paused mission on its second timeline."""
    run = parcels.mission(by, title="Went back once")
    step(run, "Check the address", "check")
    step(run, "Choose the van", "choose")
    go_back(run)
    step(run, "Choose the bicycle", "choose", timeline=2)
    paused = {"reason": "paused by a person", "detail": "Waiting for the weather", "by": "sam"}
    parcels.append(run, Kind.PAUSED, paused, path="control#2/end", timeline=2)
    Mission.objects.filter(pk=run.pk).update(timeline=2, state=State.PAUSED, reason="paused by a person")
    return run


def go_back(run: Mission) -> None:
    """From its newest entry to the second one."""
    parcels.append(run, Kind.CONTROL, {"verb": "rollback", "by": "olivia", "reason": "No vans"}, path="control#1/taken")
    told = {"number": 2, "parent": 1, "to_seq": 2, "verb": "rollback", "guidance": "Take a bicycle"}
    parcels.append(run, Kind.TIMELINE, told, path="control#1/end", timeline=2)
    Timeline.objects.create(
        mission_id=run.pk, number=2, parent=1, to_seq=2, opened_seq=run.head_seq, seed=run.uid, verb="rollback",
        kept=[Range(1, 3), Range(run.head_seq, None)], reason="No vans", guidance="Take a bicycle", opened_by="olivia",
    )  # fmt: skip


def diverged(by: User) -> Decision:
    """What is asked of operators where the code does something else than was recorded."""
    why = "entry 4 records step at 'pack#1', but the code asks for 'weigh#1'"
    operators = {**decisions.SUPERVISORS, "group": "operators"}
    run, details = decisions.waiting_mission(by), {"why": why, "matched_seq": 3}
    return decisions.opened(
        run, operators, kind="divergence", choices=programs.DIVERGED, path="control#1/attend#1", facts=details,
        intent=decisions.intent_of(run, tool="", args=details),
        sentence="The code no longer does what this mission recorded. How does it go on?",
    )  # fmt: skip


def pages(olivia: User, sam: User) -> list[str]:
    """Every page that steers, in the states that it draws differently."""
    run, back, failed = busy(sam), rolled_back(sam), parcels.fail(parcels.mission(sam))
    ask(run.pk, "pause", by="sam")
    return [
        page_of(run), page_of(back), f"{page_of(back)}?view=log", f"{page_of(back)}roll-back/?to=3",
        f"{page_of(run)}roll-back/?to={run.head_seq}", f"{page_of(run)}cancel/", f"{page_of(failed)}pause/",
        f"{page_of(run)}fork/", "/missions/?state=waiting", f"/queue/{diverged(sam).pk}/",
    ]  # fmt: skip


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_no_page_that_steers_breaks_an_accessibility_rule_or_is_too_wide(
    visit: Visit, olivia: User, sam: User, scheme: str, width: int
) -> None:
    found = []
    page = visit(olivia, "", color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in pages(olivia, sam):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        results = Axe().run(page, options={"runOnly": list(RULES), "resultTypes": ["violations"]})
        found += [
            f"{path}: {broken['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for broken in results.response["violations"]
            for node in broken["nodes"]
        ]
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{path} is {wide} pixels wide"] if wide > width else []
    visit.complaints.clear()  # type: ignore[attr-defined]  # the browser notes the answer 409
    assert found == []


def test_a_mission_is_rolled_back_by_keyboard_alone(visit: Visit, olivia: User, sam: User) -> None:
    run = busy(sam)
    page = visit(olivia, page_of(run))
    link = page.locator("#rail").get_by_role("link", name="Roll back to here").first
    link.focus()
    assert "Roll back to here" in focused(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Roll back to entry 2")
    page.get_by_label("Reason").focus()
    page.keyboard.type("Wrong address")
    page.keyboard.press("Tab")
    assert focused(page).startswith("Guidance")
    page.keyboard.type("Number 7")
    page.keyboard.press("Tab")
    assert "can not be undone" in focused(page)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.split('/missions')[0]}{page_of(run)}")
    expect(page.get_by_text("Rolling back asked for by olivia; not done yet")).to_be_visible()


def test_controls_and_the_bar_work_without_scripts(visit: Visit, olivia: User, sam: User) -> None:
    run = parcels.park(parcels.mission(sam, title="For the school"), "timer")
    page = visit(olivia, page_of(run), java_script_enabled=False)
    page.get_by_label("Reason").fill("Lunch")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Pause asked for by olivia; not done yet")).to_be_visible()
    page.goto("/missions/")
    page.get_by_label("Select For the school").check()
    page.get_by_label("Do", exact=True).select_option("stop")
    page.get_by_role("button", name="Steer the selected").click()
    expect(page.get_by_text("Asked of 1 of 1 mission.")).to_be_visible()


def test_enter_in_the_reason_presses_nothing(visit: Visit, olivia: User, sam: User) -> None:
    run = parcels.park(parcels.mission(sam), "timer")
    page = visit(olivia, page_of(run))
    page.get_by_label("Reason").fill("Lunch")
    page.keyboard.press("Enter")
    page.goto("/missions/?state=sleeping")
    page.get_by_label("Reason").fill("Lunch")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.split('/missions')[0]}/missions/?state=sleeping")
    run.refresh_from_db()
    assert run.control_seq == 0


def test_ticks_stay_while_the_list_is_brought_up_to_date(visit: Visit, olivia: User) -> None:
    parcels.mission(olivia, title="Ticked")
    page: Page = visit(olivia, "/missions/")
    page.get_by_label("Select Ticked").check()
    expect(page.locator("#status")).to_have_text("1 mission selected")
    parcels.mission(olivia, title="Came later")
    expect(page.get_by_label("Select Came later")).to_be_visible()
    expect(page.get_by_label("Select Ticked")).to_be_checked()
    expect(page.get_by_label("Select Came later")).not_to_be_checked()


def test_controls_and_what_was_left_behind_follow_the_mission(visit: Visit, olivia: User, sam: User) -> None:
    run = rail.running(sam)
    step(run, "Check the address", "check")
    step(run, "Choose the van", "choose")
    page = visit(olivia, page_of(run))
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator("#follow")).to_be_visible()  # the socket is open
    ask(run.pk, "pause", by="sam")
    expect(page.get_by_text("Pause asked for by sam; not done yet")).to_be_visible()
    go_back(run)
    Mission.objects.filter(pk=run.pk).update(timeline=2, state=State.PAUSED, control_done=1)
    feed.announce(f"m{run.pk}")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    expect(page.locator(".rail__item--left")).to_have_count(1)
    expect(page.locator(".rail__item--left")).to_contain_text("left behind")
    expect(page.get_by_text("Guidance: Take a bicycle")).to_be_visible()
    step(run, "Choose the bicycle", "choose", timeline=2)
    feed.announce(f"m{run.pk}")
    expect(page.locator("#rail")).to_contain_text("Chose the bicycle")
    expect(page.locator(".rail__sentence", has_text="Chose the bicycle")).to_have_count(1)
