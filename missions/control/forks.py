"""Forking: a new mission that shares another one's history up to a point, and goes on from there by itself.

The prefix is copied under the new mission's own chain. Outcomes in it are replayed, never done again; effects after the
point get keys of the new mission. With effects off, as by default, every tool that changes the world is denied.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Subquery
from psycopg.types.range import Range

from missions.control.lineage import Point, snap, spans
from missions.control.rollback import seed_of
from missions.engine import chain, children, codec, feed, history
from missions.engine.clock import database_now
from missions.engine.record import OF_CONTROLS
from missions.models import Artifact, BlobUse, Brief, Engagement, Entry, Forked, Goal, Kind, Mission, Timeline

BATCH = 500
PLACED = (Kind.ARTIFACT, Kind.AGENT)  # entries that rows of other tables mirror by their seq


@transaction.atomic
def fork(
    mission: Mission, at: int, *, title: str = "", effects: bool = False, by: User | None = None, via: str = "api"
) -> Mission:
    """A new mission with the history of `mission` up to entry `at`, snapped back to where nothing was under way.

    Own transaction; the source is read only. Raises ControlRefused for an entry that its timeline does not hold.
    """
    point, now = snap(mission, at), database_now()
    source = Mission.objects.select_related("brief").get(pk=mission.pk)
    number = source.timeline + 1
    made = Mission.objects.create(
        type=source.type, version=source.version, timeline=number, chapter=point.chapter, priority=source.priority,
        inbox_seq=source.inbox_seq,  # the prefix tells of the source's mail: what comes here has later numbers
    )
    named = title or f"{source.brief.title} (fork)"
    Brief.objects.create(mission=made, title=named[:200], started_by=by, started_via=via, started_at=now)
    last, link, places, spawned = _copy(source, made, point)
    _share_content(source, made, places)
    _share_purpose(source, made, point, places)
    Forked.objects.create(mission_id=made.pk, source_id=source.pk, source_seq=point.seq, own_seq=last)
    children.share(source.pk, made.pk, spawned)
    opened = {
        "number": number, "parent": source.timeline, "to_seq": last, "verb": "fork", "reason": "", "guidance": "",
        "by": by.get_username() if by else "", "source": str(source.uid), "source_seq": point.seq, "effects": effects,
    }
    _append(made, last + 1, number, Kind.TIMELINE, opened, link, now)
    _timelines(source, made, number, last)
    begun = Entry.objects.filter(mission_id=made.pk, kind=Kind.CHAPTER).order_by("-seq").values_list("seq", flat=True)
    Mission.objects.filter(pk=made.pk).update(
        head_seq=last + 1, replay_from=begun.first() or 1, wake_at=now, effects_off=not effects
    )
    feed.announce(f"m{made.pk}")
    feed.announce_due()
    made.refresh_from_db()
    return made


def _prefix(source: Mission, point: Point) -> Iterator[Entry]:
    """The entries that are copied: the lineage up to the point, without what steered the source."""
    kept = spans(source)
    rows = Entry.objects.filter(mission_id=source.pk, seq__lte=point.seq).order_by("seq")
    for row in rows.iterator(chunk_size=BATCH):
        on_lineage = any(low <= row.seq and (high is None or row.seq <= high) for low, high in kept)
        if on_lineage and not row.path.startswith(OF_CONTROLS):
            yield row


def _copy(source: Mission, made: Mission, point: Point) -> tuple[int, bytes, dict[int, int], set[str]]:
    """Copy the prefix under the new mission's chain.

    The last seq, its link, where the entries went that rows mirror, and the children that it tells of.
    """
    seq, link, batch, places, spawned = 0, chain.GENESIS, list[Entry](), dict[int, int](), set[str]()
    for row in _prefix(source, point):
        seq += 1
        if row.kind in PLACED:
            places[row.seq] = seq
        if row.kind == Kind.SPAWNED:
            spawned.add(str(history.decode([row])[0].payload.get("child", "")))
        link = chain.link(
            link, made.uid, seq, row.timeline, row.kind, row.path, bytes(row.input_hash), bytes(row.digest),
            chain.microseconds(row.recorded_at),
        )
        batch.append(Entry(
            mission_id=made.pk, seq=seq, timeline=row.timeline, kind=row.kind, path=row.path, salt=row.salt,
            input_hash=row.input_hash, payload=row.payload, stored=row.stored, digest=row.digest, chain=link,
            attempt=0, recorded_at=row.recorded_at,
        ))
        if len(batch) == BATCH:
            Entry.objects.bulk_create(batch)
            batch = []
    Entry.objects.bulk_create(batch)
    return seq, link, places, spawned - {""}


def _share_content(source: Mission, made: Mission, places: dict[int, int]) -> None:
    """The artifacts of the prefix are the fork's too, and so is all content that its entries may name."""
    for row in Artifact.objects.filter(mission_id=source.pk, seq__in=places):
        row.mission_id, row.seq = made.pk, places[row.seq]
        row.save(force_insert=True)
    uses = BlobUse.objects.filter(mission_id=source.pk).values_list("digest", flat=True)
    BlobUse.objects.bulk_create([BlobUse(digest=digest, mission_id=made.pk) for digest in uses], batch_size=BATCH)


def _share_purpose(source: Mission, made: Mission, point: Point, places: dict[int, int]) -> None:
    """Who works under which version there works so here; what the goal was at the point is the fork's."""
    for row in Engagement.objects.filter(mission_id=source.pk, seq__in=places).order_by("seq"):
        told = {"agent": row.agent, "version": row.version, "at": row.at}
        Engagement.objects.create(mission_id=made.pk, seq=places[row.seq], **told)
    then = Entry.objects.filter(mission_id=source.pk, seq=point.seq).values("recorded_at")
    for goal in Goal.objects.filter(mission_id=source.pk, at__lte=Subquery(then)).order_by("version"):
        goal.pk, goal.mission_id, goal.key = None, made.pk, f"{made.pk}:fork:{goal.version}"
        goal.save(force_insert=True)


def _append(made: Mission, seq: int, timeline: int, kind: Kind, payload: dict[str, Any], link: bytes, now: Any) -> None:
    body, salt = codec.dump(payload), chain.new_salt()
    digest = chain.digest(salt, body)
    Entry.objects.create(
        mission_id=made.pk, seq=seq, timeline=timeline, kind=kind, path="", input_hash=b"", payload=body, salt=salt,
        digest=digest, attempt=0, recorded_at=now,
        chain=chain.link(link, made.uid, seq, timeline, kind, "", b"", digest, chain.microseconds(now)),
    )


def _timelines(source: Mission, made: Mission, number: int, last: int) -> None:
    """The source's seeds come along, so that ids in the prefix stay the same; the fork's is its own."""
    known = {row.number: row for row in Timeline.objects.filter(mission_id=source.pk)}
    whole = [Range(1, None)]
    for earlier in range(1, number):
        row = known.get(earlier)
        seed = row.seed if row is not None else seed_of(source.uid, earlier)
        Timeline.objects.create(
            mission_id=made.pk, number=earlier, parent=row.parent if row else 0, to_seq=row.to_seq if row else 0,
            opened_seq=1, kept=whole, seed=seed, verb="fork", guidance=row.guidance if row else "",
        )
    Timeline.objects.create(
        mission_id=made.pk, number=number, parent=number - 1, to_seq=last, opened_seq=last + 1, kept=whole,
        seed=uuid.UUID(bytes=hashlib.sha256(f"{made.uid}/fork".encode()).digest()[:16]), verb="fork",
    )
