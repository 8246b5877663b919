"""The queue in a real browser: by keyboard alone, without scripts, under the Content-Security-Policy, for everyone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import expect

from approvals import comments, votes
from approvals.models import Decision, Look, Vote
from missions.governance import EffectClass
from tests.decisions import FINANCE, SUPERVISORS, in_doubt, intent_of, opened, waiting_mission

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def focused(page):
    return page.evaluate("document.activeElement.textContent.trim()")


def test_a_decision_is_approved_by_keyboard_alone(visit, sam):
    opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 60}, sentence="The first")
    second = opened(waiting_mission(), sentence="The second")
    page = visit(sam, reverse("queue"))
    for key, sentence in (("j", "The first"), ("j", "The second"), ("j", "The second"), ("k", "The first")):
        page.keyboard.press(key)
        assert focused(page) == sentence
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.wait_for_url(f"**{reverse('decision', args=[second.pk])}")
    page.wait_for_selector("[data-approve][data-armed]")
    assert focused(page) == "Approve"
    assert not Vote.objects.exists()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Approved: The second")
    assert Decision.objects.get(pk=second.pk).state == "approved"


def test_from_sign_in_to_the_first_approval_in_three_actions(visit, sam):
    sam.set_password("standfast")
    sam.save()
    decision = opened(waiting_mission(), sentence="The first")
    page = visit(None, "/")
    page.fill("[name=username]", "sam")
    page.fill("[name=password]", "standfast")
    actions = [
        lambda: page.keyboard.press("Enter"),
        lambda: page.click("text=The first"),
        lambda: page.click("[data-approve]"),
    ]
    for act in actions:
        act()
    page.wait_for_selector("text=Approved: The first")
    assert len(actions) <= 3 and Decision.objects.get(pk=decision.pk).state == "approved"


def test_the_irreversible_is_never_armed(visit, sam):
    mission = waiting_mission()
    decision = opened(mission, intent=intent_of(mission, effect_class=EffectClass.IRREVERSIBLE))
    page = visit(sam, reverse("queue"))
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.wait_for_selector("[data-approve]")
    page.wait_for_load_state()
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    assert page.locator("[data-armed]").count() == 0
    page.click("[data-approve]")
    page.wait_for_selector("text=This can not be taken back")
    assert not Vote.objects.exists()
    page.click("text=Yes, approve it")
    page.wait_for_selector("text=You're clear")
    assert Decision.objects.get(pk=decision.pk).state == "approved"


def test_a_rejection_is_written_and_sent_by_keyboard_and_letters_stay_letters(visit, sam):
    decision = opened(waiting_mission())
    page = visit(sam, reverse("decision", args=[decision.pk]))
    page.wait_for_load_state()
    page.keyboard.press("r")
    page.keyboard.type("a rack of jk")
    assert page.input_value("#vote-comment") == "a rack of jk"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=Rejected")
    assert Vote.objects.get().comment == "a rack of jk"


def test_what_others_settle_leaves_the_queue_and_focus_stays_where_it_was(visit, sam, person):
    first = opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 60}, sentence="The first")
    opened(waiting_mission(), sentence="The second")
    page = visit(sam, reverse("queue"))
    expect(page.locator("#queue-rows tr")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    votes.cast(first.pk, person("simon", "supervisors"), "approve", first.digest, channel="api")
    expect(page.locator("#queue-rows tr")).to_have_count(1)
    assert focused(page) == "The second"


def test_a_decision_that_others_settle_keeps_what_was_typed_and_offers_no_vote(visit, sam, person):
    decision = opened(waiting_mission())
    page = visit(sam, reverse("decision", args=[decision.pk]))
    page.fill("#vote-comment", "I was about to")
    votes.cast(decision.pk, person("simon", "supervisors"), "approve", decision.digest, channel="api")
    expect(page.locator("[data-approve]")).to_be_disabled()
    expect(page.locator(".resolution__word")).to_contain_text("Approved by simon")
    assert page.input_value("#vote-comment") == "I was about to"


def test_keys_can_be_switched_off(visit, sam):
    opened(waiting_mission())
    page = visit(sam, reverse("queue"))
    page.click("#keys summary")
    page.uncheck("[data-keys-switch]")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert "Refund" not in focused(page)


def test_everything_works_without_scripts(visit, sam):
    opened(waiting_mission(), sentence="Pay them back")
    page = visit(sam, reverse("queue"), java_script_enabled=False)
    page.click("text=Pay them back")
    page.click("[data-reject]")
    expect(page.locator("#comment-error")).to_contain_text("Say why")
    page.fill("#vote-comment", "Not that one.")
    page.click("[data-reject]")
    expect(page.locator("main")).to_contain_text("Rejected: Pay them back")
    [refused] = visit.complaints  # the browser logs each refusal
    assert "422" in refused
    visit.complaints.clear()


@pytest.mark.parametrize("context", [{}, {"color_scheme": "dark", "viewport": {"width": 320, "height": 700}}])
def test_pages_are_accessible_and_fit_narrow_screens(visit, sam, olivia, context):
    sam.groups.add(olivia.groups.get())
    mission = waiting_mission()
    long = intent_of(mission, args={"note": "x" * 3000, "a": {"b": [1]}}, effect_class=EffectClass.IRREVERSIBLE)
    done = opened(waiting_mission())
    votes.cast(done.pk, sam, "reject", done.digest, comment="No.", channel="console")
    asked = opened(waiting_mission(), kind="question", answers={"form": "text"})
    comments.add(asked.pk, sam, "Hm.", agent="clerk")
    held = opened(waiting_mission(), evidence=({"source": "mail"},))
    Decision.objects.filter(pk=held.pk).update(hold_seconds=900)
    votes.cast(held.pk, sam, "approve", held.digest, channel="console")
    past = opened(waiting_mission(), evidence=({"source": "mail", "author": "agent"},))
    shown = [
        opened(mission, SUPERVISORS, FINANCE, intent=long), in_doubt(waiting_mission()), done, asked, held, past,
    ]  # fmt: skip
    paths = [reverse("queue"), f"{reverse('queue')}?view=done", f"{reverse('queue')}?view=mine"]
    page = visit(sam, paths[0], bypass_csp=True, **context)
    for path in [*paths, *(reverse("decision", args=[decision.pk]) for decision in shown)]:
        page.goto(page.url.split("/queue/")[0] + path)
        found = Axe().run(page).response["violations"]
        assert [(path, fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found] == []
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path


def test_rows_are_chosen_by_keyboard_and_answered_together(visit, sam):
    for number in range(3):
        opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 60 + number}, sentence=f"Pay {number}")
    page = visit(sam, reverse("queue"))
    page.wait_for_load_state()
    page.keyboard.press("j")
    for key in ("x", "Shift+J"):
        page.keyboard.press(key)
    expect(page.locator("[data-bulk-hint]")).to_have_text("2 chosen")
    page.click("[data-bulk] button")
    page.fill("#bulk-count", "2")
    page.click("text=Approve all 2")
    page.wait_for_selector("text=2 answered")
    assert Decision.objects.filter(state="approved").count() == 2


def test_looks_are_recorded_and_demanded_evidence_unlocks_approval(visit, sam):
    decision = opened(waiting_mission(), evidence=({"source": "orders.get", "paid": "1500.00"},))
    Decision.objects.filter(pk=decision.pk).update(demands=[{"source": "orders.get"}])
    page = visit(sam, reverse("decision", args=[decision.pk]))
    expect(page.locator("[data-approve]")).to_be_disabled()
    page.click("[data-evidence] summary")
    expect(page.locator("[data-approve]")).to_be_enabled()
    assert sorted(Look.objects.values_list("what", "item")) == [("decision", 0), ("evidence", 1)]
    page.click("[data-approve]")
    page.wait_for_selector("text=Approved:")
    vote = Vote.objects.get()
    assert vote.looked_seconds is not None and vote.evidence_opened == 1


def test_a_refresh_closes_nothing_that_its_reader_has_opened(visit, sam):
    decision = opened(waiting_mission(), evidence=({"source": "orders.get", "paid": "1500.00"},))
    page = visit(sam, "")
    page.route("**/look/", lambda route: route.fulfill(status=204))  # the server does not know that it is open
    page.goto(reverse("decision", args=[decision.pk]))
    page.wait_for_load_state("networkidle")
    page.click("[data-evidence] summary")
    with page.expect_response(lambda answer: answer.url.endswith(f"{decision.pk}/")):
        page.evaluate("htmx.trigger(document.body, 'refresh')")
    page.wait_for_load_state("networkidle")
    assert page.locator("[data-evidence]").get_attribute("open") is not None


def test_comments_of_others_come_by_themselves_and_what_is_typed_stays(visit, sam, person):
    decision = opened(waiting_mission())
    page = visit(sam, reverse("decision", args=[decision.pk]))
    page.wait_for_load_state()
    page.fill("#remark-text", "I was about to")
    comments.add(decision.pk, person("simon", "supervisors"), "Wait for me.")
    expect(page.locator("#thread")).to_contain_text("Wait for me.")
    assert page.input_value("#remark-text") == "I was about to"


def test_an_edit_by_another_disables_approval_and_shows_the_change(visit, sam, person):
    decision = opened(waiting_mission())
    page = visit(sam, reverse("decision", args=[decision.pk]))
    page.wait_for_load_state()
    page.fill("#vote-comment", "I was about to")
    before = decision.action["args"]
    simon = person("simon", "supervisors")
    Decision.objects.filter(pk=decision.pk).update(
        digest="f" * 64, edits=1, editors=[simon.pk], action={**decision.action, "args": {**before, "amount": "1.00"}},
    )
    Vote.objects.create(
        decision=decision, tier=decision.tiers.get(), voter=simon, verdict="approve", digest=decision.digest,
        edited_from=before, edited_args={**before, "amount": "1.00"}, channel="api",
    )
    comments.add(decision.pk, simon, "See above.")  # whatever comes last brings the page up to date
    expect(page.locator("#diff")).to_contain_text("1.00")
    expect(page.locator("[data-approve]")).to_be_disabled()
    assert page.input_value("#vote-comment") == "I was about to"
