"""What becomes of a question when no LLM of its chain answers it: wait, ask a person, or give up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from missions.errors.base import StandfastError


class LlmFailed(StandfastError):
    """No LLM of the chain answered; `why` says what became of each."""

    code = "llm_failed"

    def __init__(self, why: str = "", *, passed_over: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(why or None)
        self.why, self.passed_over = str(self), tuple(passed_over)


class LlmWait(LlmFailed):
    """Every LLM of the chain is rate-limited, overloaded or out of reach; ask again later."""

    code = "llm_wait"

    def __init__(
        self, retry_after_seconds: float | None = None, why: str = "", *, passed_over: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(why, passed_over=passed_over)
        self.retry_after_seconds = retry_after_seconds


class LlmQuotaExhausted(LlmFailed):
    """The quota or credit at the provider is used up; waiting does not mend it, a person can."""

    code = "llm_quota_exhausted"

    def __init__(self, provider: str, why: str = "", *, passed_over: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(why, passed_over=passed_over)
        self.provider = provider


class LlmRefused(LlmFailed):
    """No LLM of the chain can answer this; the same question would fail again."""

    code = "llm_refused"
