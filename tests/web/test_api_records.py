"""What a mission did, over REST: journal, checkpoints, timelines, effects, verification; and what is registered."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from missions.engine import codec
from missions.models import EffectState, Entry, Kind, Mission, Payload
from missions.tools import registry as tools
from missions.tools.spec import ToolCall
from missions.web.summaries import TELLERS, summary
from tests import parcels
from tests.web.rest import V1, client_of, problem_of

pytestmark = pytest.mark.django_db


def read(user: User, path: str, **params: Any) -> Any:
    """The body of a GET that succeeds."""
    response = client_of(user).get(f"{V1}{path}", params)
    assert response.status_code == 200, response.content
    return response.json()


@pytest.fixture
def travelled() -> Mission:
    """A mission with a journal of two timelines."""
    mission = parcels.mission()
    packed = {"name": "pack", "title": "Pack the parcel", "result": {"kg": 3}}
    parcels.append(mission, Kind.STEP, packed, path="pack#1")
    parcels.append(mission, Kind.NOW, {"at": "2030-01-01T00:00:00Z"})
    parcels.append(mission, Kind.OBSERVED, {"text": "It rains."})
    parcels.append(mission, Kind.STEP, packed, path="pack#1", timeline=2)
    mission.timeline = 2
    mission.save()
    return mission


def test_the_journal_tells_each_entry_with_words_payload_and_hash(audrey: User, travelled: Mission) -> None:
    rows = read(audrey, f"/missions/{travelled.uid}/journal")["results"]
    kept = Entry.objects.get(mission_id=travelled.pk, seq=2)
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[1] == {
        "seq": 2, "timeline": 1, "kind": "step", "path": "pack#1", "summary": "Pack the parcel",
        "payload": {"name": "pack", "title": "Pack the parcel", "result": {"kg": 3}}, "hash": bytes(kept.chain).hex(),
        "digest": bytes(kept.digest).hex(), "attempt": 1, "recorded_at": rows[1]["recorded_at"],
    }  # fmt: skip
    assert rows[0]["payload"]["input"] == {**parcels.INPUT, "note": ""}


def test_the_journal_can_be_read_from_a_place_of_one_kind_and_of_one_timeline(audrey: User, travelled: Mission) -> None:
    def seqs(**params: Any) -> list[int]:
        return [row["seq"] for row in read(audrey, f"/missions/{travelled.uid}/journal", **params)["results"]]

    assert seqs(after=3) == [4, 5]
    assert seqs(after=2**40) == []
    assert seqs(kind="step") == [2, 5]
    assert seqs(timeline=2) == [5]
    assert seqs(timeline=1, kind="step", after=1) == [2]


def test_the_journals_cursor_goes_on_where_the_page_ended(audrey: User, travelled: Mission) -> None:
    path, cursor, seen = f"/missions/{travelled.uid}/journal", "", []
    while cursor is not None:
        page = read(audrey, path, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [row["seq"] for row in page["results"]]
        cursor = page["next"]
    assert seen == [1, 2, 3, 4, 5]


def test_an_entry_whose_payload_lies_in_the_store_is_shown_in_full(audrey: User) -> None:
    note = "x" * (codec.INLINE_BYTES + 1)
    mission = parcels.mission(input={**parcels.INPUT, "note": note})
    assert Payload.objects.exists()
    assert read(audrey, f"/missions/{mission.uid}/journal")["results"][0]["payload"]["input"]["note"] == note
    assert read(audrey, f"/missions/{mission.uid}")["input"]["note"] == note


@pytest.mark.parametrize(
    ("query", "code"),
    [("after=x", "bad_parameter"), ("kind=steps", "bad_parameter"), ("timeline=-1", "bad_parameter"),
     ("cursor=x", "bad_cursor")],
)  # fmt: skip
def test_a_bad_journal_parameter_is_named(audrey: User, travelled: Mission, query: str, code: str) -> None:
    problem_of(client_of(audrey).get(f"{V1}/missions/{travelled.uid}/journal?{query}"), 400, code)


def test_checkpoints_are_the_entries_that_replay_restores_from(audrey: User, travelled: Mission) -> None:
    rows = read(audrey, f"/missions/{travelled.uid}/checkpoints")["results"]
    assert [(row["seq"], row["kind"]) for row in rows] == [(2, "step"), (3, "now"), (5, "step")]
    assert "payload" not in rows[0]


def test_timelines_tell_their_spans_and_which_is_current(audrey: User, travelled: Mission) -> None:
    assert read(audrey, f"/missions/{travelled.uid}/timelines") == {
        "results": [
            {"timeline": 1, "from_seq": 1, "to_seq": 4, "entries": 4, "current": False, "opened": None},
            {"timeline": 2, "from_seq": 5, "to_seq": 5, "entries": 1, "current": True, "opened": None},
        ],
        "next": None,
    }


# -- Effects -----------------------------------------------------------------------------------------------------------
def test_an_effect_tells_args_outcome_and_how_it_could_be_undone(audrey: User) -> None:
    mission = parcels.mission()
    done = parcels.effect(mission)
    (row,) = read(audrey, f"/missions/{mission.uid}/effects")["results"]
    assert row == {
        "id": str(done.pk), "mission": str(mission.uid), "seq": done.seq, "path": "send#1", "tool": "van.send",
        "args": {"to": "1 High Street"}, "effect_class": "write", "retry_safety": "keyed", "key": done.key,
        "state": "done", "deadline_at": row["deadline_at"],
        "outcome": {"state": "done", "result": {"van": 7}, "adopted": False},
        "undo": {"possible": True, "tool": "van.recall"},
    }  # fmt: skip


def test_what_is_not_done_or_has_no_compensation_can_not_be_undone(audrey: User) -> None:
    mission = parcels.mission()
    parcels.effect(mission, EffectState.NOT_DONE)
    parcels.effect(mission, EffectState.DONE, compensate="")
    undo = [row["undo"] for row in read(audrey, f"/missions/{mission.uid}/effects")["results"]]
    assert undo == [{"possible": False, "tool": None}, {"possible": False, "tool": "van.recall"}]


def test_effects_in_doubt_are_found_across_missions_that_one_may_see(audrey: User, outsider: User) -> None:
    own, foreign = parcels.mission(outsider), parcels.mission()
    parcels.effect(own)
    doubts = [parcels.effect(mission, EffectState.IN_DOUBT) for mission in (own, foreign)]
    everything = read(audrey, "/effects", state="in_doubt")["results"]
    assert [row["id"] for row in everything] == [str(doubts[1].pk), str(doubts[0].pk)]
    assert everything[0]["outcome"] is None
    assert [row["id"] for row in read(outsider, "/effects", state="in_doubt")["results"]] == [str(doubts[0].pk)]


def test_the_effects_cursor_goes_on_without_gap_or_repeat(audrey: User, django_assert_max_num_queries: Any) -> None:
    made = [str(parcels.effect(mission).pk) for mission in (parcels.mission(), parcels.mission()) for _ in range(3)]
    seen, cursor, client = [], "", client_of(audrey)
    while cursor is not None:
        with django_assert_max_num_queries(7):
            page = client.get(f"{V1}/effects", {"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [row["id"] for row in page["results"]]
        cursor = page["next"]
    assert seen == made[::-1]


@pytest.mark.parametrize("query", ["state=doubtful", "limit=0", "cursor=WzFd"])
def test_a_bad_effects_parameter_is_named(audrey: User, query: str) -> None:
    response = client_of(audrey).get(f"{V1}/effects?{query}")
    problem_of(response, 400, "bad_cursor" if "cursor" in query else "bad_parameter")


# -- Verification ------------------------------------------------------------------------------------------------------
def test_verify_vouches_for_an_untouched_journal(audrey: User, travelled: Mission) -> None:
    assert read(audrey, f"/missions/{travelled.uid}/verify") == {
        "ok": True, "entries": 5, "broken_at": None, "reason": "",
    }  # fmt: skip


def test_verify_names_the_entry_that_was_changed_behind_its_back(audrey: User, travelled: Mission) -> None:
    forged = codec.dump({"name": "pack", "title": "Pack the parcel", "result": {"kg": 9}})
    with connection.cursor() as cursor:
        cursor.execute("alter table missions_journal disable trigger user")
        cursor.execute(
            "update missions_journal set payload = %s where mission_id = %s and seq = 2", [forged, travelled.pk]
        )
        cursor.execute("alter table missions_journal enable trigger user")
    found = read(audrey, f"/missions/{travelled.uid}/verify")
    assert (found["ok"], found["broken_at"]) == (False, 2) and found["reason"]


# -- What is registered ------------------------------------------------------------------------------------------------
def test_mission_types_come_with_the_schema_of_their_input(outsider: User) -> None:
    (row,) = [row for row in read(outsider, "/mission-types")["results"] if row["name"] == parcels.TYPE]
    assert (row["version"], row["title"]) == (1, "Deliver a parcel")
    assert row["input_schema"]["properties"]["weight"]["type"] == "integer"
    assert row["input_schema"]["required"] == ["address", "weight"]


@tools.tool(name="test.van_send", effect="write", retry_safety="keyed", compensate="test.van_recall", key_ttl=60.0)
async def van_send(call: ToolCall, to: str, weight: int = 1) -> dict[str, Any]:
    """Send the van."""
    return {}


@tools.tool(name="test.van_recall", effect="write", retry_safety="keyed")
async def van_recall(call: ToolCall, to: str) -> dict[str, Any]:
    """Recall the van."""
    return {}


def test_tools_come_with_their_promises_and_the_schema_of_their_arguments(outsider: User) -> None:
    (row,) = [row for row in read(outsider, "/tools")["results"] if row["name"] == "test.van_send"]
    schema = row.pop("args_schema")
    assert row.pop("circuit")["state"] == "closed" and row.pop("limits") == [] and row.pop("server") == ""
    assert row == {
        "name": "test.van_send", "title": "Send the van", "effect_class": "write", "retry_safety": "keyed",
        "key_ttl_seconds": 60.0, "timeout_seconds": 30.0, "compensate": "test.van_recall", "data_class": "", "cost": "",
    }  # fmt: skip
    assert set(schema["properties"]) == {"to", "weight"}


# -- Summaries ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", list(Kind.values))
def test_every_kind_of_entry_has_a_summary_even_without_its_fields(kind: str) -> None:
    assert kind in TELLERS
    assert isinstance(summary(kind, {}), str)
    assert summary(kind, {"redacted": True}) == "Redacted"


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("outcome", {"sentence": "Pay 9.00", "state": "done", "adopted": True}, "Pay 9.00: done already, adopted"),
        ("outcome", {"title": "Send", "state": "failed", "error": {"message": "no van"}}, "Send: failed (no van)"),
        ("answered", {"answer": {"verdict": "changes_requested", "by": ["sam"]}}, "Changes requested by sam"),
        ("ruling", {"outcome": "deny", "title": "Send", "reason": "Sunday"}, "Policy denies Send: Sunday"),
        ("probed", {"title": "Send", "found": False}, "Probed Send: it did not happen"),
        ("signal", {"name": "paid", "timed_out": True}, "No paid in time"),
        ("completed", {"verdict": "refunded"}, "Completed: refunded"),
    ],
)  # fmt: skip
def test_summaries_say_what_happened(kind: str, payload: dict[str, Any], words: str) -> None:
    assert summary(kind, payload) == words


