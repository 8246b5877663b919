"""What a person sees where things change while they read: nothing that they typed is lost, and no vote slips through.

Each change is made by who makes it in earnest: another person over the API or on a page of their own, a worker, the
clock, an administrator, a server that goes away.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from approvals.models import Decision, Vote
from missions.testing.clock import Clock
from tests import live_worker, shop
from tests.conftest import Person
from tests.web.conftest import Visit, WebServer
from tests.web.edges import DRAFT, expect_refusal, look, vote_by_api

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def simon(person: Person) -> User:
    """Another supervisor."""
    return person("simon", "supervisors")


def reading(visit: Visit, reader: User, decision: Decision, **options: Any) -> Page:
    """The page of a decision whose reader has begun to type."""
    page = visit(reader, reverse("decision", args=[decision.pk]), **options)
    page.wait_for_load_state("networkidle" if options.get("java_script_enabled", True) else "load")
    page.fill("#vote-comment", DRAFT)
    return page


def offers_no_vote(page: Page) -> None:
    for button in ("[data-approve]", "[data-changes]", "[data-reject]"):
        expect(page.locator(button)).to_be_disabled()
    assert page.input_value("#vote-comment") == DRAFT


def keeps_draft(page: Page) -> None:
    """The answer to what was sent: no form any more, and what was typed for copying."""
    assert page.locator("#vote-form").count() == 0
    assert page.input_value("#draft-comment") == DRAFT


def main(page: Page) -> Any:
    return expect(page.locator("main"))


def test_already_decided(visit: Visit, sam: User, simon: User, olivia: User) -> None:
    shop.policy()
    decision = shop.asks(olivia)
    page = reading(visit, sam, decision)
    plain = reading(visit, sam, decision, java_script_enabled=False)
    vote_by_api(decision, simon, comment="I was there.")
    main(page).to_contain_text("Approved by simon")
    expect(page.locator("[data-hint]")).to_contain_text("It was settled meanwhile")
    offers_no_vote(page)
    look(page, "already-decided")
    plain.click("[data-reject]")
    main(plain).to_contain_text("This decision is settled already")
    main(plain).to_contain_text("Approved by simon")
    keeps_draft(plain)
    look(plain, "already-decided-when-sent", scripts=False)
    expect_refusal(visit, 409)
    assert [vote.voter for vote in Vote.objects.all()] == [simon]


def test_expired_while_reading(visit: Visit, sam: User, olivia: User, clock: Clock) -> None:
    shop.policy(sla="1h", expires="2h", on_expiry="reject")
    decision = shop.asks(olivia)
    page = reading(visit, sam, decision)
    later = reading(visit, sam, decision)
    clock.advance(hours=3)
    page.click("[data-approve]")
    main(page).to_contain_text("This decision is settled already: expired. Nothing was recorded.")
    keeps_draft(page)
    look(page, "expired-when-sent")
    main(later).to_contain_text("Expired")
    offers_no_vote(later)
    look(later, "expired-while-reading")
    expect_refusal(visit, 409)
    assert not Vote.objects.exists()


def test_superseded(visit: Visit, sam: User, simon: User, olivia: User, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.policy(evidence=True)
    mission = shop.begun(olivia)
    with live_worker.worker():
        first = shop.asked(mission)
        page = reading(visit, sam, first)
        monkeypatch.setitem(shop.orders, "ORD-1001", "50.00")  # somebody refunds most of it elsewhere
        page_of_simon = visit(simon, reverse("decision", args=[first.pk]))
        page_of_simon.click("[data-evidence] summary")
        page_of_simon.click("[data-approve]")
        live_worker.wait_until(mission, lambda now: now.decisions.filter(state="open").exclude(pk=first.pk).exists())
    main(page).to_contain_text("Superseded")
    offers_no_vote(page)
    look(page, "superseded")
    main(page).to_contain_text("refundable was 1500.00, is 50.00")
    main(page).to_contain_text("The approval by simon counts no more.")
    page.click("text=See what is asked now")
    page.wait_for_url(f"**{reverse('decision', args=[mission.decisions.get(state='open').pk])}")
    main(page).to_contain_text("It takes the place of what was asked before")
    expect(page.locator("#replaced")).to_contain_text("but what it rests on has changed")
    expect(page.locator("#replaced ins")).to_contain_text("50.00")
    expect(page.locator("[data-approve]")).to_be_visible()
    look(page, "superseding")


def test_claim_taken_over(visit: Visit, sam: User, simon: User, olivia: User) -> None:
    shop.policy()
    decision = shop.asks(olivia)
    page = visit(sam, reverse("decision", args=[decision.pk]))
    page.click("text=Claim for 15 minutes")
    main(page).to_contain_text("You have it for 15 minutes; others see that.")
    page.fill("#vote-comment", DRAFT)
    other = visit(simon, reverse("decision", args=[decision.pk]))
    main(other).to_contain_text("sam is on it too; the first answer counts.")
    other.click("text=Take over from sam")
    main(other).to_contain_text("You took it over from sam.")
    expect(page.locator("[data-hint]")).to_contain_text("simon has claimed it now; the first answer counts.")
    expect(page.locator("#claim-button")).to_have_text("Take over from simon")
    expect(page.locator("#status")).to_contain_text("simon has claimed it now")
    assert page.input_value("#vote-comment") == DRAFT
    look(page, "claim-taken-over")
    page.click("[data-approve]")  # a claim tells others, and stops nobody
    main(page).to_contain_text("Approved:")
    assert Vote.objects.get().comment == DRAFT


def test_permission_lost(visit: Visit, sam: User, simon: User, olivia: User, audrey: User) -> None:
    shop.policy()
    decision = shop.asks(olivia)
    page = reading(visit, sam, decision)
    first, second = (reading(visit, sam, decision, java_script_enabled=False) for _ in range(2))
    sam.groups.set(audrey.groups.all())
    first.click("[data-approve]")
    main(first).to_contain_text("This waits for the group supervisors, and you are not in it.")
    main(first).to_contain_text("Nothing was recorded. What you typed is kept below.")
    keeps_draft(first)
    look(first, "permission-lost-when-sent", scripts=False)
    sam.groups.clear()
    second.click("[data-approve]")
    main(second).to_contain_text("There is nothing at this address.")
    keeps_draft(second)
    look(second, "permission-lost-altogether", scripts=False)
    other = visit(simon, reverse("decision", args=[decision.pk]))
    other.fill("#remark-text", "Wait for me.")
    other.click("text=Comment >> nth=-1")  # which brings the pages of all readers up to date
    expect(page.locator("[data-hint]")).to_contain_text("You may not see this any more.")
    main(page).not_to_contain_text("Wait for me.")
    offers_no_vote(page)
    look(page, "permission-lost-while-reading")
    expect_refusal(visit, 403, 404)
    assert not Vote.objects.exists()


def test_socket_down(visit: Visit, own_server: WebServer, sam: User, simon: User, olivia: User) -> None:
    shop.policy()
    decision = shop.asks(olivia)
    page = reading(visit, sam, decision, base=own_server.url)
    page.evaluate("htmx.config.wsReconnectDelay = () => 1500")  # by itself it tries more and more seldom
    own_server.kill()
    expect(page.locator("#live-state")).to_be_visible()
    expect(page.locator("#live-state")).to_contain_text("Live paused since")
    look(page, "socket-down")
    vote_by_api(decision, simon, verdict="reject", comment="Not this one.")
    assert page.input_value("#vote-comment") == DRAFT
    own_server.start()
    main(page).to_contain_text("Rejected by simon", timeout=30_000)
    expect(page.locator("#live-state")).to_be_hidden()
    offers_no_vote(page)
    page.close()  # before its server goes
    expect_refusal(visit, "WebSocket connection", "[object Event]")  # while nobody answered; htmx tells both
