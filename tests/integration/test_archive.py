"""The archive: what leaves comes back row by row, nothing is deleted before it is safe, and every damage is seen."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from missions import storage
from missions.engine import history, starting
from missions.engine.clock import database_now
from missions.engine.dsn import conninfo
from missions.errors import Kept, KeyReused, MissionArchived, NotArchived, Unrestorable
from missions.keeping import archive, bundle, parts, restoring, retention, shelf, verifying
from missions.models import (
    Archived,
    Artifact,
    BlobUse,
    BundlePiece,
    Dependency,
    Effect,
    Entry,
    Hold,
    Mission,
    OnFailure,
    Payload,
    Portion,
    State,
)
from missions.storage import blobs
from tests import forkserver, parcels, rail
from tests.archive import CONTENT, TABLES, rows_of, whole
from tests.conftest import Clock
from tests.decisions import SUPERVISORS, opened

pytestmark = pytest.mark.django_db(transaction=True)
NO_GRACE = dt.timedelta(0)


@pytest.fixture
def mission(olivia: User, sam: User) -> Mission:
    return whole(olivia, sam, title="For Ann", key="k1")


def left(mission: Mission) -> Archived:
    archived = archive.archive(mission.pk)
    assert archived is not None
    return archived


# -- There and back ----------------------------------------------------------------------------------------------------


def test_a_mission_leaves_whole_and_comes_back_row_by_row(mission: Mission, olivia: User) -> None:
    before = rows_of(mission.pk)
    assert set(before) == set(TABLES), "the mission has a row in every table"
    archived = left(mission)
    assert rows_of(mission.pk) == {}
    assert (archived.uid, archived.title, archived.verdict, archived.started_by) == (
        mission.uid, "For Ann", "delivered", "olivia",
    )  # fmt: skip
    assert (archived.entries, verifying.verify(archived).ok) == (mission.head_seq, True)
    Payload.objects.all().delete()  # collected meanwhile: the bundle brings it along
    assert storage.collect_unreferenced(NO_GRACE) == 1 and not Portion.objects.exists()
    assert restoring.restore(archived) == mission
    assert rows_of(mission.pk) == before
    assert history.verify(mission).ok
    assert b"".join(blobs.portions(hashlib.sha256(CONTENT).digest())) == CONTENT
    assert storage.collect_unreferenced(NO_GRACE) == 0
    with pytest.raises(NotArchived):
        restoring.restore(archived)


def test_content_that_another_mission_needs_stays_and_a_restored_mission_shares_it(mission: Mission) -> None:
    other = parcels.mission()
    parcels.artifact(other, "copy.txt", CONTENT)
    archived = left(mission)
    assert not Artifact.objects.filter(mission_id=mission.pk).exists()
    assert storage.collect_unreferenced(NO_GRACE) == 0
    restoring.restore(archived)
    assert sorted(BlobUse.objects.values_list("mission_id", flat=True)) == sorted([mission.pk, other.pk])
    assert Portion.objects.count() == 2


def test_a_restored_mission_may_leave_again_under_a_new_seal(mission: Mission) -> None:
    first = left(mission)
    restoring.restore(first)
    second = left(mission)
    assert (second.number, bytes(second.previous), bytes(second.digest)) == (2, bytes(first.seal), bytes(first.digest))
    assert verifying.verify(second).ok and verifying.verify(first).ok


def test_a_bundle_describes_itself_and_the_same_rows_give_the_same_bytes(mission: Mission) -> None:
    archived = left(mission)
    with shelf.opened(bytes(archived.digest), archived.location) as stored:
        lines = [json.loads(line) for line in gzip.decompress(stored.read()).splitlines()]
    assert lines[0] == {"format": "standfast.mission", "version": 1, "mission": str(mission.uid)}
    assert lines[-1] == {"manifest": archived.manifest}
    entries = [line["row"] for line in lines[1:-1] if line["part"] == "entries"]
    assert [entry["seq"] for entry in entries] == list(range(1, mission.head_seq + 1))
    assert all(entry["salt"] and entry["digest"] and entry["chain"] for entry in entries)
    assert all(entry["payload"] or entry["body"] for entry in entries)


def test_a_mission_leaves_in_a_bounded_number_of_statements(
    mission: Mission, olivia: User, sam: User, django_assert_max_num_queries: object
) -> None:
    other = whole(olivia, sam)
    left(mission)
    with django_assert_max_num_queries(120):  # type: ignore[operator]
        left(other)


def test_a_bundle_in_a_folder_is_one_file_and_comes_back(
    mission: Mission, tmp_path: Path, settings: Settings
) -> None:
    settings.MISSIONS_ARCHIVE_DIR = str(tmp_path)
    archived = left(mission)
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (file.stem.partition(".")[0], BundlePiece.objects.count()) == (bytes(archived.digest).hex(), 0)
    assert verifying.verify(archived).ok
    file.rename(file.with_suffix(".away"))
    assert "is missing" in verifying.verify(archived).reason
    file.with_suffix(".away").rename(file)
    assert restoring.restore(archived) == mission


def test_a_bundle_of_many_pieces_comes_back(mission: Mission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "PIECE_BYTES", 100)
    archived = left(mission)
    assert BundlePiece.objects.count() > 20
    assert restoring.restore(archived) == mission


def test_a_key_counts_once_also_when_its_mission_is_archived(mission: Mission, olivia: User) -> None:
    left(mission)
    with pytest.raises(MissionArchived) as refused:
        starting.start(parcels.TYPE, parcels.INPUT, key="k1", started_by=olivia)
    assert refused.value.facts["mission"] == str(mission.uid)
    assert not isinstance(refused.value, KeyReused)


# -- What stays --------------------------------------------------------------------------------------------------------


def test_append_only_rows_go_under_a_seal_and_in_no_other_way(mission: Mission, olivia: User) -> None:
    other = parcels.complete(rail.running(olivia))

    def delete(of: Mission, archiving: Mission) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select set_config('standfast.archiving', %s, true)", [str(archiving.pk)])
            cursor.execute("delete from missions_journal where mission_id = %s", [of.pk])

    with pytest.raises(DatabaseError, match="append-only: delete refused"):
        delete(mission, mission)  # no seal
    archived = archive._sealed(mission)
    with pytest.raises(DatabaseError, match="append-only: delete refused"):
        delete(other, mission)
    with pytest.raises(DatabaseError, match="append-only: update refused"), transaction.atomic():
        archive._let_go(mission.pk)
        Entry.objects.filter(mission_id=mission.pk).update(attempt=7)
    with pytest.raises(DatabaseError, match="append-only: delete refused"), transaction.atomic():
        Entry.objects.filter(mission_id=mission.pk).delete()  # a seal, and no leave in this transaction
    assert archive.finish(archived) is not None
    for change in (Archived.objects.all().delete, lambda: Archived.objects.update(verdict="other"),
                   lambda: Archived.objects.update(removed_at=None)):  # fmt: skip
        with pytest.raises(DatabaseError, match="the archive is append-only"), transaction.atomic():
            change()


def test_what_goes_on_is_held_or_asked_about_stays(olivia: User, mission: Mission) -> None:
    running, child, parent = rail.running(olivia), parcels.complete(rail.running(olivia)), rail.running(olivia)
    Mission.objects.filter(pk=child.pk).update(parent=parent.pk)
    asked = rail.running(olivia)
    opened(asked, SUPERVISORS)
    parcels.complete(asked)
    retention.hold(mission.pk, "a lawsuit", by="lee")
    with_child = parcels.complete(rail.running(olivia))
    Mission.objects.filter(pk=running.pk).update(parent=with_child.pk)
    for one, why in ((running, "state"), (child, "relatives"), (with_child, "relatives"), (asked, "open-decisions"),
                     (mission, "hold")):  # fmt: skip
        with pytest.raises(Kept) as kept:
            archive.archive(one.pk)
        assert kept.value.facts["why"] == why
    assert retention.release(mission.pk) and left(mission)
    parcels.complete(parent)
    assert left(child)


def test_what_another_mission_starts_after_stays_until_that_one_has_ended(olivia: User) -> None:
    first, second = parcels.complete(rail.running(olivia)), rail.running(olivia)
    Dependency.objects.create(
        mission_id=second.pk, on_mission_id=first.pk, policy=OnFailure.FAIL, met_at=database_now(), ended_as="failed"
    )
    with pytest.raises(Kept) as kept:
        archive.archive(first.pk)
    assert kept.value.facts["why"] == "awaited"
    parcels.complete(second)
    assert left(first) and left(second)


def test_a_mission_that_moved_on_after_its_seal_stays(mission: Mission) -> None:
    archived = archive._sealed(mission)
    Mission.objects.filter(pk=mission.pk).update(state=State.READY, control_seq=1)
    before = rows_of(mission.pk)
    assert archive.finish(archived) is None
    assert rows_of(mission.pk) == before
    archived.refresh_from_db()
    assert archived.returned_at is not None and archived.removed_at is None


@pytest.mark.parametrize("change", ["effect", "signal"])
def test_a_row_that_is_not_in_the_bundle_is_never_deleted(mission: Mission, change: str) -> None:
    archived = archive._sealed(mission)
    if change == "effect":
        Effect.objects.filter(mission_id=mission.pk).update(state="undone")
    else:
        parcels.append(mission, "observed", {"text": "late"})
    assert archive.finish(archived) is None
    assert Entry.objects.filter(mission_id=mission.pk).exists()


def test_a_row_that_somebody_holds_is_not_waited_for(mission: Mission) -> None:
    with psycopg.connect(conninfo("standfast test")) as other:
        other.execute("select 1 from missions_mission where id = %s for update", [mission.pk])
        assert archive.archive(mission.pk) is None
    assert Mission.objects.filter(pk=mission.pk).exists()
    assert archive.halfway(10) == [mission.pk] and left(mission)
    assert rows_of(mission.pk) == {}


def test_a_part_that_nobody_contributes_stops_the_removal(mission: Mission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_parts", {name: one for name, one in parts._parts.items() if name != "decisions"})
    with pytest.raises(DatabaseError, match="foreign key"):
        archive.archive(mission.pk)
    assert Entry.objects.filter(mission_id=mission.pk).exists()


def test_a_contributor_from_above_is_asked_and_gets_its_rows_back(
    mission: Mission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_parts", dict(parts._parts))
    parts.contributor("holds", Hold)(lambda one: Hold.objects.filter(pk=-one).order_by("pk"))
    Hold.objects.create(mission_id=-mission.pk, reason="mine")
    archived = left(mission)
    assert (archived.manifest["parts"]["holds"]["rows"], Hold.objects.count()) == (1, 0)
    restoring.restore(archived)
    assert Hold.objects.get().reason == "mine"


# -- Damage ------------------------------------------------------------------------------------------------------------


def piece(archived: Archived, change: Callable[[bytes], bytes]) -> None:
    found = BundlePiece.objects.get(digest=bytes(archived.digest), number=0)
    BundlePiece.objects.filter(digest=found.digest).update(body=change(bytes(found.body)))


def forged(content: bytes) -> bytes:
    """Another verdict, in a bundle that is whole in itself but for the hash of that part."""
    return gzip.compress(gzip.decompress(content).replace(b"delivered", b"destroyed"), mtime=0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content[:-9], "can not be read"),
        (lambda content: content[:200] + b"\0" + content[201:], "can not be read|not as the manifest tells"),
        (forged, "not as the manifest tells|does not follow|was changed"),
        (lambda content: content + gzip.compress(b""), "bytes are not those"),
    ],
    ids=["cut", "flipped", "forged", "longer"],
)  # fmt: skip
def test_a_damaged_bundle_is_seen_keeps_the_rows_and_is_not_restored(
    mission: Mission, change: Callable[[bytes], bytes], told: str
) -> None:
    archived = archive._sealed(mission)
    piece(archived, change)
    with pytest.raises(bundle.Damaged, match=told):
        archive.finish(archived)
    assert Entry.objects.filter(mission_id=mission.pk).exists()
    with pytest.raises(Unrestorable, match=told):
        restoring.restore(archived)


def test_a_seal_from_elsewhere_a_changed_row_and_a_missing_link_are_seen(
    mission: Mission, olivia: User, settings: Settings
) -> None:
    left(mission)
    second = left(parcels.complete(rail.running(olivia)))
    assert verifying.verify(second).ok
    fallback, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    assert verifying.verify(second).reason == "The seal does not hold."
    settings.SECRET_KEY_FALLBACKS = [fallback]
    assert verifying.verify(second).ok
    second.manifest = {**second.manifest, "entries": 7}
    assert verifying.verify(second).reason == "The seal does not hold."
    with connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")
        cursor.execute("delete from missions_archive where number = 1")
        cursor.execute("set session_replication_role = origin")
    assert "does not follow" in verifying.verify(Archived.objects.get(number=2)).reason


# -- Killed anywhere ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["bundle_shelved", "bundle_sealed", "bundle_checked", "mid_removal"])
def test_killed_between_any_two_steps_it_goes_on_and_loses_nothing(
    mission: Mission, process_environment: dict[str, str], point: str
) -> None:
    before = rows_of(mission.pk)
    environment = {**process_environment, "STANDFAST_CRASH_AT": point}
    done = forkserver.run(["manage.py", "mission", "archive", str(mission.uid)], environment, seconds=60)
    assert (done.returncode, f"crash point {point}" in done.stderr) == (-9, True), done.stderr
    assert rows_of(mission.pk) == before
    assert BundlePiece.objects.count() == 1
    assert archive.halfway(10) == ([] if point == "bundle_shelved" else [mission.pk])
    assert left(mission).number == 1
    assert (rows_of(mission.pk), BundlePiece.objects.count(), Archived.objects.count()) == ({}, 1, 1)
    restoring.restore(Archived.objects.get())
    assert rows_of(mission.pk) == before


# -- Retention ---------------------------------------------------------------------------------------------------------


def test_missions_are_kept_for_ever_unless_somebody_says_how_long(
    mission: Mission, clock: Clock, settings: Settings, django_assert_num_queries: object
) -> None:
    now = clock.advance(days=1000)
    with django_assert_num_queries(2):  # type: ignore[operator]  # the time, and what was begun
        assert retention.run(before=now) == retention.Finding()
    settings.MISSIONS_KEEP_DAYS = 30
    assert retention.run(before=clock.now()) == retention.Finding(archived=1)


def test_retention_takes_the_oldest_first_within_bounds_and_passes_over_what_is_kept(
    olivia: User, clock: Clock, settings: Settings
) -> None:
    settings.MISSIONS_KEEP_DAYS = 30
    ended = [parcels.complete(rail.running(olivia)) for _ in range(5)]
    clock.advance(days=29)
    fresh = parcels.complete(rail.running(olivia))
    retention.hold(ended[0].pk, "a lawsuit")
    clock.advance(days=2)
    assert retention.run(before=clock.now(), most=2).archived == 2
    assert list(Mission.objects.order_by("pk")) == [ended[0], *ended[3:], fresh]
    assert retention.run(before=clock.now()).archived == 2
    assert list(Mission.objects.order_by("pk")) == [ended[0], fresh]
    assert retention.run(before=clock.now() - retention.dt.timedelta(days=900)).archived == 0


def test_a_type_may_keep_its_missions_longer_and_what_came_back_stays_as_long_again(
    olivia: User, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MISSIONS_KEEP_DAYS = 10
    kind = parcels.registry.register(parcels.TYPE, 1, "Deliver a parcel", parcels.parcel, keep_days=20)
    assert kind.keep_days == 20
    mission = parcels.complete(rail.running(olivia))
    try:
        clock.advance(days=15)
        assert retention.run(before=clock.now()).archived == 0
        clock.advance(days=6)
        assert retention.run(before=clock.now()).archived == 1
        restoring.restore(Archived.objects.get())
        clock.advance(days=15)
        assert retention.run(before=clock.now()).archived == 0
        clock.advance(days=6)
        assert retention.run(before=clock.now()).archived == 1
    finally:
        parcels.registry.register(parcels.TYPE, 1, "Deliver a parcel", parcels.parcel)
    assert not Mission.objects.filter(pk=mission.pk).exists()


def test_the_migration_goes_back_and_forth() -> None:
    call_command("migrate", "approvals", "0001", verbosity=0)
    call_command("migrate", "approvals", verbosity=0)
