"""What every durable call of a context shares: its run, and the branch that it is made from."""

from __future__ import annotations

import uuid
import weakref

from missions.engine import codec
from missions.engine.branches import Branch, current_branch
from missions.engine.run import Run
from missions.engine.writes import Draft
from missions.errors import MisusedContext
from missions.governance import Json
from missions.models import Kind
from missions.storage.workspaces import note


class Calls:
    """The base of all durable calls."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._root = Branch(run, "")
        run.root = weakref.ref(self._root)

    def enter(self) -> None:
        """Make the current task the mission's first branch; the worker calls this."""
        self._root.enter()
        if self._run.first.kind == Kind.CHAPTER:  # it goes on with the workspace of the one before
            note(self._run, self._run.first.payload)
        current_branch.set(self._root)

    def cut_off(self) -> None:
        """A durable call was cancelled by the author's own code: the mission stops here."""
        self._run.cut_off()

    @property
    def mission_id(self) -> uuid.UUID:
        """The mission's id as the outside knows it."""
        return self._run.claimed.uid

    @property
    def _here(self) -> Branch:
        self._run.check()
        branch = current_branch.get(None)
        if branch is None or branch.run is not self._run or not branch.is_here:
            raise MisusedContext
        return branch

    async def _record(self, kind: Kind, path: str, payload: Json, input_hash: bytes = b"") -> int:
        draft = Draft(kind=kind, path=path, payload=codec.dump(payload), input_hash=input_hash)
        return await self._run.append(draft)
