"""The console in a real browser on the real server: pages change by themselves, breaks lose nothing, focus stays.

A breach of the content security policy, or any other complaint of the browser, fails each of these tests (`visit`).
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect

from missions.engine import feed
from missions.models import Kind, Mission
from observability import stream
from tests import parcels, rail
from tests.web.conftest import Visit, WebServer
from tests.web.visits import page_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def tell(mission: Mission, text: str) -> None:
    """Add an observation as a worker does, hint and all."""
    parcels.append(mission, Kind.OBSERVED, {"text": text})
    feed.announce(f"m{mission.pk}")


def mark(page: Page) -> None:
    """Leave a mark that a reload would wipe out."""
    page.evaluate("window.unloaded = false; window.addEventListener('beforeunload', () => { window.unloaded = true })")
    page.evaluate("document.documentElement.dataset.mark = 'kept'")


def was_not_reloaded(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.dataset.mark === 'kept'"))


def items(page: Page) -> list[str]:
    return [str(item) for item in page.eval_on_selector_all("#rail > *", "all => all.map(one => one.id)")]


def live(page: Page) -> Page:
    """The page, once its socket is open and the server has answered over it."""
    expect(page.locator("#follow")).to_be_visible()
    return page


@pytest.mark.parametrize("view", ["narrative", "log"])
def test_the_rail_grows_and_the_head_changes_without_a_reload(visit: Visit, olivia: User, sam: User, view: str) -> None:
    mission = rail.running(olivia)
    page = live(visit(olivia, f"{page_of(mission)}?view={view}"))
    mark(page)
    tell(mission, "The van has left")
    expect(page.locator("#rail")).to_contain_text("The van has left.")
    decision = rail.asking(mission)
    feed.announce(f"m{mission.pk}")
    expect(page.locator(f"#mission-header-{mission.uid}")).to_contain_text("Waits for supervisors")
    rail.vote(decision, sam, "supervisors")
    feed.announce(f"m{mission.pk}")
    expect(page.locator("#rail")).to_contain_text("sam approved (1 of 1). Now waiting for finance.")
    expect(page.locator("#status")).to_contain_text("sam approved")
    assert items(page) == [one.cursor.dom_id for one in stream.read(mission.pk)[0]]
    assert was_not_reloaded(page)


def test_the_count_in_the_header_follows_the_queue_on_any_page(visit: Visit, olivia: User, sam: User) -> None:
    mission = rail.running(olivia)
    pages = [visit(sam, path) for path in ("/missions/", page_of(mission), "/missions/start/")]
    for page in pages:
        expect(page.locator("#nav-queue-count")).to_have_text("0 waiting for you")
    rail.asking(mission)
    for page in pages:
        expect(page.locator("#nav-queue-count")).to_have_text("1 waiting for you")


def test_the_list_shows_new_missions_and_new_states_by_itself(visit: Visit, olivia: User) -> None:
    page = visit(olivia, "/missions/")
    expect(page.locator("#mission-results")).to_contain_text("No missions yet.")
    mark(page)
    mission = rail.running(olivia, title="For the museum")
    expect(page.locator(f"#mission-row-{mission.uid}")).to_contain_text("Running")
    parcels.complete(mission)
    feed.announce(f"m{mission.pk}")
    expect(page.locator(f"#mission-row-{mission.uid}")).to_contain_text("delivered")
    assert was_not_reloaded(page)


def test_a_filter_stays_when_the_list_refreshes_itself(visit: Visit, olivia: User) -> None:
    rail.running(olivia, title="For the museum")
    page = visit(olivia, "/missions/")
    page.get_by_label("Title contains").fill("museum")
    expect(page).to_have_url(page.url.split("?")[0] + "?q=museum&state=&type=&agent=")
    rail.running(olivia, title="For the school")
    second = rail.running(olivia, title="For the museum again")
    expect(page.locator(f"#mission-row-{second.uid}")).to_be_visible()
    expect(page.locator("#mission-results")).not_to_contain_text("For the school")
    assert page.evaluate("document.activeElement.id") == "filter-q"


def test_focus_on_a_row_survives_when_the_list_changes(visit: Visit, olivia: User) -> None:
    first = rail.running(olivia, title="First")
    page = visit(olivia, "/missions/")
    link = page.get_by_role("link", name="First")
    link.focus()
    second = rail.running(olivia, title="Second")
    expect(page.locator(f"#mission-row-{second.uid}")).to_be_visible()
    expect(link).to_be_focused()
    page.get_by_label("State").select_option("running")
    link.focus()
    parcels.complete(second)
    feed.announce(f"m{second.pk}")
    expect(page.locator(f"#mission-row-{second.uid}")).to_have_count(0)
    expect(page.locator(f"#mission-link-{first.uid}")).to_be_focused()


def test_a_change_while_a_filter_is_being_applied_is_not_lost(visit: Visit, olivia: User) -> None:
    gone = rail.running(olivia, title="Gone")
    page, held = visit(olivia, "/missions/"), []
    page.wait_for_load_state("networkidle")  # the socket is open, and the list is as of then

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))  # the list of before; it comes late

    page.route("**/missions/?*state=running*", hold)
    with page.expect_response(lambda answer: answer.url.endswith("/missions/")):  # asked for under no filter
        page.get_by_label("State").select_option("running")
        while not held:
            page.wait_for_timeout(20)
        parcels.complete(gone)
        feed.announce(f"m{gone.pk}")
    held[0][0].fulfill(response=held[0][1])
    expect(page.locator(f"#mission-row-{gone.uid}")).to_have_count(0)


def test_after_a_break_the_page_says_so_and_then_gets_exactly_what_it_missed(
    visit: Visit, own_server: WebServer, olivia: User
) -> None:
    mission = rail.running(olivia)
    page = live(visit(olivia, page_of(mission), base=own_server.url))
    tell(mission, "Before the break")
    expect(page.locator("#rail")).to_contain_text("Before the break.")
    mark(page)
    page.evaluate("htmx.config.wsReconnectDelay = () => 1500")  # by itself it tries more and more seldom
    own_server.kill()
    expect(page.locator("#live-state")).to_be_visible()
    expect(page.locator("#live-state")).to_contain_text("Live paused")
    for number in range(3):
        tell(mission, f"During the break {number}")
    own_server.start()
    expect(page.locator("#rail")).to_contain_text("During the break 2.", timeout=30_000)
    expect(page.locator("#live-state")).to_be_hidden()
    tell(mission, "After the break")
    expect(page.locator("#rail")).to_contain_text("After the break.")
    assert items(page) == [one.cursor.dom_id for one in stream.read(mission.pk)[0]]
    assert was_not_reloaded(page)
    page.close()  # before its server goes
    visit.complaints.clear()  # type: ignore[attr-defined]  # the browser rightly complains of the refused connections


def test_focus_survives_a_push(visit: Visit, olivia: User) -> None:
    mission = rail.running(olivia)
    rail.asking(mission)
    page = live(visit(olivia, page_of(mission)))
    link = page.locator(f"#mission-header-{mission.uid} .wait a")
    link.focus()
    tell(mission, "Something else")
    expect(page.locator(f"#mission-header-{mission.uid}")).to_contain_text("Something else.")
    expect(link).to_be_focused()


def long_mission(by: User) -> Mission:
    mission = rail.running(by)
    for number in range(40):
        parcels.append(mission, Kind.OBSERVED, {"text": f"Observation {number}"})
    return mission


def test_the_page_follows_the_end_until_the_reader_scrolls_up(visit: Visit, olivia: User) -> None:
    mission = long_mission(olivia)
    page = live(visit(olivia, page_of(mission)))
    tell(mission, "Followed")
    expect(page.locator("#rail").get_by_text("Followed.")).to_be_in_viewport()
    page.mouse.wheel(0, -600)
    expect(page.get_by_label("Follow live")).not_to_be_checked()
    page.evaluate("window.scrollTo(0, 0)")
    tell(mission, "Not followed")
    expect(page.locator("#rail")).to_contain_text("Not followed.")
    assert page.evaluate("window.scrollY") == 0
    page.get_by_label("Follow live").check()
    expect(page.locator("#rail > :last-child")).to_be_in_viewport()


def test_an_earlier_part_of_the_rail_does_not_grow(visit: Visit, olivia: User) -> None:
    mission = long_mission(olivia)
    cursor = stream.cursor_at(mission.pk, 10)
    page = visit(olivia, f"{page_of(mission)}?before={cursor}")
    expect(page.locator("#rail > *")).to_have_count(9)
    tell(mission, "New at the end")
    expect(page.locator(f"#mission-header-{mission.uid}")).to_contain_text("New at the end.")
    expect(page.locator("#rail > *")).to_have_count(9)


def test_hostile_text_stays_text_when_it_is_pushed(visit: Visit, olivia: User) -> None:
    mission = rail.running(olivia)
    page = live(visit(olivia, page_of(mission)))
    tell(mission, '<img src=x onerror="window.hit = 1"><script>window.hit = 1</script> \u202ereversed')
    expect(page.locator("#rail")).to_contain_text("<script>window.hit = 1</script> ⟦U+202E⟧reversed")
    assert page.evaluate("window.hit === undefined")
    assert page.locator("#rail img, #rail script").count() == 0
