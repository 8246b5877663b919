"""The console for everyone: by keyboard, without scripts, on narrow screens, with assistive technology, in the dark."""

from __future__ import annotations

import datetime as dt

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from missions.models import Mission
from tests import parcels, rail
from tests.web.conftest import Visit
from tests.web.visits import page_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
START = "/missions/start/test.parcel/"


@pytest.fixture
def missions(olivia: User, sam: User, fiona: User) -> list[Mission]:
    """One of each state that the pages draw differently."""
    done, waiting, failed = rail.approved_story(olivia, sam, fiona), rail.running(olivia), parcels.mission(olivia)
    parcels.effect(done)
    parcels.complete(done)
    rail.asking(waiting)
    parcels.fail(failed)
    parcels.park(parcels.mission(olivia, title="Asleep"), "timer")
    return [done, waiting, failed]


def pages_of(missions: list[Mission]) -> list[str]:
    done, waiting, failed = (page_of(mission) for mission in missions)
    return ["/missions/", done, f"{done}?view=log", waiting, failed, "/missions/start/", START, "/missions/?q=none"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_no_page_breaks_an_accessibility_rule(
    visit: Visit, missions: list[Mission], olivia: User, scheme: str, width: int
) -> None:
    found = []
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    page, stranger = visit(olivia, "", **options), visit(None, "", **options)
    for path in [*pages_of(missions), "/login/"]:
        page = stranger if path == "/login/" else page
        page.goto(path)
        page.wait_for_load_state("networkidle")
        results = Axe().run(page, options={"runOnly": list(RULES), "resultTypes": ["violations"]})
        found += [
            f"{path}: {broken['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for broken in results.response["violations"]
            for node in broken["nodes"]
        ]
    assert found == []


def test_a_refused_form_breaks_no_accessibility_rule(visit: Visit, olivia: User) -> None:
    page = visit(olivia, START)
    page.get_by_label("Weight").fill("heavy")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was started.")
    page.wait_for_load_state()  # with its style sheets
    assert Axe().run(page, options={"runOnly": list(RULES), "resultTypes": ["violations"]}).response["violations"] == []
    visit.complaints.clear()  # type: ignore[attr-defined]  # the browser notes the answer 422


def test_nothing_needs_sideways_scrolling_at_320_pixels(visit: Visit, missions: list[Mission], olivia: User) -> None:
    page = visit(olivia, "", viewport={"width": 320, "height": 640})
    for path in pages_of(missions):
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, f"{path} is {width} pixels wide"


def test_what_can_be_pressed_is_large_enough(visit: Visit, missions: list[Mission], olivia: User) -> None:
    page = visit(olivia, "")
    for path in pages_of(missions):
        page.goto(path)
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, select, input, summary, nav a, a.button')]
                .filter(one => one.checkVisibility() && one.type !== 'hidden')
                .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
                .filter(([, box]) => Math.round(box.height) < 20 || Math.round(box.width) < 20)
                .map(([html]) => html)"""
        )
        assert small == [], path


def focused(page: Page) -> str:
    """What has the focus, in words; and that one can see that it has."""
    name, seen = page.evaluate(
        """() => {
            const one = document.activeElement, style = getComputedStyle(one);
            const name = one.labels?.[0]?.textContent ?? one.textContent;
            return [(name ?? '').trim().replace(/\\s+/g, ' '), style.outlineStyle !== 'none'];
        }"""
    )
    assert seen, f"the focus on {name!r} can not be seen"
    return str(name)


def test_a_mission_is_found_and_opened_by_keyboard_alone(visit: Visit, olivia: User) -> None:
    mission = parcels.mission(olivia, title="For the museum")
    page = visit(olivia, "/missions/")
    order = []
    for _ in range(12):
        page.keyboard.press("Tab")
        order.append(focused(page))
    sections = ["Queue 0 waiting for you", "Missions", "Schedules", "Tools", "Agents", "Policies"]
    header = ["Skip to content", "Standfast", *sections, "olivia"]
    assert order == [*header, "Archived", "Health", "Start a mission"]
    page.keyboard.press("Tab")
    page.keyboard.type("museum")
    expect(page).to_have_url(page.url.split("?")[0] + "?q=museum&state=&type=&agent=")
    for _ in range(6):  # state, type, agent, the button, the tick, the mission
        page.keyboard.press("Tab")
    assert focused(page) == "For the museum"
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.split('/missions')[0]}{page_of(mission)}")


def test_the_skip_link_leads_past_the_header(visit: Visit, olivia: User) -> None:
    page = visit(olivia, "/missions/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert focused(page) == "Archived"


def test_the_user_menu_opens_closes_and_signs_out_by_keyboard(visit: Visit, olivia: User) -> None:
    page = visit(olivia, "/missions/")
    menu = page.locator("details.menu")
    page.locator("details.menu summary").focus()
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    page.keyboard.press("Enter")
    order = []
    for _ in range(11):
        page.keyboard.press("Tab")
        order.append(focused(page))
    own = ["Sessions and tokens", "Notifications", "Delegations"]
    works = ["Stops", "Health", "Archive", "Budgets", "Calendars", "Webhooks", "Hooks"]
    assert order == [*own, *works, "Sign out"]
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.split('/missions')[0]}/login/")


def test_everything_but_self_update_works_without_scripts(visit: Visit, olivia: User) -> None:
    page = visit(None, "/login/", java_script_enabled=False)
    page.get_by_label("Username").fill("olivia")
    page.get_by_label("Password").fill("standfast")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Missions").click()
    page.get_by_role("link", name="Start a mission").first.click()
    page.get_by_role("link", name="Deliver a parcel").click()
    page.get_by_label("Address").fill("1 High Street")
    page.get_by_label("Weight").fill("heavy")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_label("Weight")).to_have_value("heavy")
    expect(page.get_by_label("Address")).to_have_value("1 High Street")
    page.get_by_label("Weight").fill("3")
    page.get_by_label("Title").fill("For the museum")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("For the museum")
    expect(page.locator("#rail")).to_contain_text("olivia started “For the museum” from the console.")
    page.get_by_role("link", name="Log").click()
    page.locator("#rail summary").first.click()
    expect(page.locator("#rail pre").first).to_contain_text('"address": "1 High Street"')
    page.get_by_label("Breadcrumb").get_by_role("link", name="Missions").click()
    page.get_by_label("Title contains").fill("nothing like it")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#mission-results")).to_contain_text("No mission fits.")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    visit.complaints.clear()  # type: ignore[attr-defined]  # the browser notes the answer 422


def test_times_are_shown_in_the_viewers_zone_and_kept_current(visit: Visit, olivia: User) -> None:
    mission = parcels.mission(olivia)
    started = mission.brief.started_at
    page = visit(olivia, page_of(mission), timezone_id="Pacific/Auckland")
    time = page.locator(f"#mission-header-{mission.uid} time").first
    expect(time).to_have_attribute("datetime", started.isoformat())
    shown = page.evaluate(
        """at => new Intl.DateTimeFormat('en-GB', {day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit',
            timeZone: 'Pacific/Auckland'}).format(new Date(at))""",
        started.isoformat(),
    )
    expect(time.locator("[data-absolute]")).to_have_text(shown)
    page.clock.install(time=started - dt.timedelta(minutes=5))
    page.clock.pause_at(started + dt.timedelta(seconds=1))
    page.reload()
    expect(time.locator("[data-relative]")).to_have_text("just now")
    page.clock.fast_forward("05:00")
    expect(time.locator("[data-relative]")).to_have_text("5 min ago")


def test_motion_is_left_out_for_those_who_ask(visit: Visit, olivia: User) -> None:
    page = visit(olivia, "/missions/", reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.button')).transitionDuration") in ("0s", "1e-05s")
