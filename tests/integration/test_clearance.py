"""What missions are cleared for: declared, pinned as they start, never widened; each read's ruling is on record."""

from __future__ import annotations

from typing import Any

import pytest

from missions.authoring import Context, Denied, ToolCall, Verdict, mission, tool
from missions.engine import history, registry
from missions.engine.starting import start
from missions.errors import InvalidInput
from missions.models import Mission
from tests import live_worker
from tests.corners import allow, define

pytestmark = pytest.mark.django_db(transaction=True)
seen: list[str] = []


@pytest.fixture(autouse=True)
def _open() -> None:
    seen.clear()
    allow()  # a policy that allows all of these tools


@tool(name="corner.files", data_class="confidential")
async def files(call: ToolCall) -> str:
    """Read the files"""
    seen.append("files")
    return "secret"


@tool(name="corner.register", effect="write", retry_safety="keyed", data_class="regulated")
async def register(call: ToolCall) -> str:
    """Write the register"""
    seen.append("register")
    return "kept"


async def look(m: Context, request: dict[str, Any]) -> Verdict:
    found = []
    for name in ("corner.files", "corner.register"):
        try:
            found.append(await m.tool(name))
        except Denied as error:
            found.append(str(error))
    return Verdict("looked", data={"found": found})


def rulings(run: Mission) -> list[tuple[str, list[str]]]:
    return [(row.payload["outcome"], row.payload["rules"]) for row in history.entries(run.pk) if row.kind == "ruling"]


def test_data_beyond_the_clearance_is_denied_to_reads_and_writes_and_the_ruling_is_on_record() -> None:
    run = start(define("clear.plain", look), {})[0]
    with live_worker.worker():
        live_worker.ended(run)
    assert rulings(run) == [("deny", ["clearance"]), ("deny", ["clearance"])] and not seen
    assert run.outcome.data["found"][0] == (
        "The data is confidential, and this mission is cleared for public, internal only."
    )
    assert history.verify(run).ok


def test_a_type_that_declares_it_may_and_a_mission_may_be_started_with_less() -> None:
    mission("clear.high", data_classes=["restricted", "regulated"])(look)
    whole, less = start("clear.high", {})[0], start("clear.high", {}, data_classes=["confidential"])[0]
    with live_worker.worker():
        assert live_worker.ended(whole).outcome.data["found"] == ["secret", "kept"]
        live_worker.ended(less)
    assert rulings(whole) == [("allow", ["free"]), ("allow", ["free"])]
    assert rulings(less) == [("allow", ["free"]), ("deny", ["clearance"])]


@pytest.mark.parametrize("wanted", [["restricted"], ["health"], ["No Such"]])
def test_nobody_starts_a_mission_with_more_than_its_type_has(wanted: list[str]) -> None:
    mission("clear.some", data_classes=["confidential"])(look)
    with pytest.raises(InvalidInput) as refused:
        start("clear.some", {}, data_classes=wanted)
    assert refused.value.errors[0]["field"] == "data_classes"


def test_a_clearance_is_that_of_the_start_also_when_the_type_has_more_by_then() -> None:
    run = start(define("clear.later", look), {})[0]
    registry._types.pop(("clear.later", 1))
    mission("clear.later", data_classes=["restricted", "regulated"])(look)
    with live_worker.worker():
        live_worker.ended(run)
    assert [outcome for outcome, _ in rulings(run)] == ["deny", "deny"]


def test_a_child_is_cleared_for_no_more_than_its_parent_and_a_chapter_for_no_less() -> None:
    mission("clear.child", data_classes=["restricted", "regulated"])(look)

    async def parent(m: Context, request: dict[str, Any]) -> Verdict:
        if not request:
            await m.continue_as({"again": True})
        return await m.join(await m.spawn("clear.child", {}))

    mission("clear.parent", data_classes=["confidential"])(parent)
    run = start("clear.parent", {})[0]
    with live_worker.worker():
        live_worker.ended(run)
    child = Mission.objects.get(parent=run.pk)
    assert rulings(child) == [("allow", ["free"]), ("deny", ["clearance"])] and seen == ["files"]
    assert history.entries(child.pk)[0].payload["data_classes"] == ["confidential"]
