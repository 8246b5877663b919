"""Why an LLM did not answer, read from whatever its SDK raised, and what the whole chain's failures come to.

Promises that every failure of a provider becomes a `PassedOver` with a short, printable reason without secrets;
whatever is not the provider's doing passes through untouched.
"""

from __future__ import annotations

import enum
import json
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic import ValidationError
from pydantic_ai import exceptions as ai

from missions.errors import LlmFailed, LlmQuotaExhausted, LlmRefused, LlmWait, SecretMissing
from missions.governance import Json
from missions.llm.transport import Unusable
from missions.secrets import redacting

WHY = 300  # characters of a reason: a server may write megabytes
NO_END = "ended without a `finish_reason`"  # the adapter has no class for it; a test holds it to these words
BROKEN = "the answer broke off"
STUMBLES = (LookupError, TypeError, AttributeError, ValueError, RecursionError, AssertionError)
ADAPTERS = ("pydantic_ai.models.", "pydantic_ai._", "openai.", "anthropic.", "json.", "pydantic.")
LONGEST_WAIT = 86_400.0  # seconds; a server may ask for centuries


class Kind(enum.StrEnum):
    """What mends it."""

    WAIT = "wait"  # time: rate limit, overload, outage
    PERSON = "person"  # somebody who pays
    NEVER = "never"  # nothing: the same request would fail again
    NONSENSE = "nonsense"  # perhaps asking again: the answer could not be read


@dataclass(eq=False)
class PassedOver(Exception):
    """One member of a chain that did not answer."""

    member: str
    kind: Kind
    why: str
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.why

    @property
    def plain(self) -> Json:
        """As it is recorded."""
        return {"member": self.member, "why": self.why}


def read(error: Exception, member: str) -> PassedOver | None:
    """What this failure of a request is; None where it is none of an LLM."""
    kind = _kind(error)
    if kind is None:
        return None
    asked = getattr(error, "retry_after", None)
    wait = min(max(0.0, asked), LONGEST_WAIT) if kind is Kind.WAIT and asked is not None else None
    return PassedOver(member, kind, told(error), wait)


def read_wrong_shape(error: Exception, member: str) -> PassedOver | None:
    """The same, and what an adapter raises that stumbles over an answer, which may be anything.

    Only what was raised within adapters and SDKs: out of a stream comes also what its reader raised.
    """
    wrong = isinstance(error, STUMBLES) and _origin(error).startswith(ADAPTERS)
    found = read(error, member)
    return found or (PassedOver(member, Kind.NONSENSE, f"wrong shape: {told(error)}") if wrong else None)


def verdict(failures: Sequence[PassedOver]) -> LlmFailed:
    """What a whole chain's failures come to: waiting where that mends one of them, else a person, else nothing."""
    why = "; ".join(f"{failure.member}: {failure.why}" for failure in failures)
    over = [failure.plain for failure in failures]
    waiting = [failure for failure in failures if failure.kind is Kind.WAIT]
    if waiting:
        asked = [failure.retry_after for failure in waiting if failure.retry_after is not None]
        return LlmWait(min(asked, default=None), why, passed_over=over)
    for failure in failures:
        if failure.kind is Kind.PERSON:
            return LlmQuotaExhausted(failure.member.partition("/")[0], why, passed_over=over)
    return LlmRefused(why, passed_over=over)


def _kind(error: Exception) -> Kind | None:
    if any(isinstance(cause, SecretMissing | Unusable) for cause in _causes(error)):
        return Kind.NEVER
    for types, kind in (
        (ai.ModelQuotaExceededError, Kind.PERSON),
        ((ai.ModelRateLimitError, ai.ModelUnavailableError, ai.ModelServerError), Kind.WAIT),
        ((ai.ModelConnectionError, ai.ModelRequestTimeout), Kind.WAIT),
        ((httpx2.HTTPError, httpx2.StreamError), Kind.WAIT),
        ((ai.ModelRequestRejectedError, ai.ContentFilterError, ai.UserError), Kind.NEVER),
    ):
        if isinstance(error, types):
            return kind
    if isinstance(error, ai.ModelHTTPError):
        return _by_status(error.status_code)
    if isinstance(error, ai.ModelAPIError):
        return Kind.WAIT if error.in_stream or NO_END in error.message else Kind.NONSENSE
    unread = (ai.UnexpectedModelBehavior, ValidationError, json.JSONDecodeError, UnicodeDecodeError)
    return Kind.NONSENSE if isinstance(error, unread) else None


def _by_status(status: int) -> Kind:
    if status == 402:
        return Kind.PERSON
    return Kind.WAIT if status >= 500 or status in (408, 409, 425, 429) else Kind.NEVER


def told(error: Exception) -> str:
    """One short printable line without secrets: the provider's own message, else what broke the connection."""
    if isinstance(error, ai.ModelHTTPError):
        return printable(f"{error.status_code} {_message(error.body)}")
    for cause in _causes(error):
        if isinstance(cause, SecretMissing | Unusable):
            return printable(str(cause))
        if isinstance(cause, httpx2.HTTPError):
            return printable(f"out of reach: {str(cause) or type(cause).__name__}")
    return printable(str(error) or type(error).__name__)


def printable(text: str) -> str:
    """The text without secrets in one line of bounded length, without what is no character."""
    clean = redacting.redact(text)[: WHY * 30]  # secrets first: a cut might leave the half of one
    line = " ".join("".join(char if char.isprintable() else " " for char in clean).split())
    return line if len(line) <= WHY else f"{line[: WHY - 1]}…"


def _message(body: Any) -> str:
    inner = body.get("error", body) if isinstance(body, dict) else body
    message = inner.get("message") if isinstance(inner, dict) else inner
    return str(message if message is not None else "")


def _origin(error: BaseException) -> str:
    """The module that raised it."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
