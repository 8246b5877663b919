"""What a person sees where there is nothing for them to do, or where what is asked is not as it should be.

Each state is reached by what really leads there: missions that a worker ran, policies in force, votes of others. The
states that come about while somebody reads are in `test_edge_states_live`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from approvals.models import Decision, Policy, Vote
from approvals.policies import versions
from tests import live_worker, shop
from tests.conftest import Person
from tests.policies import row
from tests.web.conftest import Visit
from tests.web.edges import DRAFT, expect_refusal, look
from tests.web.visits import page_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOSTILE = '<img src="https://evil.example/pixel.png" onerror="window.hit=1"><script>window.hit=1</script>'
TURNED = "\N{RIGHT-TO-LEFT OVERRIDE}00.1 fo dnufer"
MARKDOWN = "![see](https://evil.example/pixel.png) <svg onload=window.hit=1>"


def url_of(decision: Decision) -> str:
    return reverse("decision", args=[decision.pk])


def main(page: Page) -> Any:
    return expect(page.locator("main"))


def test_nothing_to_decide(visit: Visit, sam: User, olivia: User) -> None:
    shop.policy()
    decision = shop.asks(olivia)
    page = visit(sam, "/queue/")
    page.click(f"text={decision.sentence}")
    page.click("[data-approve]")
    main(page).to_contain_text(f"Approved: {decision.sentence}")
    main(page).to_contain_text("You're clear.")
    main(page).to_contain_text("What waits for others is under All open.")
    expect(page.locator("#nav-queue-count")).to_have_text("0 waiting for you")
    look(page, "nothing-to-decide")
    page.click("text=Show all open")
    main(page).to_contain_text("Nothing is open here.")


def test_not_in_any_tier(visit: Visit, sam: User, audrey: User, outsider: User) -> None:
    shop.policy()
    decision = shop.asks(outsider)
    page = visit(audrey, url_of(decision))
    main(page).to_contain_text("This waits for the group supervisors, and you are not in it.")
    main(page).to_contain_text("Can vote: sam")
    assert page.locator("[data-bar], [data-vote]").count() == 0
    expect(page.get_by_label("Your comment")).to_be_visible()  # to say something is still possible
    look(page, "not-in-any-tier")
    page = visit(outsider, "/queue/")
    main(page).to_contain_text("You are in no group that decides.")
    look(page, "not-in-any-group")
    page.click("text=Show all open")
    page.click(f"text={decision.sentence}")
    main(page).to_contain_text("You asked for this or started its mission, so someone else has to decide.")
    assert page.locator("[data-bar], [data-vote]").count() == 0


def test_quorum_unreachable(visit: Visit, sam: User, olivia: User, person: Person) -> None:
    shop.policy(quorum=2)
    simon = person("simon", "supervisors")
    decision = shop.asks(olivia)
    page = visit(sam, url_of(decision))
    main(page).to_contain_text("Can vote: sam, simon")
    assert page.locator(".tier__alarm").count() == 0
    simon.groups.clear()
    page.reload()
    expect(page.locator(".tier__alarm")).to_contain_text("Too few people can vote: 2 are needed.")
    expect(page.locator(".tier__alarm")).to_contain_text("has to add members to supervisors")
    look(page, "quorum-unreachable")
    page.check("#vote-stay")
    page.click("[data-approve]")
    main(page).to_contain_text("Your vote counts, 1 of 2")
    expect(page.locator(".tier__alarm")).to_be_visible()
    assert Decision.objects.get().is_open


def test_evidence_missing(visit: Visit, sam: User, olivia: User) -> None:
    shop.policy()
    page = visit(sam, url_of(shop.asks(olivia, looks=False)))
    main(page).to_contain_text("The mission gave no evidence with this.")
    look(page, "evidence-none")
    shop.policy(evidence=True)
    unread = shop.asks(olivia, order_id="ORD-2002")
    page = visit(sam, url_of(unread), java_script_enabled=False)
    main(page).to_contain_text("Policy wants this evidence looked at before anybody approves: Look up the order")
    page.fill("#vote-comment", DRAFT)
    page.click("[data-approve]")
    main(page).to_contain_text("Nothing was recorded.")
    assert page.input_value("#vote-comment") == DRAFT
    expect_refusal(visit, 422)
    page = visit(sam, url_of(unread))
    expect(page.locator("[data-approve]")).to_be_disabled()
    look(page, "evidence-not-looked-at")
    assert not Vote.objects.exists()
    never_read = shop.begun(olivia, looks=False)
    with live_worker.worker():
        live_worker.ended(never_read)
    page = visit(sam, page_of(never_read))
    main(page).to_contain_text("Evidence is missing: “Look up the order” was not read for this.")
    look(page, "evidence-never-read")
    assert not never_read.decisions.exists()


def test_approved_but_waiting_to_run(visit: Visit, sam: User, olivia: User) -> None:
    shop.policy()
    decision = shop.asks(olivia)
    page = visit(sam, url_of(decision))
    page.check("#vote-stay")
    page.click("[data-approve]")
    main(page).to_contain_text("Approved, waiting to run: no worker has taken the answer to the mission yet.")
    main(page).not_to_contain_text("It was done.")
    look(page, "waiting-to-run")
    with live_worker.worker():
        live_worker.ended(decision.mission)
    main(page).to_contain_text("It was done.")


def test_policy_engine_error(visit: Visit, sam: User, olivia: User, paula: User) -> None:
    shop.policy(when="double(args.note) > 1.0")
    decision = shop.asks(olivia, note="as agreed")
    page = visit(sam, url_of(decision))
    main(page).to_contain_text("Policy could not be evaluated in full.")
    main(page).to_contain_text("Rule larger-refunds could not be evaluated, so it asks")
    look(page, "policy-failed-on-this")
    shop.begun(olivia, order_id="ORD-2002")
    rules = [row("all", "permit")]  # as a newer version of Standfast may have written it
    broken = Policy.objects.create(name="broken")
    broken.versions.create(number=1, state="active", rules=rules, digest=versions.codec.digest_of(rules))
    page.goto(page.url.split("/queue/")[0] + "/queue/")
    main(page).to_contain_text("A policy can not be read, so all that missions ask for is denied.")
    main(page).to_contain_text("broken v1: rule all: effect")
    main(page).to_contain_text(decision.sentence)  # what waited still waits
    look(page, "policy-unreadable-queue")
    page = visit(paula, "/queue/")
    page.click("text=Put a version in force that can be read")
    page.wait_for_url("**/policies/")
    main(page).to_contain_text("broken v1: rule all: effect")
    look(page, "policy-unreadable-list")


def test_huge_args(visit: Visit, sam: User, olivia: User) -> None:
    shop.policy()
    lines = [{"item": f"Part {number}", "price": f"{number}.00"} for number in range(240)]
    decision = shop.asks(olivia, note="x" * 4_000, lines=lines, customer="Patel" * 90)  # what rules may read, just so
    page = visit(sam, url_of(decision))
    main(page).to_contain_text("2500 more characters are not shown here")
    main(page).to_contain_text("item Part 3 · price 3.00")
    main(page).not_to_contain_text("Part 239")
    assert len(page.content()) < 60_000
    look(page, "huge-args")
    whole = page.locator("text=whole decision as JSON >> nth=0").get_attribute("href")
    assert "Part 239" in page.request.get(str(whole)).text()


def test_hostile_text(visit: Visit, sam: User, olivia: User, person: Person) -> None:
    shop.policy()
    asked_for: list[str] = []
    decision = shop.asks(
        olivia, title=f"{HOSTILE} {TURNED}", customer=f"{HOSTILE} {TURNED}", note=MARKDOWN,
        lines=[{HOSTILE: MARKDOWN}],
    )  # fmt: skip
    writer = visit(person("simon", "supervisors"), url_of(decision))
    writer.fill("#remark-text", f"{HOSTILE} {MARKDOWN} {TURNED}")
    writer.click("text=Comment >> nth=-1")
    main(writer).to_contain_text("simon")
    page = visit(sam, "/queue/")
    page.on("request", lambda request: asked_for.append(request.url))
    expect(page.locator("#queue-rows")).to_contain_text("⟦U+202E⟧")
    look(page, "hostile-text-queue")
    page.click("[data-open]")
    for place in (".decision__title", ".decision__what", "#thread", ".decision__head"):
        expect(page.locator(place)).to_contain_text('<img src="https://evil.example/pixel.png"')
    for place in (".decision__what", "#thread"):
        expect(page.locator(place)).to_contain_text("<script>window.hit=1</script>")
    expect(page.locator("#thread")).to_contain_text("![see](https://evil.example/pixel.png)")
    expect(page.locator("#thread")).to_contain_text("⟦U+202E⟧")
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.content() and "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.title()
    assert page.evaluate("window.hit === undefined")
    assert page.locator("main img, main script, [onerror], [onload]").count() == 0
    assert asked_for and all(url.startswith("http://127.0.0.1") for url in asked_for)
    look(page, "hostile-text")
