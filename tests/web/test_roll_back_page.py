"""The roll back page: where to, kept and undone, what becomes of each effect, stale previews, and who may."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.control import preview
from missions.engine import codec
from missions.engine.claims import CONTROL
from missions.governance import EffectClass
from missions.models import EffectState, Kind, Mission, Signal, State
from missions.tools import registry
from missions.tools.arguments import SchemaArguments
from missions.tools.spec import ToolSpec
from tests import parcels, rail
from tests.web.visits import get, page_of, signed_in

pytestmark = pytest.mark.django_db
PACKED = {"name": "pack", "title": "Check the parcel", "result": 1}


def address(run: Mission, to: int | str = "") -> str:
    return f"{page_of(run)}roll-back/" + (f"?to={to}" if to else "")


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.split("<main")[1]))


def section(html: str, heading: str) -> str:
    """The part of a page under the heading with this id."""
    return text("<main" + html.split(f'aria-labelledby="{heading}"')[1].split("</section>")[0])


def asked(run: Mission) -> list[dict[str, Any]]:
    return [codec.load(one.payload) for one in Signal.objects.filter(mission_id=run.pk, name=CONTROL)]


@pytest.fixture
def run() -> Mission:
    """Packed, then effects of every fate; nothing undoes the last one."""
    mission = parcels.mission(title="To the museum")
    parcels.append(mission, Kind.STEP, PACKED, path="pack#1")
    for state in (EffectState.DONE, EffectState.UNDONE, EffectState.NOT_DONE, EffectState.IN_DOUBT):
        parcels.effect(mission, state, compensate="demo.unsend")
    parcels.effect(mission, compensate="", effect_class="irreversible")
    return parcels.park(mission, "signal:go")


@pytest.fixture(autouse=True)
def _undo_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool of this test alone."""
    spec = ToolSpec(
        name="demo.unsend", function=dict, arguments=SchemaArguments({"type": "object"}), effect=EffectClass.WRITE
    )
    monkeypatch.setitem(registry._discovered(), spec.name, spec)


def test_kept_and_left_behind_stand_side_by_side_in_business_words(olivia: User, run: Mission) -> None:
    html = get(olivia, address(run, 2))
    kept, undone = section(html, "kept-heading"), section(html, "undone-heading")
    assert "Checked the parcel" in kept and "2 entries" in kept
    assert "Checked the parcel" not in undone and f"{run.head_seq - 2} entries" in undone


def test_each_effect_says_exactly_what_becomes_of_it(olivia: User, run: Mission) -> None:
    told = section(get(olivia, address(run, 2)), "effects-heading")
    assert "Will be undone 1" in told and "undone by demo.unsend" in told
    assert "Can not be undone, and stand 1" in told and "nothing takes it back" in told
    assert "In doubt: found out first 1" in told and "if it happened, undone by demo.unsend" in told
    assert "Undone already 1" in told and "Never happened 1" in told


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"compensate": "van.recall"}, "van.recall, which would undo it, is not known here"),
     ({"compensate": ""}, "its tool names none that undoes it")],
)  # fmt: skip
def test_what_nobody_here_can_undo_is_said_to_stand(olivia: User, fields: dict[str, str], words: str) -> None:
    mission = parcels.mission()
    parcels.append(mission, Kind.STEP, PACKED, path="pack#1")
    parcels.effect(mission, **fields)
    html = get(olivia, address(mission, 2))
    assert words in section(html, "effects-heading")
    assert "Leave 1 effect that can not be undone" in text(html)


def test_the_button_counts(olivia: User, run: Mission) -> None:
    assert "Undo 1 effect, find out about 1 and leave 1 that can not be undone" in text(get(olivia, address(run, 2)))
    bare = parcels.mission()
    parcels.append(bare, Kind.STEP, PACKED, path="pack#1")
    assert "Roll back; there is nothing to undo" in text(get(olivia, address(bare, 2)))


def test_a_point_at_which_something_was_under_way_is_moved_and_said_so(olivia: User) -> None:
    mission = rail.running(olivia)
    parcels.append(mission, Kind.STEP, PACKED, path="pack#1")
    decision = rail.asking(mission)
    html = get(olivia, address(mission, 4))
    assert "You chose entry 4, where something was under way. Nothing was under way at entry 2." in text(html)
    assert "Open decisions that are withdrawn" in text(html) and f"/queue/{decision.pk}/" in html


