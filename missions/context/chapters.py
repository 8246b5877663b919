"""Ending a chapter: the mission starts over from a state, and replay needs no more of what came before."""

from __future__ import annotations

from typing import Any, NoReturn

from missions.context.base import Calls
from missions.engine import codec
from missions.engine.branches import durable
from missions.engine.chapters import chapter_entry, chapter_release
from missions.errors import MisusedContext, Suspended
from missions.governance import Json
from missions.storage.workspaces import workspace_of


class Chapters(Calls):
    """The call that ends a chapter."""

    @durable
    async def continue_as(self, state: Any) -> NoReturn:
        """Start the mission's function over with `state` as its input; never returns.

        For missions that live long: replay begins here from now on, however much came before. Signals that nobody
        took stay in the mailbox, effects of the new chapter have keys of their own. Refused inside `gather` and
        `wait_any`. Raises MisusedContext, Unserialisable, PayloadTooLarge.
        """
        run, here = self._run, self._here
        if here is not self._root:
            raise MisusedContext("A chapter ends in the mission's own branch, not inside gather or wait_any.")
        await run.recorded(here.path("continue_as"))
        claimed = run.claimed
        workspace = workspace_of(run).digest
        more: Json = {"workspace": workspace} if workspace else {}
        if "data_classes" in run.first.payload:
            more["data_classes"] = run.first.payload["data_classes"]
        if run.untrusted:
            more["untrusted"] = sorted(run.untrusted)
        entry = chapter_entry(claimed.chapter + 1, state, run.inbox, run.ledger, **more)
        # Nothing else is under way in a mission with one branch, so the entry's seq is the next one.
        begun = run.next_seq()
        await run.release(chapter_release(codec.load(entry.payload), begun, run.inbox, run.clock.now()), entry)
        raise Suspended
