"""What an answer took and how a chain failed, read without any server."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from pydantic_ai.exceptions import ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.usage import RequestUsage

from missions.errors import LlmFailed, LlmQuotaExhausted, LlmRefused, LlmWait
from missions.llm import accounts, failures, texts
from missions.llm.failures import Kind, PassedOver
from missions.secrets import redacting

WAIT, LONG, SILENT = (PassedOver("a/x", Kind.WAIT, "busy", seconds) for seconds in (17.0, 90.0, None))
UNPAID = PassedOver("b/y", Kind.PERSON, "no credit")
NEVER = PassedOver("c/z", Kind.NEVER, "no such model")


@pytest.mark.parametrize(
    ("found", "kind", "seconds"),
    [
        ([LONG, WAIT, SILENT], LlmWait, 17.0),
        ([SILENT], LlmWait, None),
        ([UNPAID, NEVER, SILENT], LlmWait, None),  # time mends one of them
        ([NEVER, UNPAID], LlmQuotaExhausted, None),
        ([NEVER], LlmRefused, None),
    ],
)
def test_what_a_chain_of_failures_comes_to(
    found: list[PassedOver], kind: type[LlmFailed], seconds: float | None
) -> None:
    verdict = failures.verdict(found)
    assert type(verdict) is kind
    assert getattr(verdict, "retry_after_seconds", None) == seconds
    assert [failure["member"] for failure in verdict.passed_over] == [failure.member for failure in found]
    assert all(failure.why in verdict.why for failure in found)
    if isinstance(verdict, LlmQuotaExhausted):
        assert verdict.provider == "b"


@pytest.mark.parametrize(("status", "kind"), [(408, Kind.WAIT), (425, Kind.WAIT), (507, Kind.WAIT), (418, Kind.NEVER)])
def test_statuses_without_a_name(status: int, kind: Kind) -> None:
    found = failures.read(ModelHTTPError(status, "x", {"error": {"message": "so"}}), "a/x")
    assert found is not None and (found.kind, found.why) == (kind, f"{status} so")


def test_a_server_can_not_ask_for_centuries() -> None:
    found = failures.read(ModelHTTPError(429, "x", headers={"retry-after": "99999999999"}), "a/x")
    assert found is not None and found.retry_after == failures.LONGEST_WAIT


def test_a_reason_is_one_short_printable_line_without_secrets() -> None:
    redacting.remember("openai-key", "sk-abcdef123456")
    try:
        wrong = ModelHTTPError(401, "x", {"message": "key sk-abcdef123456\x00\n\ud800 " + "is wrong " * 10_000})
        found = failures.read(wrong, "a/x")
        split = failures.read(UnexpectedModelBehavior(" " * 9_000 + "sk-abcdef123456" + "x" * 2_000), "a/x")
    finally:
        redacting.forget()
    assert found is not None and split is not None
    assert len(found.why) <= failures.WHY and found.why.isprintable() and "[secret openai-key] is wrong" in found.why
    assert "sk-abc" not in found.why + split.why


def test_what_is_no_failure_of_an_llm_passes_through() -> None:
    assert failures.read(RuntimeError("the loop's own"), "a/x") is None
    assert failures.read(ValueError("a reader's own"), "a/x") is None
    for own in (RuntimeError("the loop's own"), KeyError("a reader's own")):
        assert failures.read_wrong_shape(own, "a/x") is None
    with pytest.raises(RecursionError) as stumbled:
        json.loads("[" * 100_000)
    wrong = failures.read_wrong_shape(stumbled.value, "a/x")
    assert wrong is not None and wrong.kind is Kind.NONSENSE


@pytest.mark.parametrize("count", [-5, 10**30])
def test_a_servers_count_of_tokens_is_only_its_word(count: int) -> None:
    tokens = accounts.counted(RequestUsage(input_tokens=count, output_tokens=count, cache_read_tokens=count))
    assert 0 <= tokens.input <= accounts.MOST_TOKENS and 0 <= tokens.cached <= tokens.input


def test_an_answer_that_no_chain_brought_costs_nothing() -> None:
    found = accounts.reckon(ModelResponse(parts=[TextPart("x")], usage=RequestUsage(input_tokens=3), model_name="test"))
    assert (found.member, found.input_tokens, found.cost, found.priced) == ("/test", 3, Decimal(0), False)


def test_what_can_not_be_stored_is_replaced_and_the_rest_left() -> None:
    good = TextPart("naïve 😀 text")
    call = ToolCallPart("pay", {"note": "a\x00b", "deep": [{"\ud83d": 1}]}, tool_call_id="c\x00")
    clean = texts.storable([good, TextPart("half \ud83d pair, whole \ud83d\ude00"), call])
    assert clean[0] is good
    assert clean[1] == TextPart("half \ufffd pair, whole 😀")
    assert isinstance(clean[2], ToolCallPart)
    assert (clean[2].args, clean[2].tool_call_id) == ({"note": "a\ufffdb", "deep": [{"\ufffd": 1}]}, "c\ufffd")