def test_without_a_point_the_checkpoints_are_offered(olivia: User, run: Mission) -> None:
    html = get(olivia, address(run))
    assert 'href="?to=2"' in html and "Checked the parcel" in html
    assert "There is nothing to go back to." in get(olivia, address(parcels.mission()))


@pytest.mark.parametrize(("to", "status"), [("99", 409), ("x", 422), ("0", 422), ("9" * 12, 422)])
def test_an_entry_that_is_none_is_told_and_the_checkpoints_offered(
    olivia: User, run: Mission, to: str, status: int
) -> None:
    response = signed_in(olivia).get(address(run, to))
    assert response.status_code == status
    assert 'href="?to=2"' in response.content.decode()


def send(client: Client, run: Mission, **fields: Any) -> Any:
    """POST the form as the page shows it, with these fields changed."""
    html = client.get(address(run, 2)).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(to|preview_digest)" value="([^"]*)">', html))
    return client.post(address(run), {**hidden, "reason": "Wrong address", "guidance": "Number 7", **fields})


def test_asking_leads_back_to_the_mission_which_says_what_was_asked(olivia: User, run: Mission) -> None:
    client = signed_in(olivia)
    response = send(client, run)
    assert (response.status_code, response["Location"]) == (303, page_of(run))
    (put,) = asked(run)
    assert (put["verb"], put["to"], put["by"]) == ("rollback", 2, "olivia")
    assert (put["reason"], put["guidance"]) == ("Wrong address", "Number 7")
    assert put["preview_digest"] == preview.preview(run, 2).digest
    html = client.get(page_of(run)).content.decode()
    assert "Rolling back is asked for." in html and "Rolling back asked for by olivia; not done yet" in text(html)
    assert send(client, run).status_code == 303 and len(asked(run)) == 1  # a second click


def test_without_a_reason_nothing_is_asked_and_the_guidance_is_kept(olivia: User, run: Mission) -> None:
    response = send(signed_in(olivia), run, reason=" ")
    html = response.content.decode()
    assert response.status_code == 422 and "Say why." in html and "Number 7" in html
    assert 'aria-describedby="id_reason_helptext id_reason_error"' in html
    assert asked(run) == []


def test_a_stale_preview_is_shown_anew_with_what_was_typed(olivia: User, run: Mission) -> None:
    client, old = signed_in(olivia), preview.preview(run, 2).digest
    parcels.effect(run, compensate="demo.unsend")
    response = send(client, run, preview_digest=old)
    html = response.content.decode()
    assert response.status_code == 409 and "The mission went on since you read this page." in html
    assert "Wrong address" in html and "Number 7" in html and "Undo 2 effects" in text(html)
    assert preview.preview(run, 2).digest in html and old not in html
    assert asked(run) == []


def test_an_exported_mission_is_not_rolled_back_here(olivia: User, run: Mission) -> None:
    Mission.objects.filter(pk=run.pk).update(state=State.EXPORTED)
    assert "it can not be rolled back here" in get(olivia, address(run, 2))
    assert signed_in(olivia).post(address(run), {"to": 2}).status_code == 409


@pytest.mark.parametrize("who", ["sam", "audrey"])
def test_only_operators_roll_back(request: pytest.FixtureRequest, run: Mission, who: str) -> None:
    client = signed_in(request.getfixturevalue(who))
    for response in (client.get(address(run, 2)), client.post(address(run), {"to": 2})):
        assert response.status_code == 403 and "You may not steer this." in response.content.decode()
    assert "roll-back" not in client.get(page_of(run)).content.decode()


def test_outsiders_and_forged_forms_get_nowhere(olivia: User, outsider: User, run: Mission) -> None:
    assert signed_in(outsider).get(address(run, 2)).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(olivia)
    assert strict.post(address(run), {"to": 2}).status_code == 403
    assert asked(run) == []


def test_hostile_text_is_only_text(olivia: User) -> None:
    mission = parcels.mission()
    parcels.append(mission, Kind.STEP, {**PACKED, "title": "<script>alert(1)</script>"}, path="pack#1")
    parcels.append(mission, Kind.STEP, {**PACKED, "title": "\N{RIGHT-TO-LEFT OVERRIDE}egac"}, path="pack#2")
    html = get(olivia, address(mission, 2))
    assert "<script>alert" not in html and "⟦U+202E⟧" in html
