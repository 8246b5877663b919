"""Trying and replaying in a real browser: live progress, by keyboard alone, without scripts, in both themes, narrow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from approvals.models import Replay
from approvals.simulation import closing, replaying, starting
from approvals.simulation.windows import Window
from missions.engine import feed
from missions.models import Mission
from tests import replays
from tests.policies import row

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PICTURES = os.environ.get("STANDFAST_PICTURES", "")  # a folder, for whoever wants to look at the pages


def version() -> Any:
    replays.in_force(replays.over("0.0"), name="refunds")
    run = replays.mission(title="Refund for A. Patel")
    for number in range(6):
        replays.asked(run, "90.00", "rejected" if number % 3 == 0 else "approved", path=f"a#{number}")
    replays.undone(run, replays.ruled(run, "allow", "950.00", path="b#1"))
    finance = [{"group": "finance", "quorum": 2, "sla": "1d"}]
    return replays.draft(
        replays.allowed(), replays.over("500.0", tiers=finance), row("odd", "allow", "args.nothing == true"),
        row("mail", "deny", scope={"tool": "mail.*"}),
    )  # fmt: skip


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES, f"{name}.png"), full_page=True)


def clean(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 320)])
def test_pages_are_accessible_in_both_themes_and_narrow(visit: Any, paula: User, theme: str, width: int) -> None:
    chosen = version()
    replay = replays.replayed(chosen)
    waiting, _ = starting.start(chosen, Window(), by=paula, via="console")
    named = [chosen.policy.name, chosen.number]
    entry = replay.differences.first()
    past = f"?mission={entry.mission_uid}&seq={entry.seq}"
    for name, path in (
        ("try", reverse("policy-try", args=named) + past), ("start", reverse("policy-replay", args=named)),
        ("found", reverse("replay", args=[replay.pk])), ("waiting", reverse("replay", args=[waiting.pk])),
    ):  # fmt: skip
        page = visit(paula, path, color_scheme=theme, viewport={"width": width, "height": 900})
        clean(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(page, f"{name}-{theme}-{width}")


def test_progress_comes_by_itself_until_the_findings_are_there(visit: Any, paula: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(replaying, "PART_SECONDS", 0.0)
    monkeypatch.setattr(replaying, "BATCH", 4)
    chosen = version()
    replay, _ = starting.start(chosen, Window(), by=paula, via="console")
    page = visit(paula, reverse("replay", args=[replay.pk]))
    expect(page.get_by_text("Waits for a worker to begin")).to_be_visible()
    run = Mission.objects.get(uid=replay.pk)
    replay = replaying.open_run(replay.pk, chosen, Window().usual(), "")
    replaying.run_part(replay, 1)
    feed.announce(f"m{run.pk}")
    expect(page.get_by_text("4 of 7 rulings, 4 differ so far")).to_be_visible()
    replaying.run_part(replay, 2)
    closing.close_run(replay)
    feed.announce(f"m{run.pk}")
    expect(page.get_by_text("It would have allowed 2 that people rejected.")).to_be_visible()
    expect(page.get_by_text("It would have asked 1 more time, 1 of which was rolled back later.")).to_be_visible()
    page.get_by_role("link", name="Issue refund").first.click()
    page.wait_for_url("**/missions/**#rail-*")


def test_an_action_is_tried_by_keyboard_alone(visit: Any, paula: User) -> None:
    chosen = version()
    page = visit(paula, reverse("policy-try", args=[chosen.policy.name, chosen.number]))
    page.get_by_label("Tool").focus()
    page.keyboard.type("payments.refund")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"order_id": "ORD-1001", "amount": "900.00"}')
    page.get_by_role("button", name="Try it").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The ruling")).to_be_visible()
    expect(page.locator("#ruling-heading + .badge")).to_have_text("People are asked")


def test_a_replay_is_started_and_read_without_scripts(visit: Any, paula: User) -> None:
    chosen = version()
    start = reverse("policy-replay", args=[chosen.policy.name, chosen.number])
    page = visit(paula, start, java_script_enabled=False)
    page.get_by_label("The last rulings").fill("5")
    page.get_by_role("button", name="Replay on history").click()
    expect(page.get_by_text("Waits for a worker to begin")).to_be_visible()
    replay = Replay.objects.get()
    closing.close_run(_run(replay))
    page.reload()
    expect(page.get_by_text("Finished", exact=True).first).to_be_visible()


def _run(replay: Replay) -> Replay:
    opened = replaying.open_run(replay.pk, replay.version, Window.of(replay.window), "")
    replaying.run_part(opened, 1)
    return opened
