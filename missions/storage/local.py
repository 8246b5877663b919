"""Local copies of workspaces, below DATA_DIR/workspaces/UID. Synchronous; owns these folders.

A copy is a folder ATTEMPT-RANDOM. While nobody uses it, the file beside it, ATTEMPT-RANDOM.json, says which manifest it
equals; without that file it may hold anything and is thrown away. So a worker that died in a step, or a thread that
outlives its time-out, leaves nothing that a later step could see. A worker never removes copies of later attempts.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from missions.engine import hosts
from missions.engine.writes import Head
from missions.errors import WorkspaceRefused
from missions.models import ENDED, Mission, Worker
from missions.storage import blobs, manifests
from missions.storage.manifests import File, Stamp

RACY_NS = 2_000_000_000  # a file as young as that may change again under the same stamp
UNUSED_SECONDS = 3600.0


@dataclass(slots=True)
class Copy:
    """A local copy: where, which manifest it was made from or captured as, and what is known of its files."""

    folder: Path
    manifest: str
    known: dict[str, tuple[Stamp, str]] = field(default_factory=dict)  # path → stamp, digest

    @property
    def _marker(self) -> Path:
        return self.folder.with_suffix(".json")

    def begin_use(self) -> None:
        """From here on it may hold anything."""
        self._marker.unlink(missing_ok=True)

    def end_use(self) -> None:
        """It equals its manifest again."""
        new = self.folder.with_suffix(".new")
        new.write_text(json.dumps({"manifest": self.manifest}))
        new.replace(self._marker)


def root() -> Path:
    """Where all copies lie."""
    return Path(settings.DATA_DIR) / "workspaces"


def take(head: Head, manifest: str) -> Copy:
    """A copy that equals `manifest` (empty: nothing), for this attempt alone: one that lies here, or a restored one.

    Raises UnknownArtifact, WorkspaceRefused, OSError.
    """
    base = root() / str(head.uid)
    base.mkdir(parents=True, exist_ok=True)
    fresh = base / f"{head.attempt}-{secrets.token_hex(4)}"
    copy = Copy(fresh, manifest)
    for old in _ours(base, head.attempt):
        kept = old.with_suffix(".json")
        if not fresh.exists() and _says(kept) == manifest:
            kept.unlink()
            old.rename(fresh)
        else:
            _remove(old)
    if not fresh.exists():
        fresh.mkdir()
        _restore(copy)
    return copy


def _ours(base: Path, attempt: int) -> Iterator[Path]:
    """The copies of this attempt and of earlier ones."""
    for folder in sorted(base.iterdir(), reverse=True):
        number = folder.name.partition("-")[0]
        if folder.suffix == "" and number.isdecimal() and int(number) <= attempt:
            yield folder


def _says(marker: Path) -> str | None:
    try:
        return str(json.loads(marker.read_text())["manifest"])
    except (OSError, ValueError, KeyError):
        return None  # in use when its worker died, or never finished


def _remove(folder: Path) -> None:
    folder.with_suffix(".json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)  # who still writes there was given up; what is left is swept later


def _restore(copy: Copy) -> None:
    if not copy.manifest:
        return
    for file in manifests.decode(b"".join(blobs.portions(bytes.fromhex(copy.manifest)))):
        target = copy.folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as written:
            for portion in blobs.portions(bytes.fromhex(file.digest)):
                written.write(portion)
        target.chmod(0o755 if file.executable else 0o644)
        facts = target.stat()
        copy.known[file.path] = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino), file.digest


def capture(copy: Copy) -> list[bytes]:
    """Keep all files as they are now; sets the copy's manifest and returns the blobs that it needs.

    Files that did not change are not read again. Raises WorkspaceRefused.
    """
    files: list[File] = []
    known: dict[str, tuple[Stamp, str]] = {}
    left, since = settings.MISSIONS_WORKSPACE_BYTES, time.time_ns() - RACY_NS
    with closing(manifests.found_in(copy.folder)) as found:
        for one in found:
            left -= one.stamp[0]
            if left < 0:
                most = settings.MISSIONS_WORKSPACE_BYTES
                raise WorkspaceRefused(f"The workspace takes more than {most:,} bytes, which is the limit.")
            stamp, digest = copy.known.get(one.path, (None, ""))
            if stamp != one.stamp or one.stamp[2] > since:
                digest = _kept(one.handle, one.stamp[0])
            known[one.path] = one.stamp, digest
            files.append(File(one.path, digest, one.stamp[0], one.executable))
    manifest = blobs.measured(manifests.encode(files), settings.MISSIONS_WORKSPACE_BYTES, "The list of files")
    blobs.store(manifest)
    copy.known, copy.manifest = known, manifest.digest.hex()
    return [manifest.digest, *{bytes.fromhex(file.digest) for file in files}]


def _kept(handle: int, size: int) -> str:
    with open(os.dup(handle), "rb") as stream:
        source = blobs.measured(stream, size, "A file of the workspace, which grew while it was kept,")
        blobs.store(source)
        return source.digest.hex()


def forget(uid: uuid.UUID) -> None:
    """Remove all local copies of a mission."""
    shutil.rmtree(root() / str(uid), ignore_errors=True)


def sweep_local(unused_seconds: float = UNUSED_SECONDS) -> int:
    """Remove the copies of missions that ended, are unknown, or left this host that long ago; how many."""
    with suppress(FileNotFoundError):
        return sum(_swept(folder, unused_seconds) for folder in list(root().iterdir()))
    return 0


def _swept(folder: Path, unused_seconds: float) -> bool:
    try:
        mission = Mission.objects.filter(uid=uuid.UUID(folder.name)).only("state", "owner").first()
        last = max(one.stat().st_mtime for one in (folder, *folder.iterdir()))
    except (OSError, ValueError):
        return False  # it is going away, or is none of ours
    if mission is not None and mission.state not in ENDED:
        here = Worker.objects.filter(pk=mission.owner or 0, host=hosts.identity().host)
        if time.time() - last < unused_seconds or (mission.owner is not None and here.exists()):
            return False
    shutil.rmtree(folder, ignore_errors=True)
    return True
