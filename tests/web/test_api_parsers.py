"""What the edge lets in: JSON that the engine and PostgreSQL can keep byte for byte, and nothing else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from missions.web.parsers import LIMIT_BYTES, LIMIT_DEPTH, read_object
from missions.web.problems import Problem


def nested(depth: int) -> bytes:
    """An object of so many levels."""
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    "value",
    [
        {}, {"text": "café 🎈 \t\n"}, {"escaped pair": "\U0001f388"},
        {"n": [0, -1, 1.5, 2**63 - 1, -(2**63) + 1, 1e300]},
        {"a": None, "b": True, "A": [[], {}]},
    ],
)
def test_plain_json_passes_unchanged(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode()) == value


def test_the_deepest_allowed_object_passes() -> None:
    assert read_object(nested(LIMIT_DEPTH))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "bad_json"),
        (b'{"a": 1', "bad_json"),
        (b"{'a': 1}", "bad_json"),
        (b'{"a": 1} {"b": 2}', "bad_json"),
        (b'\xef\xbb\xbf{"a": 1}', "bad_json"),
        (b'{"a": "\x01"}', "bad_json"),
        (b'{"a": "\x00"}', "bad_json"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b'{"a": "\xed\xa0\x80"}', "not_utf8"),
        (b"[1, 2]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"true", "not_an_object"),
        (b"7", "not_an_object"),
        (b'{"a": NaN}', "bad_number"),
        (b'{"a": [-Infinity]}', "bad_number"),
        (b'{"a": 1e999}', "bad_number"),
        (b'{"a": 9223372036854775808}', "bad_number"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "bad_number"),
        (b'{"a": {"b": "x\\u0000y"}}', "nul_character"),
        (b'{"a": {"b\\u0000": 1}}', "nul_character"),
        (b'{"a": ["\\ud800"]}', "lone_surrogate"),
        (b'{"\\udfff": 1}', "lone_surrogate"),
        (b'{"a": "\\udc00\\ud800"}', "lone_surrogate"),
        (b'{"a": {"b": 1, "b": 1}}', "duplicate_key"),
        (nested(LIMIT_DEPTH + 1), "too_deep"),
        (nested(100_000), "too_deep"),
        (b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "too_deep"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_with_its_own_code(raw: bytes, code: str) -> None:
    with pytest.raises(Problem) as refused:
        read_object(raw)
    assert (refused.value.code, refused.value.status_code) == (code, 400)
    assert len(refused.value.text) < 300, "the answer repeats no more than a little of what was sent"
    refused.value.text.encode()  # and it can be sent


def test_the_refusal_names_the_place() -> None:
    with pytest.raises(Problem) as refused:
        read_object(b'{"input": {"lines": ["fine", {"note": "a\\u0000b"}]}}')
    assert refused.value.text == "input.lines.1.note contains a NUL character."


def test_one_byte_over_the_limit_is_too_large() -> None:
    empty = len(b'{"a": ""}')
    assert read_object(b'{"a": "' + b"x" * (LIMIT_BYTES - empty) + b'"}')
    with pytest.raises(Problem) as refused:
        read_object(b'{"a": "' + b"x" * (LIMIT_BYTES - empty + 1) + b'"}')
    assert (refused.value.status_code, refused.value.code) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": [' + b'"x",' * 200_000 + b'"x"]}',
        b"{" + b",".join(b'"k%d":""' % number for number in range(80_000)) + b',"k79999":""}',
        b'{"' + b"k" * 500_000 + b'": "\\u0000"}',
    ],
    ids=["many texts", "many keys and one twice", "a long key"],
)
def test_a_full_body_is_read_in_linear_time(raw: bytes) -> None:
    begun = time.process_time()
    try:
        read_object(raw)
    except Problem as refused:
        assert len(refused.text) < 300
    assert time.process_time() - begun < 5, "a quadratic reader takes minutes"
