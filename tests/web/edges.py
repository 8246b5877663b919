"""Looking at an edge state as a person would: in both themes, wide and narrow, and as a picture where one is wanted.

With PICTURES=FOLDER in the environment each look is kept there, NAME-light-1280.png and NAME-dark-320.png; without it
nothing is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from approvals.models import Decision
from tests.web.rest import client_of, post

DRAFT = "The photographs show it."
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FORMS = (("light", 1280), ("dark", 320))


def look(page: Page, name: str, *, scripts: bool = True) -> None:
    """Hold the page against the rules of accessibility and the width of the screen, in both forms.

    Without scripts there is the width alone: axe needs the timers of the page.
    """
    page.wait_for_load_state()  # style sheets too
    found: list[str] = []
    for scheme, width in FORMS:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        _fit(page, width)
        found += _faults(page, scheme) if scripts else []
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{wide} pixels too wide at {width}"] if wide > 0 else []
        _keep(page, f"{name}-{scheme}-{width}")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert not found, "\n".join(found)


def _fit(page: Page, width: int) -> None:
    """A screen as high as the page, so that what sticks to its end covers nothing."""
    page.set_viewport_size({"width": width, "height": 800})
    page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})


def _faults(page: Page, scheme: str) -> list[str]:
    broken = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response["violations"]
    return [f"{scheme} {fault['id']}: {node['html'][:160]}" for fault in broken for node in fault["nodes"]]


def _keep(page: Page, name: str) -> None:
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def vote_by_api(decision: Decision, voter: Any, verdict: str = "approve", **fields: Any) -> None:
    """Vote as a program does, in this person's name."""
    body = {"verdict": verdict, "digest": decision.digest, **fields}
    answer = post(client_of(voter), f"/decisions/{decision.pk}/votes", body)
    assert answer.status_code in (200, 201), answer.content


def expect_refusal(visit: Any, *statuses: int | str) -> None:
    """The browser complained of exactly these refusals, and of nothing else."""
    for status in statuses:
        named = [text for text in visit.complaints if str(status) in text]
        assert named, (status, visit.complaints)
    assert all(any(str(status) in text for status in statuses) for text in visit.complaints), visit.complaints
    visit.complaints.clear()
