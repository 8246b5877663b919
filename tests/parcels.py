"""Mission rows for the tests of the API and the command line, as the engine itself writes them.

The type `test.parcel` is registered here; no worker runs it unless a test starts one.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.contrib.auth.models import User
from pydantic import BaseModel, ConfigDict

from missions.engine import chain, codec, registry, starting
from missions.engine.clock import database_now
from missions.models import Artifact, BlobUse, Effect, EffectState, Entry, Kind, Mission, Outcome, State
from missions.storage import artifacts, blobs

TYPE = "test.parcel"
INPUT = {"address": "1 High Street", "weight": 3}


class Parcel(BaseModel):
    """What `test.parcel` takes."""

    model_config = ConfigDict(extra="forbid")

    address: str
    weight: int
    note: str = ""


async def parcel(m: Any, request: Parcel) -> dict[str, Any]:
    """Deliver a parcel."""
    return {}


registry.register(TYPE, 1, "Deliver a parcel", parcel)


def mission(by: User | None = None, **options: Any) -> Mission:
    """A started mission that nobody has claimed."""
    started, _ = starting.start(TYPE, options.pop("input", INPUT), started_by=by, **options)
    return started


def append(mission: Mission, kind: Kind, payload: dict[str, Any], *, path: str = "", timeline: int = 1) -> Entry:
    """One more entry of a mission's journal, linked to the one before, or its first."""
    last = Entry.objects.filter(mission_id=mission.pk).order_by("seq").last()
    salt, body, now = chain.new_salt(), codec.dump(payload), database_now()
    digest, seq = chain.digest(salt, body), last.seq + 1 if last else 1
    before = bytes(last.chain) if last else chain.GENESIS
    link = chain.link(before, mission.uid, seq, timeline, kind, path, b"", digest, chain.microseconds(now))
    mission.head_seq = seq
    mission.save(update_fields=["head_seq"])
    return Entry.objects.create(
        mission_id=mission.pk, seq=seq, timeline=timeline, kind=kind, path=path, input_hash=b"", payload=body,
        salt=salt, digest=digest, chain=link, attempt=1, recorded_at=now,
    )


def park(mission: Mission, waits_for: str, *, due: dt.datetime | None = None) -> Mission:
    """Let a mission wait, as its worker would have left it."""
    mission.state = State.SLEEPING if waits_for == "timer" else State.WAITING
    mission.waits_for, mission.waits_since, mission.wake_at = waits_for, database_now(), due
    mission.save()
    return mission


def complete(mission: Mission, verdict: str = "delivered", summary: str = "On the mat.") -> Mission:
    """End a mission with a verdict."""
    data = {"signed": True}
    append(mission, Kind.COMPLETED, {"verdict": verdict, "summary": summary, "data": data})
    mission.state, mission.wake_at, mission.waits_for = State.COMPLETED, None, ""
    mission.save()
    Outcome.objects.create(mission=mission, verdict=verdict, summary=summary, data=data, ended_at=database_now())
    return mission


def fail(mission: Mission, error: str = "The van broke down.") -> Mission:
    """End a mission with an error."""
    append(mission, Kind.FAILED, {"error": {"type": "Breakdown", "message": error}})
    mission.state, mission.wake_at = State.FAILED, None
    mission.save()
    Outcome.objects.create(mission=mission, error=error, ended_at=database_now())
    return mission


def effect(mission: Mission, state: EffectState = EffectState.DONE, **fields: Any) -> Effect:
    """An effect with its intent, and with an outcome where it is done."""
    tool, args, key = "van.send", {"to": "1 High Street"}, uuid.uuid4().hex
    words = {"tool": tool, "title": "Send the van", "args": args, "key": key}
    intent = append(mission, Kind.INTENT, words, path="send#1")
    outcome = None
    if state in (EffectState.DONE, EffectState.UNDONE):
        told = {"tool": tool, "title": "Send the van", "state": "done", "result": {"van": 7}, "adopted": False}
        outcome = append(mission, Kind.OUTCOME, told, path="send#1").seq
    return Effect.objects.create(**{
        "id": uuid.uuid4(), "mission_id": mission.pk, "seq": intent.seq, "timeline": 1, "chapter": 1, "path": "send#1",
        "generation": 1, "tool": tool, "key": key, "args_digest": codec.digest_of(args), "effect_class": "write",
        "retry_safety": "keyed", "compensate": "van.recall", "state": state, "deadline_at": database_now(),
        "outcome_seq": outcome, **fields,
    })


def artifact(mission: Mission, name: str, content: bytes, media_type: str = "text/plain") -> Artifact:
    """Content that the mission kept."""
    source = blobs.measured(content, artifacts.LIMIT_BYTES, name)
    blobs.store(source)
    facts = {"name": name, "digest": source.digest.hex(), "size": source.size, "media_type": media_type}
    begun = Entry.objects.filter(mission_id=mission.pk).exists()
    seq = append(mission, Kind.ARTIFACT, facts, path=f"artifact:{name}#1").seq if begun else 1
    BlobUse.objects.get_or_create(digest=source.digest, mission_id=mission.pk)
    return Artifact.objects.create(mission_id=mission.pk, seq=seq, timeline=1, **{**facts, "digest": source.digest})
