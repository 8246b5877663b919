"""Where the ids and the random numbers of a mission come from: a seed for each timeline, and the key path of the call.

Nothing is recorded. A call belongs to the timeline of the entry that comes next in the record, or to the mission's
own once the record is exhausted; so what was made before the point of a rollback stays, and what follows is fresh.
"""

from __future__ import annotations

import hashlib
import random
import uuid

from missions.engine.run import Run


def first_seed(uid: uuid.UUID) -> uuid.UUID:
    """The seed of a mission's first timeline, where no other was copied with its history."""
    return uuid.uuid5(uid, "timeline/1")


def seed_here(run: Run) -> uuid.UUID:
    """The seed of the timeline in which the next call stands."""
    claimed, following = run.claimed, run.following
    timeline = following.timeline if following is not None else claimed.timeline
    known = claimed.seeds.get(timeline)
    if known is not None:
        return known
    return first_seed(claimed.uid) if timeline == 1 else uuid.uuid5(claimed.uid, f"timeline/{timeline}")


def id_from(seed: uuid.UUID, path: str) -> uuid.UUID:
    """The id of the call at this path."""
    return uuid.uuid5(seed, path)


def random_from(seed: uuid.UUID, path: str) -> random.Random:
    """The generator of the call at this path. Not for secrets: whoever knows the seed knows its numbers."""
    digest = hashlib.sha256(seed.bytes + path.encode()).digest()
    return random.Random(int.from_bytes(digest))
