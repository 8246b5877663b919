"""A mission that can not go on by itself: people are asked what becomes of it, and it pauses.

What goes wrong here belongs to that one mission: where the question is refused (it has ended elsewhere, or is gone), it
is left alone, and all others go on.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from missions.engine.controls import request
from missions.engine.leaving import Leaving
from missions.engine.threads import Threads
from missions.errors import StandfastError

logger = logging.getLogger(__name__)


async def attend(
    run: Leaving, threads: Threads, reason: str, detail: str, matched_seq: int, differs: dict[str, Any] | None
) -> None:
    """Put the question, then pause; the run must be marked as parking, so that nothing of it starts meanwhile.

    Asked before the pause, so that a worker that dies in between leaves the question behind. The pause is fenced like
    any write: where the mission is somebody else's by now, it writes nothing, and its owner is told so.
    """
    facts: dict[str, Any] = {"detail": detail, "matched_seq": matched_seq, **({"differs": differs} if differs else {})}
    ask = partial(request, run.claimed.id, "attend", reason=reason, **facts)
    try:
        await threads.patiently(partial(ask, key=f"attend:{run.claimed.attempt}"))
    except StandfastError as error:
        told = {"action": "attend_refused", "mission": run.claimed.id, "why": str(error)}
        logger.warning("Nobody can be asked about a mission; it is left as it is", extra=told)
    run.parking = False
    run.pause(reason, detail)
