"""The workspace of a mission in memory: which state is on record, and the local copy of it.

The record is the truth: an entry names the manifest that its step left behind, so replay, rollback and fork bring the
folder back as of their point. A copy that is not known to equal the record is thrown away and restored.

Branches side by side share the folder; each records all that it finds as it ends, one after the other.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from missions.engine.run import Run
from missions.engine.writes import Release, Side
from missions.governance import Json
from missions.models import ENDED
from missions.storage import artifacts, blobs, local

_of: weakref.WeakKeyDictionary[Run, Workspace] = weakref.WeakKeyDictionary()


def workspace_of(run: Run) -> Workspace:
    """The one workspace of a run."""
    known = _of.get(run)
    if known is None:
        known = _of[run] = Workspace()
    return known


def note(run: Run, payload: Json) -> None:
    """Replay hands each entry here in order: the last one that names a workspace says what it is."""
    if "workspace" in payload:
        workspace_of(run).digest = str(payload["workspace"])


class Workspace:
    """Used from the run's event loop, but for `begin_use`. Holds no reference to the run, which would keep it alive."""

    def __init__(self) -> None:
        self.digest = ""  # the manifest on record; empty: nothing was ever kept
        self.users = 0  # calls under way that may be writing there
        self.copy: local.Copy | None = None
        self._guard = threading.Lock()
        self._recording = asyncio.Lock()
        self._follows = False

    async def prepare(self, run: Run, manifest: str) -> bool:
        """Have a copy of this manifest here; False where others are at work in a copy of another one.

        Raises UnknownArtifact, WorkspaceRefused, OSError.
        """
        async with self._recording:
            if self.users == 0 and (self.copy is None or self.copy.manifest != manifest):
                self.copy = await run.owner.in_database(local.take, run.head, manifest)
            return self.copy is not None and self.copy.manifest == manifest

    def begin_use(self, run: Run) -> Path:
        """The folder, which from here on may hold anything; from any thread. What is on record was prepared before."""
        with self._guard:
            if self.copy is None:
                self.copy = local.take(run.head, "")
            self.users += 1
            self.copy.begin_use()
            if not self._follows:
                self._follows, uid, previous = True, run.claimed.uid, run.on_release

                def left(release: Release) -> None:
                    previous(release)
                    if release.state in ENDED:
                        blobs.aside(local.forget, uid)

                run.on_release = left
            return self.copy.folder

    def end_use(self, manifest: str | None) -> None:
        """A use has ended: its manifest is on record, or (None) the copy is worth nothing, unless others work there."""
        with self._guard:
            self.users -= 1
            if manifest is not None:
                self.digest = manifest
            if self.users == 0 and manifest is None:
                self.copy = None
            elif self.users == 0 and self.copy is not None:
                self.copy.end_use()

    async def capture(self, run: Run) -> tuple[str, Side]:
        """Keep the folder as it is: its manifest, and what goes with the entry. Raises WorkspaceRefused, OSError."""
        if self.copy is None:
            raise RuntimeError("the workspace is not in use")
        needed = await run.owner.in_database(local.capture, self.copy)
        return self.copy.manifest, artifacts.used(needed)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Hold this from capture to commit: manifests must be recorded in the order in which they were taken."""
        async with self._recording:
            yield
