"""The editor of policies in a real browser: errors while typing, by keyboard alone, without scripts, for everyone."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from approvals.models import Policy, PolicyVersion, VersionState
from approvals.policies import lifecycle
from tests.decisions import opened, waiting_mission
from tests.policies import row
from tests.web.conftest import Visit
from tests.web.test_policies_pages import FULL_HERE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
LOOKED_FOR = {"runOnly": list(RULES), "resultTypes": ["violations"]}
EDIT = "/policies/refunds/edit/"


@pytest.fixture(autouse=True)
def refunds(paula: User, sam: User, fiona: User, lee: User, audrey: User) -> PolicyVersion:
    """A policy whose draft is edited."""
    reads, small = row("reads", "allow", "tool.effect_class == 'read'"), "double(args.amount) > 1.0"
    return lifecycle.save_draft("refunds", [reads, row("small", "escalate", small), FULL_HERE], by=paula)


def names(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".rules__open").all_text_contents()]


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def unfold(page: Page, selector: str) -> None:
    """Open a rule, or add one, and wait until its form has the focus: what is typed before goes where the focus is."""
    page.click(selector)
    expect(page.locator("#rule-form :focus")).to_have_count(1)


def test_errors_come_while_typing_with_line_and_column_and_go_again(visit: Visit, paula: User) -> None:
    page = visit(paula, EDIT)
    unfold(page, "#open-1")
    expect(page.locator("#rule-when")).to_have_value("double(args.amount) > 1.0")
    page.locator("#rule-when").press("End")
    page.keyboard.type("\n  && agent.nam == 'x'")
    note = page.locator("#rule-when-notes")
    expect(note).to_contain_text("Line 2, column 11")
    expect(note).to_contain_text("nam")
    expect(page.locator("#rule-when-mirror mark")).to_have_text(".nam")
    expect(page.locator("#rule-when")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#editor-tally")).to_have_text("1 error")
    expect(page.locator("#status")).to_have_text("1 error")
    assert focused(page) == "rule-when"
    page.click("[data-goto]")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("e")  # behind the dot: agent.enam
    expect(note).to_contain_text("enam")
    page.keyboard.press("Backspace")
    page.fill("#rule-when", "double(args.amount) > 2.0")
    expect(note).to_be_empty()
    expect(page.locator("#rule-when")).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#editor-tally")).to_have_text("No findings")
    page.fill("#rule-tiers-0-quorum", "two")
    expect(page.locator("#rule-tiers-0-quorum-notes .field__error")).to_be_visible()
    assert PolicyVersion.objects.count() == 1


def test_lint_stands_beside_the_rule_at_once(visit: Visit, paula: User) -> None:
    page = visit(paula, EDIT)
    unfold(page, "#add-rule")
    expect(page.locator("#rule-name")).to_have_value("rule-4")
    expect(page.locator("#notes-0")).to_contain_text("never decides")  # a rule that denies everything shadows it
    page.fill("#rule-when", "args.x > 2 && args.x < 1")
    expect(page.locator("#notes-0")).to_be_empty()
    expect(page.locator("#rule-when-notes .field__warning")).to_contain_text("makes it true")


def test_from_the_editor_to_a_rule_in_shadow_in_five_actions(visit: Visit, paula: User) -> None:
    page = visit(paula, "/policies/refunds/")
    actions = [
        lambda: page.click("text=Edit rules"),
        lambda: unfold(page, "#add-rule"),
        lambda: page.fill("#rule-when", "double(args.amount) > 900.0"),
        lambda: page.select_option("#rule-effect", "deny"),
        lambda: page.click("text=Save and activate in shadow"),
    ]
    for act in actions:
        act()
    expect(page.locator(".banner--ok")).to_contain_text("refunds v2 runs in shadow")
    assert len(actions) <= 5
    version = PolicyVersion.objects.get(number=2)
    assert version.state == VersionState.SHADOW and version.rules[-1]["effect"] == "deny"
    assert not version.changes.exists()  # nothing binds, so nobody was asked


def test_a_rule_is_written_moved_and_saved_by_keyboard_alone(visit: Visit, paula: User) -> None:
    page = visit(paula, "/queue/")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/policies/")
    page.locator("text=refunds").focus()
    page.keyboard.press("Enter")
    page.locator("text=Edit rules").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{EDIT}")
    page.locator("#open-2").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#up-1")).to_be_focused()
    assert names(page) == ["reads", "large", "small"]
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#open-0")).to_be_focused()
    assert names(page) == ["large", "reads", "small"]
    page.keyboard.press("Enter")
    expect(page.locator("#rule-name")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("huge p")  # g and p are letters here
    page.keyboard.press("Tab")
    assert focused(page) == "rule-effect"
    page.keyboard.press("Tab")
    assert focused(page) == "rule-when"
    page.keyboard.press("Control+s")
    expect(page.locator(".banner--ok")).to_contain_text("kept as a draft")
    assert [rule["name"] for rule in PolicyVersion.objects.get(number=2).rules] == ["huge p", "reads", "small"]


def test_leaving_with_unsaved_changes_warns_and_saving_does_not(visit: Visit, paula: User) -> None:
    page = visit(paula, EDIT)
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    unfold(page, "#open-0")
    page.fill("#rule-reason", "Half a thought")
    page.click(".editor__bar >> text=Leave")
    expect(page.locator("#rule-reason")).to_have_value("Half a thought")
    assert asked == ["beforeunload"]
    page.click("text=Save draft")
    expect(page.locator(".banner--ok")).to_be_visible()
    assert asked == ["beforeunload"]


def test_a_server_that_refuses_the_check_loses_nothing(visit: Visit, paula: User) -> None:
    page = visit(paula, EDIT)
    unfold(page, "#open-0")
    page.wait_for_selector("#rule-form")
    paula.groups.clear()
    page.fill("#rule-reason", "Half a thought")
    expect(page.locator("#editor-tally")).to_contain_text("still here")
    expect(page.locator("#rule-reason")).to_have_value("Half a thought")
    visit.complaints.clear()  # type: ignore[attr-defined]  # the browser notes the answer 403


def test_everything_works_without_scripts(visit: Visit, paula: User) -> None:
    page = visit(paula, EDIT, java_script_enabled=False)
    page.click("#open-1")
    page.fill("#rule-when", "args.x >")
    page.click(".editor__bar >> text=Check")
    expect(page.locator("#rule-when-notes")).to_contain_text("Line 1, column 9")
    page.fill("#rule-when", "args.x > 3")
    page.click("#add-tier")
    page.fill("#rule-tiers-1-approvers-0-who", "finance")
    page.click("[aria-label='Duplicate rule 2']")
    page.click("#view-yaml")
    expect(page.locator("#source")).to_have_value(re.compile("small-copy"))
    page.click("text=Save draft")
    expect(page.locator("main")).to_contain_text("kept as a draft")
    saved = PolicyVersion.objects.get(number=2).rules
    assert [rule["name"] for rule in saved] == ["reads", "small", "small-copy", "large"]
    assert saved[2]["when"] == "args.x > 3" and saved[2]["tiers"][1] == {"group": "finance"}


def test_five_hundred_rules_stay_usable(visit: Visit, paula: User) -> None:
    many = [row(f"rule-{at}", "deny", f"double(args.amount) > {at}.5") for at in range(500)]
    policy = Policy.objects.create(name="huge")
    PolicyVersion.objects.create(policy=policy, number=1, rules=many, digest="x")
    page = visit(paula, "/policies/huge/edit/")
    unfold(page, "#open-400")
    expect(page.locator("#rule-name")).to_have_value("rule-400")
    assert page.locator("#rule-form").count() == 1
    page.fill("#rule-when", "args.x >")
    expect(page.locator("#rule-when-notes")).to_contain_text("column 9")
    page.click("#down-400")
    expect(page.locator("#open-401")).to_have_text("rule-400")
    assert len(page.locator(".rules__row").all()) == 500


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_no_page_of_policies_breaks_an_accessibility_rule(
    visit: Visit, paula: User, refunds: PolicyVersion, scheme: str, width: int
) -> None:
    opened(waiting_mission())
    second = lifecycle.save_draft("refunds", [row("small", "deny", "double(args.amount) > 2.0")], by=paula)
    lifecycle.submit(second, by=paula, note="Because.")
    page = visit(paula, "/policies/", color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    base, found = page.url.split("/policies")[0], []
    paths = ["/policies/", "/policies/refunds/", "/policies/refunds/versions/1/", "/policies/refunds/versions/2/",
             "/policies/refunds/difference/?old=1&new=2", "/policies/-/import/", "/policies/-/new/",
             EDIT, "open", "yaml"]  # fmt: skip
    for path in paths:
        if path == "open":
            unfold(page, "#open-2")
            page.wait_for_selector("#rule-form")
            page.fill("#rule-when", "args.x >")
            page.wait_for_selector("#rule-when-notes .field__error")
        elif path == "yaml":
            page.click("#view-yaml")
            page.wait_for_selector("#source")
        else:
            page.goto(base + path)
        found += [
            f"{path}: {broken['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for broken in Axe().run(page, options=LOOKED_FOR).response["violations"]
            for node in broken["nodes"]
        ]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{path} is {wide} pixels too wide"] if wide > 0 else []
        small = page.evaluate(
            """() => [...document.querySelectorAll('main button, main select, main input, main summary, main a.button')]
                .filter(one => one.checkVisibility() && one.type !== 'hidden' && !one.closest('.visually-hidden'))
                .filter(one => !one.matches('.visually-hidden'))
                .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
                .filter(([, box]) => Math.round(box.height) < 20 || Math.round(box.width) < 20)
                .map(([html]) => html)"""
        )
        found += [f"{path} is too small to press: {html}" for html in small]
    page.close(run_before_unload=False)
    assert found == []
