"""How OpenAI's and Anthropic's APIs write an answer down, whole or as a stream of events. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.llm_answers import Asked, Call, Json, Say, Status


def usage_of(asked: Asked, say: Say) -> tuple[int, int]:
    """As scripted, else about four characters a token."""
    made = len(say.text) + sum(len(json.dumps(call.args)) for call in say.calls)
    return say.usage or (len(asked.text) // 4, made // 4 + 1)


def error(api: str, status: Status) -> bytes:
    """An error as the API writes it."""
    if status.body:
        return status.body
    inner = {"type": status.type, "message": status.message}
    if api == "anthropic":
        return json.dumps({"type": "error", "error": inner}).encode()
    return json.dumps({"error": {**inner, "param": None, "code": status.code}}).encode()


# -- OpenAI: /v1/chat/completions --------------------------------------------------------------------------------------
def _openai(asked: Asked, identity: str, choice: Json, *, chunk: bool = False) -> Json:
    kind = "chat.completion.chunk" if chunk else "chat.completion"
    head = {"id": f"chatcmpl-{identity}", "object": kind, "created": 1_790_000_000}
    return {**head, "model": asked.body["model"], "choices": [{"index": 0, **choice}]}


def _openai_usage(asked: Asked, say: Say) -> Json:
    given, made = usage_of(asked, say)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _openai_finish(say: Say) -> str:
    return say.finish or ("tool_calls" if say.calls else "stop")


def _openai_call(call: Call) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": json.dumps(call.args)}}


def openai_whole(asked: Asked, say: Say, identity: str) -> Json:
    """One chat completion."""
    message: Json = {"role": "assistant", "content": say.text or None}
    if say.calls:
        message["tool_calls"] = [_openai_call(call) for call in say.calls]
    whole = _openai(asked, identity, {"message": message, "finish_reason": _openai_finish(say)})
    return {**whole, "usage": _openai_usage(asked, say)}


def openai_events(asked: Asked, say: Say, identity: str) -> Iterator[bytes]:
    """Its chunks, the usage where it is asked for, and the end."""

    def event(delta: Json, finish: str | None = None) -> Json:
        return _openai(asked, identity, {"delta": delta, "finish_reason": finish}, chunk=True)

    events = [event({"role": "assistant", "content": ""}), *(event({"content": part}) for part in pieces(say.text))]
    for index, call in enumerate(say.calls):
        whole = _openai_call(call)
        arguments = whole["function"].pop("arguments")
        events.append(event({"tool_calls": [{"index": index, **whole}]}))
        events += [event({"tool_calls": [{"index": index, "function": {"arguments": p}}]}) for p in pieces(arguments)]
    events.append(event({}, _openai_finish(say)))
    if asked.body.get("stream_options", {}).get("include_usage"):
        events.append({**_openai(asked, identity, {}, chunk=True), "choices": [], "usage": _openai_usage(asked, say)})
    yield from (b"data: " + json.dumps(found).encode() + b"\n\n" for found in events)
    yield b"data: [DONE]\n\n"


# -- Anthropic: /v1/messages -------------------------------------------------------------------------------------------
def _anthropic_blocks(say: Say) -> list[Json]:
    text = [{"type": "text", "text": say.text}] if say.text or not say.calls else []
    return [*text, *({"type": "tool_use", "id": call.id, "name": call.tool, "input": call.args} for call in say.calls)]


def _anthropic_finish(say: Say) -> str:
    words = {"content_filter": "refusal", "length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use"}
    return words[_openai_finish(say)]


def anthropic_whole(asked: Asked, say: Say, identity: str) -> Json:
    """One message."""
    given, made = usage_of(asked, say)
    return {
        "id": f"msg_{identity}", "type": "message", "role": "assistant", "model": asked.body["model"],
        "content": _anthropic_blocks(say), "stop_reason": _anthropic_finish(say),
        "stop_sequence": None, "usage": {"input_tokens": given, "output_tokens": made},
    }  # fmt: skip


def anthropic_events(asked: Asked, say: Say, identity: str) -> Iterator[bytes]:
    """Its events, from message_start to message_stop."""
    whole = anthropic_whole(asked, say, identity)
    start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(whole["content"]):
        is_text = block["type"] == "text"
        empty = {**block, "text": ""} if is_text else {**block, "input": {}}
        written = block["text"] if is_text else json.dumps(block["input"])
        kind, key = ("text_delta", "text") if is_text else ("input_json_delta", "partial_json")
        deltas = [{"type": kind, key: part} for part in pieces(written)]
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    made = {"output_tokens": whole["usage"]["output_tokens"]}
    events.append({"type": "message_delta", "delta": delta, "usage": made})
    events.append({"type": "message_stop"})
    for found in events:
        yield f"event: {found['type']}\ndata: {json.dumps(found)}\n\n".encode()


def pieces(text: str, size: int = 7) -> list[str]:
    """The text in small parts, as a stream brings it."""
    return [text[at : at + size] for at in range(0, len(text), size)]


WHOLE = {"openai": openai_whole, "anthropic": anthropic_whole}
EVENTS = {"openai": openai_events, "anthropic": anthropic_events}
