"""What a call says of itself, as it may be kept and shown: without secrets."""

from __future__ import annotations

from missions.engine import codec
from missions.governance import Json
from missions.secrets.redacting import redact

READ_CHARACTERS = 64 * 1024  # of a message, before it is cut: what is cut through is a secret no more, and shows half
AS_IT_IS = ("result", "answer")  # a result holds no secret by now; what people answered is done as they said it


def shown(payload: Json) -> Json:
    """The payload of an entry with each secret taken out."""
    return {name: part if name in AS_IT_IS else redact(part) for name, part in payload.items()}


def said(error: BaseException) -> str:
    """Its message with each secret taken out, then cut; its type's name where it has none. Never raises."""
    try:
        text = str(error)
    except Exception:  # an author's `__str__` may break; whoever tells of an error may not break with it
        text = ""
    return codec.words(redact(text[:READ_CHARACTERS])) if text else type(error).__name__
