"""Every way in which a server may fail a question, over real HTTP, in both shapes, whole and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import ModelRequestParameters

from missions.errors import LlmQuotaExhausted, LlmRefused, LlmWait
from missions.llm import accounts, chain
from tests import llm_servers
from tests.llm_asking import ask, configure, listen, question
from tests.llm_servers import Answer, Cut, Drip, Huge, Raw, Say, Silent, Status

BYTES = 100_000
LONG = Say("It is paid. " * 40)
APIS = ("openai", "anthropic")
WAYS: dict[str, Callable[..., Any]] = {"whole": ask, "streamed": lambda *members: _listened(*members)}

FAILURES: dict[str, tuple[Answer, type[Exception], str]] = {
    "rate limit": (llm_servers.rate_limited(17), LlmWait, "429 Too many requests"),
    "overload": (llm_servers.overloaded(), LlmWait, "529 Overloaded"),
    "server error": (Status(500, message="boom"), LlmWait, "500 boom"),
    "gateway's page": (Status(502, body=b"<html>Bad gateway</html>"), LlmWait, "502"),
    "cut before": (Cut(LONG, 0), LlmWait, "out of reach"),
    "cut amidst": (Cut(LONG, 0.5), LlmWait, "out of reach"),
    "never": (Silent(), LlmWait, "no answer within 0.3 s"),
    "drips": (Drip(), LlmWait, "did not end in time"),
    "no credit": (llm_servers.unpaid(), LlmQuotaExhausted, "402 Your credit balance is too low"),
    "key refused": (llm_servers.unauthorised(), LlmRefused, "401 Incorrect API key"),
    "bad request": (Status(400, message="too many tools"), LlmRefused, "400 too many tools"),
    "no such model": (Status(404, message="no model"), LlmRefused, "404 no model"),
    "redirect": (Status(307), LlmRefused, "not followed"),
    "content refused": (Say("I can", finish="content_filter"), LlmRefused, "content"),
    "huge": (Huge(), LlmRefused, "over"),
    "empty": (Raw(b""), LlmRefused, ""),
    "bad JSON": (Raw(b'{"id": "x", "choices": [{'), LlmRefused, ""),
    "a page": (Raw(b"<html>Welcome</html>", "text/html"), LlmRefused, ""),
    "a list": (Raw(b"[]"), LlmRefused, ""),
    "wrong shape": (Raw(b'{"id": 7, "choices": [{"message": 9}], "content": 3, "usage": "x"}'), LlmRefused, ""),
    "too deep": (Raw(b"[" * 90_000), LlmRefused, ""),
    "bad events": (Raw(b"data: {\n\n", "text/event-stream"), LlmRefused, ""),
    "wrong events": (Raw(b'data: {"type": "message_start", "choices": 1}\n\n', "text/event-stream"), LlmRefused, ""),
}


async def _listened(*members: str) -> ModelResponse:
    return (await listen(*members))[0]


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    await chain.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", FAILURES)
async def test_each_failure_is_named_and_passed_over(name: str, api: str, way: str, settings: Any) -> None:
    answer, kind, why = FAILURES[name]
    with llm_servers.serve(answer) as bad, llm_servers.serve("Paid.") as good:
        other = APIS[1 - APIS.index(api)]
        seconds = {"never": 0.3, "drips": 1.5}.get(name, 20.0)  # else a slow machine would count
        configure(settings, bad.provider("bad", api, seconds=seconds, bytes=BYTES), good.provider("good", other))
        with pytest.raises(kind) as failed:
            await WAYS[way]("bad/x")
        assert why in str(failed.value) and "bad/x: " in str(failed.value) and len(str(failed.value)) < 400
        assert getattr(failed.value, "retry_after_seconds", None) == (17 if name == "rate limit" else None)
        assert len(bad.requests) <= 2, "a question is repeated once where its answer can not be read, and never else"
        begun = way == "streamed" and name in ("cut amidst", "content refused")
        if begun:  # nobody else can go on where it broke off
            with pytest.raises(kind):
                await WAYS[way]("bad/x", "good/y")
            return
        found = accounts.reckon(await WAYS[way]("bad/x", "good/y"))
        assert found.member == "good/y"
        assert [failure["member"] for failure in found.passed_over] == ["bad/x"]
        assert why in found.passed_over[0]["why"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_flood_is_not_read(way: str, settings: Any) -> None:
    with llm_servers.serve(Huge()) as server:
        configure(settings, server.provider("a", bytes=BYTES))
        with pytest.raises(LlmRefused, match="the answer is over"):
            await WAYS[way]("a/x")
        assert server.written < 4 * BYTES + 16 * 2**20, "what the sockets' buffers take, and no more"
        assert len(server.requests) == 1


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_compressed_answer_is_not_unpacked(encoding: str, settings: Any) -> None:
    bomb = Raw(b"\x1f\x8b" + b"\0" * 100, f"application/json\r\ncontent-encoding: {encoding}")
    with llm_servers.serve(bomb) as server:
        configure(settings, server.provider("a"))
        with pytest.raises(LlmRefused, match="compressed"):
            await ask("a/x")
        assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_openai_says_in_a_429_that_the_quota_is_used_up(settings: Any) -> None:
    with llm_servers.serve(llm_servers.out_of_quota()) as server:
        configure(settings, server.provider("a"))
        with pytest.raises(LlmQuotaExhausted) as failed:
            await ask("a/x")
        assert failed.value.provider == "a"


async def test_a_stream_without_its_closing_word_broke_off(settings: Any) -> None:
    events = (
        b'data: {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "x",'
        b' "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Pay him 1"}}]}\n\n'
    )
    with llm_servers.serve(Raw(events, "text/event-stream")) as server:
        configure(settings, server.provider("a"))
        with pytest.raises(LlmWait, match="finish_reason"):
            await _listened("a/x")


async def test_what_the_reader_of_a_stream_raises_is_his_own(settings: Any) -> None:
    with llm_servers.serve("Paid.") as server:
        configure(settings, server.provider("a"))
        with pytest.raises(KeyError, match="mine"):
            async with chain.model_for(["a/x"]).request_stream(question("?"), None, ModelRequestParameters()):
                raise KeyError("mine")


async def test_all_wait_for_the_one_that_comes_back_first(settings: Any) -> None:
    with (
        llm_servers.serve(llm_servers.rate_limited(90)) as first,
        llm_servers.serve(llm_servers.rate_limited(20)) as second,
        llm_servers.serve(llm_servers.out_of_quota()) as third,
    ):
        gone = f"gone=openai+http://127.0.0.1:{llm_servers.nobody()}/v1"
        configure(settings, first.provider("a"), second.provider("b", "anthropic"), third.provider("c"), gone)
        with pytest.raises(LlmWait) as failed:
            await ask("a/x", "b/x", "c/x", "gone/x")
        assert failed.value.retry_after_seconds == 20
        assert [failure["member"] for failure in failed.value.passed_over] == ["a/x", "b/x", "c/x", "gone/x"]


async def test_a_question_is_asked_again_once_where_the_answer_can_not_be_read(settings: Any) -> None:
    with llm_servers.serve(llm_servers.in_order(Raw(b"{"), "Paid.")) as server:
        configure(settings, server.provider("a"))
        response = await ask("a/x")
        assert response.text == "Paid." and len(server.requests) == 2
        assert accounts.reckon(response).passed_over == ()


async def test_members_that_are_not_configured_are_passed_over_or_refused(settings: Any) -> None:
    with llm_servers.serve("Paid.") as server:
        configure(settings, server.provider("a"))
        found = accounts.reckon(await ask("other/x", "a/x"))
        assert found.member == "a/x" and found.passed_over[0]["member"] == "other/x"
        for members in (("other/x",), ("a",)):
            with pytest.raises(LlmRefused, match="is configured here"):
                chain.model_for(members)
    configure(settings)
    with pytest.raises(LlmRefused, match="LLM_PROVIDERS"):
        chain.model_for([])
