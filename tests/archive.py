"""Missions that are ready to leave for the archive, with everything that a mission can have."""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from approvals import votes
from missions.engine import chain, codec
from missions.engine.clock import database_now
from missions.keeping import archive, bundle, shelf
from missions.models import (
    Archived,
    Child,
    Dependency,
    Entry,
    Kind,
    Mission,
    Payload,
    SharedChild,
    Signal,
    State,
    Timeline,
)
from tests import decisions, parcels, rail

TABLES = {  # and the column by which rows belong to a mission
    "missions_mission": "id", "missions_brief": "mission_id", "missions_outcome": "mission_id",
    "missions_journal": "mission_id", "missions_signal": "mission_id", "missions_effect": "mission_id",
    "missions_child": "child_id", "missions_dependency": "mission_id", "missions_sharedchild": "mission_id",
    "missions_artifact": "mission_id", "missions_blobuse": "mission_id",
    "missions_takeover": "mission_id", "missions_timeline": "mission_id", "approvals_decision": "mission_id",
    "approvals_vote": "mission_id", "approvals_tier": "decision_id",
}  # fmt: skip
CONTENT = b"To Ann, 1 High Street. " * 60_000  # more than one portion
GONE = 2**40  # the id of a mission that left before
OF_DECISIONS = "decision_id in (select id from approvals_decision where mission_id = %s)"


def rows_of(mission_id: int) -> dict[str, str]:
    """Every row of a mission as the database itself writes it; tables without one are left out."""
    found = {}
    with connection.cursor() as cursor:
        for table, column in TABLES.items():
            where = OF_DECISIONS if column == "decision_id" else f"{column} = %s"
            cursor.execute(f"select jsonb_agg(t order by t::text)::text from {table} t where {where}", [mission_id])
            found[table] = cursor.fetchone()[0]
    return {table: rows for table, rows in found.items() if rows}


def whole(starter: User, voter: User, **options: Any) -> Mission:
    """An ended mission with a row in every table: a decision with a vote, an effect, a large payload, a timeline."""
    mission = rail.running(starter, **options)
    large(mission)
    decision = decisions.opened(mission, decisions.SUPERVISORS)
    votes.cast(decision.pk, voter, "approve", decision.digest, channel="api")
    parcels.effect(mission)
    rail.takeover(mission)
    Signal.objects.create(mission_id=mission.pk, seq=90, name="paid", payload=b'{"by":"card"}', key="k", sender="ann")
    Timeline.objects.create(
        mission_id=mission.pk, number=2, parent=1, to_seq=2, opened_seq=3, kept=[(1, 3), (3, None)], seed=uuid.uuid4(),
        verb="rollback", opened_at=database_now(),
    )
    Child.objects.create(child_id=mission.pk, parent_id=GONE, timeline=1, chapter=1, path="spawn#1")
    SharedChild.objects.create(mission_id=mission.pk, child_id=GONE)
    parcels.artifact(mission, "label.txt", CONTENT)
    Dependency.objects.create(
        mission_id=mission.pk, on_mission_id=GONE, met_at=database_now(), ended_as=State.COMPLETED
    )
    mission.refresh_from_db()
    return parcels.complete(mission)


def leave(mission: Mission) -> Archived:
    """Archive a mission inside the test's own transaction, without the snapshot that wants one of its own."""
    content = io.BytesIO()
    manifest = bundle.write(content, mission.pk, mission.uid)
    digest, length = archive._measured(content)
    archived = archive._seal(mission, manifest, digest, length, shelf.put(content, digest))
    assert archive.finish(archived)
    archived.refresh_from_db()
    return archived


def large(mission: Mission) -> Entry:
    """An entry whose payload lies in the store."""
    entry = parcels.append(mission, Kind.STEP, {"title": "Weigh", "result": "x" * 10})
    body, salt = codec.dump({"title": "Weigh", "result": "heavy " * 20_000}), chain.new_salt()
    stored, now = hashlib.sha256(body).digest(), database_now()
    Payload.objects.get_or_create(digest=stored, defaults={"body": body})
    digest = chain.digest(salt, body)
    link = chain.link(
        bytes(entry.chain), mission.uid, entry.seq + 1, 1, Kind.STEP, "weigh#2", b"", digest, chain.microseconds(now)
    )
    mission.head_seq = entry.seq + 1
    mission.save(update_fields=["head_seq"])
    return Entry.objects.create(
        mission_id=mission.pk, seq=entry.seq + 1, timeline=1, kind=Kind.STEP, path="weigh#2", input_hash=b"",
        stored=stored, salt=salt, digest=digest, chain=link, attempt=1, recorded_at=now,
    )
