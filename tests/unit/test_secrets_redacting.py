"""Known values never stand in what is shown or kept, whatever form they come in."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from missions.secrets import redacting
from missions.secrets.redacting import redact, remember

SECRET = 'tr"ée/+ &<9%\\x'


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    redacting.forget()
    yield
    redacting.forget()


FORMS = [
    SECRET,
    json.dumps(SECRET),
    json.dumps(SECRET, ensure_ascii=False),
    repr(SECRET),
    repr(SECRET.encode()),
    json.dumps(json.dumps(SECRET)),
    repr({"a": json.dumps([SECRET, "'"])}).removeprefix("{'a': '[").removesuffix(", \"\\'\"]'}"),
    html.escape(SECRET),
    quote(SECRET),
    quote(SECRET, safe=""),
    quote(SECRET, safe="").lower(),
    quote_plus(SECRET),
    SECRET.encode().hex(),
    base64.b64encode(SECRET.encode()).decode(),
    base64.urlsafe_b64encode(SECRET.encode()).decode(),
]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_value_is_taken_out(form: str) -> None:
    remember("token", SECRET)
    assert redact(f"<{form}>").strip("<>b\"'\\") == "[secret token]"


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_a_value_inside_longer_base64_leaves_no_more_than_its_edges(before: str) -> None:
    value = "correct-horse-battery-staple"
    remember("token", value)
    shown = redact("Basic " + base64.b64encode(f"{before}{value}:more".encode()).decode())
    assert "[secret token]" in shown
    rest = shown.replace("Basic ", "").split("[secret token]")
    assert all(len(part) <= len(before) * 2 + 10 for part in rest)


def test_it_reaches_into_structures_and_keys() -> None:
    remember("token", "a-long-secret")
    value = {"a-long-secret": [1, None, True, ("x a-long-secret y",)], "n": {"b": b"--a-long-secret--"}}
    assert redact(value) == {
        "[secret token]": [1, None, True, ("x [secret token] y",)], "n": {"b": b"--[secret token]--"},
    }  # fmt: skip


def test_the_longer_of_two_values_counts() -> None:
    remember("short", "abcdef")
    remember("long", "abcdef-and-more")
    assert redact("abcdef-and-more abcdef") == "[secret long] [secret short]"


def test_lines_of_a_key_file_and_the_password_of_a_url_count_too() -> None:
    remember("key", "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0\nshort\n-----END-----")
    remember("dsn", "postgres://me:p%40ssword!@host/db")
    assert redact("MIIEvQIBADANBgkqhkiG9w0") == "[secret key]"
    assert redact("short p@ssword! p%40ssword!") == "short [secret dsn] [secret dsn]"


def test_without_secrets_nothing_is_touched() -> None:
    value = {"a": [1]}
    assert redact(value) is value


def test_memory_stays_bounded_while_a_value_rotates_and_no_other_is_forgotten() -> None:
    remember("other", "never-to-be-forgotten")
    for number in range(100):
        remember("token", f"a-secret-{number:06}")
    assert len(redacting._forms) < 20 * (redacting.VALUES + 1)
    assert redact("a-secret-000099 a-secret-000090") == "[secret token] [secret token]"
    assert redact("never-to-be-forgotten") == "[secret other]"
