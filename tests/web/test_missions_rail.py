"""The rail on a mission's page: narrative, log, head, earlier items, hostile text.

The rail shows only what is settled, so these tests commit.
"""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.engine.clock import database_now
from missions.models import Kind, Mission
from tests import parcels, rail
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "Deliver \u202egpj.exe <script>alert(1)</script>"


def sentences(html: str) -> list[str]:
    return re.findall(r'<p class="rail__sentence">([^<]*)', html)


def test_the_narrative_tells_the_story_in_order_without_json(olivia: User, sam: User, fiona: User) -> None:
    html = get(olivia, page_of(rail.approved_story(olivia, sam, fiona)))
    assert [sentence.strip() for sentence in sentences(html)] == [
        "olivia started “Deliver a parcel” over the API.", "Looked up the parcel.",
        "Worker stopped; another one took over.", "Weigh the parcel.",
        "Policy asks supervisors, then finance: Parcels cost money.",
        "Waiting for supervisors, then finance: Send the parcel to 1 High Street.",
        "sam approved (1 of 1). Now waiting for finance.", "Worker stopped; another one took over.",
        "fiona approved (1 of 1).", "Approved by sam and fiona; the mission goes on.",
        "Carrying out: Send the parcel to 1 High Street.",
        "Done: Send the parcel to 1 High Street (reference P-1).", "Verdict: sent.",
    ]  # fmt: skip
    narrative = html.split('id="rail"')[1].split("</ol>")[0]
    assert "{" not in narrative


def test_the_log_has_every_item_with_its_payload(olivia: User, sam: User, fiona: User) -> None:
    mission = rail.approved_story(olivia, sam, fiona)
    html = get(olivia, f"{page_of(mission)}?view=log")
    kinds = re.findall(r'<td role="cell">(\w+)</td>\s*<td role="cell" class="log__path">', html)
    assert kinds == [
        "started", "ruling", "outcome", "takeover", "step", "ruling", "asked", "vote", "takeover", "vote", "answered",
        "intent", "outcome", "completed",
    ]  # fmt: skip
    assert "&quot;reference&quot;: &quot;P-1&quot;" in html


def test_both_views_carry_one_id_and_one_cursor_an_item(olivia: User, sam: User, fiona: User) -> None:
    mission = rail.approved_story(olivia, sam, fiona)
    for view, count in (("narrative", 13), ("log", 14)):
        html = get(olivia, f"{page_of(mission)}?view={view}")
        ids = re.findall(r'id="(rail-\d[\d-]*)" data-cursor="([\d.]+)"', html)
        assert len(ids) == len(set(ids)) == count
        assert all(name == f"rail-{cursor.replace('.', '-')}" for name, cursor in ids)
        assert f'data-cursor="{ids[-1][1]}"' in html.split('id="rail"')[1].split(">")[0]


def test_the_head_says_what_it_waits_for_since_when_and_where_it_is(olivia: User) -> None:
    mission = rail.running(olivia)
    parcels.append(mission, Kind.STEP, {"name": "weigh", "title": "Check the weight"})
    decision = rail.asking(mission)
    Mission.objects.filter(pk=mission.pk).update(waits_since=database_now() - dt.timedelta(hours=4, minutes=5))
    head = get(olivia, page_of(mission)).split("mission-header-")[1].split("</section>")[0]
    text = " ".join(re.sub(r"<[^>]*>", " ", head).split())
    assert f"/queue/{decision.pk}/" in head
    assert "Waits for supervisors: Send the parcel to 1 High Street since 4 h ago" in text
    assert "Where it is Policy asks supervisors, then finance: Parcels cost money." in text


def test_earlier_items_are_a_link_away(olivia: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.console.views.ITEMS", 2)
    mission = parcels.mission(olivia)
    for number in range(3):
        parcels.append(mission, Kind.OBSERVED, {"text": f"Observation {number}"})
    html = get(olivia, page_of(mission))
    assert sentences(html) == ["Observation 1.", "Observation 2."]
    earlier = re.search(r'href="(\?[^"]*before=[^"]*)"', html)
    assert earlier is not None
    before = get(olivia, page_of(mission) + earlier.group(1).replace("&amp;", "&"))
    assert sentences(before)[-1] == "Observation 0."
    assert "data-past" in before


@pytest.mark.parametrize("view", ["narrative", "log"])
def test_hostile_text_is_escaped_and_made_visible(olivia: User, view: str) -> None:
    mission = parcels.mission(olivia, title=HOSTILE)
    parcels.append(mission, Kind.OBSERVED, {"text": HOSTILE})
    parcels.append(mission, Kind.COMPLETED, {"verdict": HOSTILE, "summary": HOSTILE, "data": {HOSTILE: HOSTILE}})
    for path in ("/missions/", f"{page_of(mission)}?view={view}"):
        html = get(olivia, path)
        assert "<script>alert" not in html
        assert "\u202e" not in html
        assert "⟦U+202E⟧" in html


def test_pages_carry_no_inline_script_or_style(olivia: User, sam: User, fiona: User) -> None:
    mission = rail.approved_story(olivia, sam, fiona)
    pages = ("/login/", "/missions/", page_of(mission), f"{page_of(mission)}?view=log", "/missions/start/test.parcel/")
    for path in pages:
        html = (Client() if path == "/login/" else signed_in(olivia)).get(path).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son\w+=", html)
