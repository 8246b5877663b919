"""Moves ended missions out of the hot tables: write the bundle, shelve it, seal it, read it back, remove the rows.

Each step is durable before the next one begins, so a process may die anywhere: what was sealed is taken up again
(`halfway`), what was not is done anew with the same bytes. Nothing is deleted before its bundle was read back whole
from where it lies. The rows go in one transaction, under the mission's row lock (skipped where somebody holds it), and
only if they are still what the bundle says. No transaction that writes is open while a bundle is written or read: it
would hold back everybody who tails the journal.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from typing import IO

from django.db import connection, transaction
from django.db.models import F

from missions.engine import crashpoints
from missions.engine.clock import database_now
from missions.errors import Kept, UnknownMission
from missions.keeping import bundle, parts, seal, shelf, verifying
from missions.keeping.parts import Json
from missions.models import ENDED, Archived, Entry, Mission
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)
IN_MEMORY = 4 * 1024 * 1024  # a bundle larger than this is written to disk first
SEALING = 0x5EA1  # the advisory lock under which seals are chained


def archive(mission_id: int) -> Archived | None:
    """Archive one ended mission. None where it was left for later: its row is held, or it changed meanwhile.

    Own transactions. Raises UnknownMission, Kept (it goes on, or something still needs it), bundle.Damaged, OSError.
    """
    mission = Mission.objects.filter(pk=mission_id).first()
    if mission is None:
        raise UnknownMission
    begun = Archived.objects.filter(mission_id=mission_id, removed_at=None, returned_at=None).first()
    return finish(begun or _sealed(mission))


def halfway(most: int) -> list[int]:
    """Ids of missions that were sealed and not removed, by a process that died or could not; `archive` goes on."""
    found = Archived.objects.filter(removed_at=None, returned_at=None).order_by("number")
    return list(found.values_list("mission_id", flat=True)[:most])


def finish(archived: Archived) -> Archived | None:
    """Read a sealed bundle back and remove its rows. Raises Damaged: then everything stays."""
    found = verifying.verify(archived)
    if not found.ok:
        raise bundle.Damaged(f"Nothing of mission {archived.uid} was removed: {found.reason}")
    crashpoints.reach("bundle_checked")
    return archived if _remove(archived) else None


def _refuse_kept(mission: Mission) -> None:
    if mission.state not in ENDED:
        raise Kept(f"The mission is {mission.state}; only what has ended leaves.", why="state")
    if why := parts.kept([mission.pk]).get(mission.pk):
        raise Kept(f"The mission stays: {why}.", why=why)


def _sealed(mission: Mission) -> Archived:
    _refuse_kept(mission)
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as content:
        manifest = _written(content, mission)
        digest, length = _measured(content)
        location = shelf.put(content, digest)
    crashpoints.reach("bundle_shelved")
    archived = _seal(mission, manifest, digest, length, location)
    crashpoints.reach("bundle_sealed")
    return archived


def _written(content: IO[bytes], mission: Mission) -> Json:
    """One snapshot for all parts; it only reads, so it holds nobody back."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        return bundle.write(content, mission.pk, mission.uid)


def _measured(content: IO[bytes]) -> tuple[bytes, int]:
    content.seek(0)
    hashed = hashlib.sha256()
    for piece in iter(lambda: content.read(shelf.PIECE_BYTES), b""):
        hashed.update(piece)
    return hashed.digest(), content.tell()


@transaction.atomic
def _seal(mission: Mission, manifest: Json, digest: bytes, length: int, location: str) -> Archived:
    """Add a bundle to the chain of seals; one at a time."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [SEALING])
    if twin := Archived.objects.filter(mission_id=mission.pk, returned_at=None).first():
        return twin  # another process was faster
    last, now = Archived.objects.order_by("-number").first(), database_now()
    number, previous = (last.number + 1, bytes(last.seal)) if last else (1, seal.FIRST)
    outcome, starter = getattr(mission, "outcome", None), mission.brief.started_by
    return Archived.objects.create(
        number=number, mission_id=mission.pk, uid=mission.uid, type=mission.type, title=mission.brief.title,
        state=mission.state, verdict=outcome.verdict if outcome else "", started_by_id=mission.brief.started_by_id,
        started_by=starter.get_username() if starter else "", started_at=mission.brief.started_at,
        ended_at=outcome.ended_at if outcome else now, idempotency_key=mission.idempotency_key,
        entries=manifest["entries"], chain_head=bytes.fromhex(manifest["chain_head"]), manifest=manifest, digest=digest,
        bytes=length, location=location, previous=previous, sealed_at=now,
        seal=seal.make(number, previous, digest, manifest, now),
    )


@transaction.atomic
def _remove(archived: Archived) -> bool:
    """Delete the rows under a seal, if they are still what was sealed; whether they are gone."""
    mission = Mission.objects.select_for_update(skip_locked=True).filter(pk=archived.mission_id).first()
    if mission is None:
        return False
    now = Archived.objects.select_for_update().get(pk=archived.pk)
    if now.removed_at is not None or now.returned_at is not None:
        return False
    if parts.kept([mission.pk]) or _changed(mission, archived):
        Archived.objects.filter(pk=archived.pk).update(returned_at=DatabaseNow())
        logger.warning("A mission stays after all", extra={"action": "archive_left", "mission": str(archived.uid)})
        return False
    _let_go(mission.pk)
    for part in reversed(parts.all_parts()):
        part.remove(mission.pk)
    _let_go(None)
    crashpoints.reach("mid_removal")
    Archived.objects.filter(pk=archived.pk).update(removed_at=DatabaseNow())
    return True


def _let_go(mission_id: int | None) -> None:
    """Allow this transaction to delete this mission's append-only rows; see the triggers."""
    with connection.cursor() as cursor:
        cursor.execute("select set_config('standfast.archiving', %s, true)", [str(mission_id or "")])


def _changed(mission: Mission, archived: Archived) -> bool:
    """Whether any row differs from what was sealed. The journal is append-only: its length and head tell enough."""
    told = archived.manifest["parts"]
    if {part.name for part in parts.all_parts()} != set(told):
        return True  # sealed by another version of the code
    journal = Entry.objects.filter(mission_id=mission.pk)
    last = journal.order_by("-seq").values_list(F("seq"), F("chain")).first()
    if (journal.count(), last and (last[0], bytes(last[1]))) != (
        told[parts.HOT]["rows"], (archived.entries, bytes(archived.chain_head)),
    ):
        return True
    short = (part for part in parts.all_parts() if part.name != parts.HOT and not part.shared)
    return any(bundle.tally(part, mission.pk) != told[part.name] for part in short)
