"""The pages of notifications and webhooks, and the button that follows a mission."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect
from pytest_django import Settings

from approvals.models import Delivery, DeliveryState, EventKind, Follower, NotificationChoice, Webhook
from approvals.outbound import choices, leasing, webhooks
from approvals.outbound.choices import When
from config import mail
from missions.models import Listener
from tests import parcels
from tests.web.conftest import Visit
from tests.web.test_external_callbacks import given_up
from tests.web.test_webhooks_api import failing
from tests.web.visits import get, page_of, signed_in

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
TIMES = {
    "time_zone": "Europe/Berlin", "digest_every": "hour", "digest_at": "07:30", "quiet_from": "22:00",
    "quiet_until": "07:00",
}  # fmt: skip
FORM = {"name": "ops", "url": "https://8.8.8.8/in", "format": "standard", "events": ["*"], "active": "on"}


@pytest.fixture
def hook(olivia: User) -> Webhook:
    return webhooks.add(owner=olivia, name="ops", url="https://8.8.8.8/in", events=["worker.down"])[0]


@pytest.mark.django_db
def test_a_person_chooses_by_event_and_when(sam: User) -> None:
    html = get(sam, "/me/notifications/")
    assert html.count('type="radio"') == 3 * len(EventKind) and html.count(" checked") == len(EventKind)
    assert "No e-mail leaves this installation." in html
    client = signed_in(sam)
    sent = {**TIMES, "event-decision.opened": "digest", "event-mission.completed": "off"}
    response = client.post("/me/notifications/", sent)
    assert (response.status_code, response["Location"]) == (303, "/me/notifications/")
    kept = NotificationChoice.objects.get(user=sam)
    assert kept.events == {EventKind.OPENED: When.DIGEST, EventKind.COMPLETED: When.OFF}
    assert (kept.time_zone, kept.digest_every, f"{kept.quiet_from:%H:%M}") == ("Europe/Berlin", "hour", "22:00")
    again = get(sam, "/me/notifications/")
    assert re.search(r'name="event-decision.opened" value="digest" checked', again)
    assert choices.wanted(kept, EventKind.FAILED) == When.NOW  # what was not sent along stays


@pytest.mark.django_db
def test_choices_that_can_not_be_kept_stay_on_the_page_with_422(sam: User) -> None:
    sent = {**TIMES, "quiet_until": "", "time_zone": "Mars/Olympus", "event-worker.down": "off"}
    response = signed_in(sam).post("/me/notifications/", sent)
    html = response.content.decode()
    assert response.status_code == 422 and not NotificationChoice.objects.exists()
    assert "Nothing was kept." in html and 'id="id_time_zone_error"' in html
    assert re.search(r'name="event-worker.down" value="off" checked', html)
    both = signed_in(sam).post("/me/notifications/", {**TIMES, "quiet_until": ""}).content.decode()
    assert "Give both ends of the quiet hours, or none." in both and 'aria-describedby="id_quiet_until_error"' in both
    odd = signed_in(sam).post("/me/notifications/", {**TIMES, "event-worker.down": "often"})
    assert odd.status_code == 422


@pytest.mark.django_db
def test_a_webhook_is_made_and_its_secret_is_shown_once(olivia: User) -> None:
    client = signed_in(olivia)
    made = client.post("/webhooks/new/", FORM)
    hook = Webhook.objects.get()
    assert made.status_code == 201 and "whsec_" in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    for path in ("/webhooks/", f"/webhooks/{hook.pk}/"):
        assert "whsec_" not in client.get(path).content.decode()
    wrong = client.post("/webhooks/new/", {**FORM, "url": "http://127.0.0.1/", "name": "No Name"})
    html = wrong.content.decode()
    assert wrong.status_code == 422 and Webhook.objects.count() == 1
    assert "a loopback address" in html and 'value="http://127.0.0.1/"' in html
    none = client.post("/webhooks/new/", {**FORM, "name": "other", "events": []})
    assert none.status_code == 422 and 'id="id_events_error"' in none.content.decode()


@pytest.mark.django_db
def test_deliveries_are_shown_with_their_tries_and_delivered_again(olivia: User, hook: Webhook) -> None:
    failing(1)
    html = get(olivia, f"/webhooks/{hook.pk}/")
    assert "worker.down" in html and "Failed" in html and "Answered 410." in html and "3 ms" in html
    assert "1 failed" in get(olivia, "/webhooks/")
    path = f"/webhooks/{hook.pk}/deliveries/{Delivery.objects.get().pk}/again/"
    assert signed_in(olivia).post(path).status_code == 303
    assert Delivery.objects.get().state == DeliveryState.WAITING
    leasing.take()
    assert "It is being sent right now." in signed_in(olivia).post(path, follow=True).content.decode()


@pytest.mark.django_db
def test_a_webhook_is_changed_and_dropped(olivia: User, hook: Webhook) -> None:
    client = signed_in(olivia)
    changed = {name: value for name, value in FORM.items() if name != "active"}
    assert client.post(f"/webhooks/{hook.pk}/", changed).status_code == 303
    hook.refresh_from_db()
    assert (hook.active, hook.events) == (False, ["*"])
    assert client.post(f"/webhooks/{hook.pk}/drop/").status_code == 303
    assert not Webhook.objects.exists() and client.get(f"/webhooks/{hook.pk}/").status_code == 404


@pytest.mark.django_db
def test_to_all_but_operators_and_administrators_the_pages_are_not_there(
    sam: User, audrey: User, outsider: User, hook: Webhook
) -> None:
    failing(1)
    again = f"/webhooks/{hook.pk}/deliveries/{Delivery.objects.get().pk}/again/"
    for user in (sam, audrey, outsider):
        client = signed_in(user)
        for path in ("/webhooks/", "/webhooks/new/", f"/webhooks/{hook.pk}/"):
            assert client.get(path).status_code == 404
            assert 'href="/webhooks/"' not in client.get("/queue/").content.decode()
        for path in ("/webhooks/new/", f"/webhooks/{hook.pk}/", f"/webhooks/{hook.pk}/drop/", again):
            assert client.post(path, FORM).status_code == 404
    assert Client().get("/webhooks/").status_code == 302 and Client().post(again).status_code == 302
    assert Webhook.objects.count() == 1


@pytest.mark.django_db
def test_a_mission_is_followed_from_its_page(olivia: User, sam: User, outsider: User) -> None:
    mission = parcels.mission(sam)
    client, path = signed_in(olivia), f"/missions/{mission.uid}/follow/"
    assert ">Unfollow<" not in get(olivia, page_of(mission))
    assert client.post(path, {"verb": "follow"}).status_code == 303
    assert ">Unfollow<" in get(olivia, page_of(mission)) and Follower.objects.get().user == olivia
    assert Listener.objects.filter(pk=f"mission:{mission.pk}").exists()
    client.post(path, {"verb": "unfollow"})
    assert not Follower.objects.exists()
    assert signed_in(outsider).post(path).status_code == 404
    assert "You started it, so you are told how it ends." in get(sam, page_of(mission))


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_no_page_breaks_an_accessibility_rule_or_needs_sideways_scrolling(
    visit: Visit, olivia: User, sam: User, hook: Webhook, scheme: str, width: int
) -> None:
    failing(2)
    webhooks.change(hook, url="https://8.8.8.8/a-very-long-address/" + "x" * 100)
    mission, asked = parcels.mission(sam), given_up(sam, by=olivia)
    pages = ("/me/notifications/", "/webhooks/", "/webhooks/new/", f"/webhooks/{hook.pk}/", page_of(mission))
    page = visit(olivia, "", color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in (*pages, f"/queue/{asked}/"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        found = Axe().run(page, options={"runOnly": list(RULES), "resultTypes": ["violations"]})
        told = [(one["id"], node["html"][:160]) for one in found.response["violations"] for node in one["nodes"]]
        assert told == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        small = page.evaluate("""() => [...document.querySelectorAll(
                'main button, main select, main input, main summary')]
            .filter(one => one.checkVisibility() && one.type !== 'hidden' && !one.closest('.field--check'))
            .filter(one => { const box = (one.closest('label') || one).getBoundingClientRect();
                             return box.width < 24 || box.height < 24 })
            .map(one => one.outerHTML.slice(0, 120))""")
        assert small == [], path


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_choices_are_made_by_keyboard_and_without_scripts(visit: Visit, sam: User, settings: Settings) -> None:
    settings.EMAIL = mail.parse("console:")
    page = visit(sam, "/me/notifications/", java_script_enabled=False)
    first = page.get_by_label("A decision waits for me: At once")
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("A decision waits for me: In the digest")).to_be_checked()
    page.get_by_label("The digest goes out").select_option("hour")
    page.get_by_role("button", name="Keep").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your choices are kept.")).to_be_visible()
    kept = NotificationChoice.objects.get(user=sam)
    assert (kept.events[EventKind.OPENED], kept.digest_every) == (When.DIGEST, "hour")
