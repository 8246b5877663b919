"""Artifacts: kept once, whole or not at all, in bounded memory; and the collection of what nobody needs."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from missions.authoring import ArtifactRef, Context, PayloadTooLarge, StepCall, ToolCall, Verdict, tool
from missions.engine import history
from missions.engine.mailbox import deliver
from missions.errors import UnknownArtifact
from missions.models import Artifact, Blob, BlobUse, Payload, Portion
from missions.storage import artifacts, blobs, collect, collect_unreferenced
from tests import corners, live_worker
from tests.conftest import Clock
from tests.corners import allow, begin, define

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1024 * 1024
LARGE = bytes(range(256)) * 4096 * 2 + b"the end"  # a little over 2 MiB


class Pipe(io.RawIOBase):
    """A stream that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._inner = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(buffer)


def measure(call: StepCall, ref: ArtifactRef) -> dict[str, Any]:
    """Measured the artifact."""
    with call.open_artifact(ref) as stream:
        head = stream.read(4).hex()
        stream.seek(-7, io.SEEK_END)
        return {"head": head, "tail": stream.read().decode()}


@tool(name="corner.digest", effect="read")
def digest_of(call: ToolCall, ref: dict[str, Any]) -> str:
    """Take the digest"""
    with call.open_artifact(ref) as stream:
        return hashlib.file_digest(cast(Any, stream), "sha256").hexdigest()


@pytest.mark.parametrize("kind", ["bytes", "path", "stream", "pipe"])
def test_artifact_is_kept_once_and_can_be_read_in_steps_and_tools(kind: str, tmp_path: Path) -> None:
    allow()
    made: list[str] = []

    def content() -> Any:
        made.append(kind)
        (tmp_path / "large").write_bytes(LARGE)
        return {
            "bytes": lambda: LARGE, "path": lambda: tmp_path / "large", "stream": lambda: io.BytesIO(LARGE),
            "pipe": lambda: io.BufferedReader(Pipe(LARGE)),
        }[kind]()  # fmt: skip

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        ref = await m.artifact("report.csv", corners.unguarded(content))
        again = await m.artifact("report.csv", "text of the same name")
        told = await m.step("measure", measure, ref)
        digest = await m.tool("corner.digest", ref=ref)
        await m.wait_for_signal("go")
        whole = await m.read_artifact(ref)
        return Verdict("kept", data={
            "ref": ref, "told": told, "digest": digest, "whole": whole == LARGE,
            "again": (await m.read_artifact(again)).decode(),
        })

    run = begin(define(f"keeps-{kind}", body))
    with live_worker.worker():
        live_worker.parked(run, "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert run.outcome.verdict == "kept", run.outcome.error
    digest = hashlib.sha256(LARGE).hexdigest()
    assert run.outcome.data == {
        "ref": {"name": "report.csv", "digest": digest, "size": len(LARGE), "media_type": "text/csv"},
        "told": {"head": "00010203", "tail": "the end"}, "digest": digest, "whole": True,
        "again": "text of the same name",
    }  # fmt: skip
    assert len(made) == 2, "it was parked and came back"
    assert Artifact.objects.filter(mission_id=run.pk, name="report.csv").count() == 2
    assert max(len(bytes(body)) for body in Portion.objects.values_list("body", flat=True)) == MIB
    assert BlobUse.objects.filter(mission_id=run.pk).count() == 2


class Endless(io.RawIOBase):
    """More than anybody wants."""

    given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        return len(buffer)


def test_artifact_over_the_limit_is_refused_by_name_and_replay_refuses_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(artifacts, "LIMIT_BYTES", 3 * MIB)
    endless = Endless()

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            await m.artifact("huge.bin", cast(BinaryIO, endless))
        except PayloadTooLarge as error:
            await m.wait_for_signal("go")
            return Verdict("refused", summary=str(error))
        return Verdict("kept")

    run = begin(define("keeps-too-much", body))
    with live_worker.worker():
        live_worker.parked(run, "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert run.outcome.verdict == "refused" and "'huge.bin'" in run.outcome.summary
    assert "3,145,728" in run.outcome.summary
    assert endless.given <= 6 * MIB and not Blob.objects.exists() and not Artifact.objects.exists()


def test_keeping_takes_memory_for_a_few_portions_however_large_the_content(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(48 * MIB)
    tracemalloc.start()
    try:
        source = blobs.measured(tmp_path / "sparse", 256 * MIB, "It")
        blobs.store(source)
        source.close()
        read = sum(len(portion) for portion in blobs.portions(source.digest))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == 48 * MIB and Portion.objects.count() == 48
    assert peak < 12 * MIB


def test_content_that_changes_while_it_is_kept_is_not_kept_by_halves(tmp_path: Path) -> None:
    file = tmp_path / "growing"
    file.write_bytes(LARGE)
    source = blobs.measured(file, 256 * MIB, "It")
    file.write_bytes(LARGE[::-1])
    with pytest.raises(ValueError, match="changed"):
        blobs.store(source)
    source.close()
    assert not Blob.objects.exists() and not Portion.objects.exists()


# -- Collection --------------------------------------------------------------------------------------------------------


def stored(content: bytes) -> bytes:
    source = blobs.measured(content, MIB, "It")
    blobs.store(source)
    return source.digest


def test_collection_removes_what_nobody_needs_and_leaves_what_is_needed_or_fresh(clock: Clock) -> None:
    old, needed, offered = stored(b"old"), stored(b"needed"), stored(b"offered")
    BlobUse.objects.create(digest=needed, mission_id=1)
    assert collect_unreferenced(dt.timedelta(hours=1)) == 0
    clock.advance(hours=2)
    fresh = stored(b"fresh")
    assert stored(b"offered") == offered, "offered again: somebody is about to name it"
    assert collect_unreferenced(dt.timedelta(hours=1)) == 1
    assert {bytes(pk) for pk in Blob.objects.values_list("pk", flat=True)} == {needed, offered, fresh}
    assert b"".join(blobs.portions(needed)) == b"needed"
    with pytest.raises(UnknownArtifact):
        list(blobs.portions(old))


def test_collection_leaves_payloads_that_an_entry_names(clock: Clock) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        return Verdict("large", data={"text": await m.step("write", lambda: "x" * 100_000)})

    run = begin(define("large-payload", body))
    with live_worker.worker():
        live_worker.ended(run)
    Payload.objects.create(digest=hashlib.sha256(b"orphan").digest(), body=b"orphan")
    named = Payload.objects.count() - 1
    assert named >= 1 and collect().payloads == 0
    clock.advance(days=2)
    assert collect().payloads == 1
    assert Payload.objects.count() == named and history.verify(run).ok
