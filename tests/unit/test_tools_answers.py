"""What a server's answer means."""

from __future__ import annotations

import datetime as dt

import pytest
from mcp.types import CallToolResult, TextContent

from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.governance import EffectClass
from missions.tools import answers
from missions.tools.servers import Codes

CODES = Codes(declared=("not_covered", -32050), retryable=("busy",))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("17", 17.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("1e9", 86_400.0),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert answers.retry_after(header, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) == seconds


@pytest.mark.parametrize(
    ("status", "wait", "meant"),
    [
        (429, None, TryLater),
        (429, 3.0, TryLater),
        (503, 3.0, TryLater),
        (503, None, OutcomeUnknown),
        (500, 3.0, OutcomeUnknown),
        (502, None, OutcomeUnknown),
        (504, None, OutcomeUnknown),
        (408, None, OutcomeUnknown),
        (409, None, OutcomeUnknown),
        (303, None, OutcomeUnknown),
        (400, None, ToolFailed),
        (401, None, ToolFailed),
        (404, None, ToolFailed),
        (413, None, ToolFailed),
        (308, None, ToolFailed),
    ],
)
def test_only_refusals_before_the_handler_are_definite(
    status: int, wait: float | None, meant: type[StandfastError]
) -> None:
    error = answers.of_status(status, wait)
    assert type(error) is meant
    if isinstance(error, TryLater):
        assert error.retry_after_seconds == wait


@pytest.mark.parametrize(
    ("code", "effect", "meant"),
    [
        ("not_covered", EffectClass.WRITE, ToolFailed),
        (-32050, EffectClass.WRITE, ToolFailed),
        (-32602, EffectClass.WRITE, ToolFailed),
        ("busy", EffectClass.WRITE, TryLater),
        (-32603, EffectClass.WRITE, OutcomeUnknown),
        ("surprise", EffectClass.WRITE, OutcomeUnknown),
        (None, EffectClass.IRREVERSIBLE, OutcomeUnknown),
        ("surprise", EffectClass.READ, ToolFailed),
    ],
)
def test_only_declared_codes_are_definite(
    code: str | int | None, effect: EffectClass, meant: type[StandfastError]
) -> None:
    assert type(answers.of_error(code, "said", {}, CODES, effect)) is meant


def result(text: str = "", structured: object = None, *, is_error: bool = False) -> CallToolResult:
    content = [TextContent(type="text", text=line) for line in text.splitlines()]
    return CallToolResult(content=list(content), structured_content=structured, is_error=is_error)


def test_structured_content_goes_before_text() -> None:
    assert answers.of_result(result("a\nb", {"x": 1}), CODES, EffectClass.WRITE) == {"x": 1}
    assert answers.of_result(result("a\nb"), CODES, EffectClass.WRITE) == "a\nb"
    assert answers.of_result(result("a", []), CODES, EffectClass.WRITE) == []


@pytest.mark.parametrize(
    "answer",
    [
        result("no", {"code": "not_covered", "message": "too much"}, is_error=True),
        result("no", {"error": {"code": "not_covered", "message": "too much"}}, is_error=True),
        result('{"code": "not_covered", "message": "too much"}', is_error=True),
    ],
)
def test_a_tool_reports_its_code_in_one_of_three_places(answer: CallToolResult) -> None:
    with pytest.raises(ToolFailed, match="too much") as caught:
        answers.of_result(answer, CODES, EffectClass.WRITE)
    assert caught.value.facts["code"] == "not_covered"


@pytest.mark.parametrize("text", ["boom", "{not json", '{"code": ["not_covered"]}', ""])
def test_an_error_without_a_declared_code_is_unknown(text: str) -> None:
    with pytest.raises(OutcomeUnknown):
        answers.of_result(result(text, is_error=True), CODES, EffectClass.WRITE)


def test_a_retryable_error_carries_its_wait() -> None:
    answer = result("", {"code": "busy", "message": "busy", "retry_after_seconds": 7}, is_error=True)
    with pytest.raises(TryLater) as caught:
        answers.of_result(answer, CODES, EffectClass.WRITE)
    assert caught.value.retry_after_seconds == 7.0
