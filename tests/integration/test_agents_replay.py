"""A journal that an earlier build wrote is replayed to its end: no LLM is asked, no tool is called, nothing differs.

The journal lies in tests/recorded/agent.json. `RECORD=1 pytest` on this file writes it anew, which only a change that
is meant to leave old missions behind may do.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from missions.engine import chain, codec, history, starting
from missions.engine.clock import database_now
from missions.models import Entry, Kind, Mission
from missions.testing import gates
from tests import thinkers
from tests.live_worker import ended, parked, worker
from tests.llm_servers import Call, Say, turns

pytestmark = pytest.mark.django_db(transaction=True)
STORED = Path(__file__).parents[1] / "recorded" / "agent.json"
INPUT = {"agent": "scout", "goal": "Pay what is owed.", "inputs": {"order": "ORD-1"}}
PRICE = Call("till-price", {"order_id": "ORD-1"})
SCRIPT = turns(
    Say(text="First the price.", calls=(PRICE,)), Say(calls=(PRICE, Call("till-keyed", {"amount": 12}))),
    Say(calls=(Call("no-such", {}),)), Say(calls=(Call("till-keyed", {"amount": "x"}),)),
    Say(calls=(Call("till-letter", {"number": 1}),)), "All is paid.",
)


def agents() -> None:
    thinkers.till.clear()
    thinkers.version("scout", tools=thinkers.TOOLS)


def told(mission: Mission) -> list[dict[str, Any]]:
    """Its entries but the first and the last, as they are stored."""
    rows = Entry.objects.filter(mission_id=mission.pk).order_by("seq")
    hashes = {row.seq: bytes(row.input_hash).hex() for row in rows}
    return [
        {"kind": entry.kind, "path": entry.path, "input_hash": hashes[entry.seq], "payload": entry.payload}
        for entry in list(history.entries(mission.pk))[1:-1]
    ]


def written(entries: list[dict[str, Any]]) -> Mission:
    """A mission with these entries behind it, due; write it before a worker is there."""
    mission, _ = starting.start("agent", INPUT)
    before = bytes(Entry.objects.get(mission_id=mission.pk, seq=1).chain)
    for seq, one in enumerate(entries, start=2):
        salt, body, at = chain.new_salt(), codec.dump(one["payload"]), database_now()
        digest, asked = chain.digest(salt, body), bytes.fromhex(one["input_hash"])
        kind = Kind(one["kind"])
        link = chain.link(before, mission.uid, seq, 1, kind, one["path"], asked, digest, chain.microseconds(at))
        Entry.objects.create(
            mission_id=mission.pk, seq=seq, timeline=1, kind=kind, path=one["path"], input_hash=asked, payload=body,
            salt=salt, digest=digest, chain=link, attempt=1, recorded_at=at,
        )
        before = link
    Mission.objects.filter(pk=mission.pk).update(head_seq=len(entries) + 1)
    return mission


def record_anew() -> None:
    with gates.allowing(), thinkers.thinking(SCRIPT), worker():
        mission = ended(starting.start("agent", INPUT)[0])
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps(told(mission), indent=1, sort_keys=True) + "\n")


def test_stored_journal_replays_without_asking_anybody() -> None:
    agents()
    if os.environ.get("RECORD"):
        record_anew()
        thinkers.till.clear()
    stored = json.loads(STORED.read_text())
    mission = written(stored)
    with gates.allowing(), thinkers.thinking("Nobody asked for this.") as llm, worker():
        ended(mission)
    assert mission.outcome.verdict == "answered" and mission.outcome.summary == "All is paid."
    assert mission.outcome.data["turns"] == 6 and mission.outcome.data["untrusted"] == ["till.letter"]
    assert llm.requests == [] and thinkers.till.requests == []
    assert told(mission) == stored


def test_tool_that_is_there_by_now_changes_nothing_for_an_agent_that_made_a_name_up() -> None:
    agents()
    wider = thinkers.version("scout", tools=[*thinkers.TOOLS, "till.code"])
    stored = json.loads(STORED.read_text())
    stored[0]["payload"] |= {"version": 2, "digest": wider.digest}  # under which more tools are told of
    mission = written(stored)
    with gates.allowing(), thinkers.thinking("Nobody asked for this.") as llm, worker():
        ended(mission)
    assert mission.outcome.summary == "All is paid." and llm.requests == []


def test_journal_whose_answer_was_given_to_another_request_is_a_divergence() -> None:
    agents()
    stored = json.loads(STORED.read_text())
    price = next(one for one in stored if one["kind"] == "outcome")
    price["payload"]["result"]["price"] = "13.00"  # the LLM was told 12.00
    mission = written(stored)
    with gates.allowing(), thinkers.thinking("Nobody asked for this.") as llm, worker():
        parked(mission)
    assert mission.state == "paused" and llm.requests == []
