"""Keys and digests of effects and decisions.

Pure. A key is computed once, when the intent is made, and read from the intent ever after.
"""

from __future__ import annotations

import hashlib
import uuid

from missions.engine import codec
from missions.governance import Intent, Json


def effect_key(uid: uuid.UUID, chapter: int, path: str, generation: int) -> str:
    """The idempotency key of one generation of an effect: 64 hex digits, the same on every attempt."""
    return hashlib.sha256(f"{uid}\n{chapter}\n{path}\n{generation}".encode()).hexdigest()


def undo_key(key: str, generation: int) -> str:
    """The key of what takes an effect back, from the effect's own."""
    return hashlib.sha256(f"{key}\nundo\n{generation}".encode()).hexdigest()


def effect_id(key: str) -> uuid.UUID:
    """The id under which the outside knows the effect."""
    return uuid.uuid5(uuid.NAMESPACE_OID, key)


def decision_id(uid: uuid.UUID, timeline: int, chapter: int, path: str, round: int) -> uuid.UUID:
    """The id of a decision: the same on every replay that ends at its wait."""
    return uuid.uuid5(uid, f"{timeline}/{chapter}/{path}/{round}")


def approval_digest(intent: Intent, sentence: str, extra: Json | None = None) -> str:
    """sha256 over all that is approved; a vote names it, and dispatch compares it."""
    return codec.digest_of(
        {
            "mission": str(intent.mission_uid), "tool": intent.tool, "args": intent.args, "sentence": sentence,
            "effect_class": str(intent.effect_class), "agent": intent.agent, **(extra or {}),
        }
    )
