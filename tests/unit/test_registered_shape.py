"""What people may say of an MCP server that they register: less than the file may, and each fault has its line."""

from __future__ import annotations

from typing import Any

import pytest

from missions.errors import InvalidInput
from missions.tools import server_text
from missions.tools.registered import server_of

FAR = {"name": "far", "url": "https://far.example/mcp"}
NEAR = {"name": "near", "command": ["/usr/bin/near"]}


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({**FAR, "headers": {"Authorization": "Bearer plain"}}, "headers", "is a credential"),
        ({**FAR, "headers": {"x-api-key": "plain"}}, "headers", "is a credential"),
        ({**FAR, "headers": {"X-Key": "${env:SECRET_KEY}"}}, "headers", "the table of secrets alone"),
        ({**FAR, "headers": {"X-Key": "${file:/etc/shadow}"}}, "headers", "the table of secrets alone"),
        ({**FAR, "headers": {"X-Key": "${SECRET_KEY}"}}, "headers", "the table of secrets alone"),
        ({**FAR, "headers": {"X-Key": "${db:one} ${SECRET_KEY}"}}, "headers", "the table of secrets alone"),
        ({**FAR, "headers": {"X-Key": 7}}, "headers.X-Key", "valid string"),
        ({**FAR, "headers": {"Authorization": "Bearer plain ${db:far}"}}, "headers", "is a credential"),
        ({**FAR, "headers": {"Private-Token": "plain"}}, "headers", "is a credential"),
        ({**FAR, "headers": {"Host": "admin.inside"}}, "headers", "no name of a header that may be given"),
        ({**FAR, "headers": {"Transfer-Encoding": "chunked"}}, "headers", "no name of a header that may be given"),
        ({**FAR, "headers": {"Mcp-Session-Id": "x"}}, "headers", "no name of a header that may be given"),
        ({**FAR, "headers": {"a b": "x"}}, "headers", "no name of a header that may be given"),
        ({**FAR, "headers": {"X-Region": "a\r\nZ: 1"}}, "headers", "printable characters of ASCII"),
        ({**FAR, "headers": {"X-Region": "ü€"}}, "headers", "printable characters of ASCII"),
        ({**FAR, "headers": {"X-Region": " eu"}}, "headers", "no blank at an end"),
        ({**FAR, "tools": {"add": {"args_schema": {"$ref": "#"}}}}, "tools", "only references within it are followed"),
        ({**FAR, "tools": {"add": {"args_schema": {"$ref": "https://x.example/"}}}}, "tools", "only references"),
        ({**FAR, "tools": {"add": {"args_schema": {"maximum": 1e300}}}}, "", "at most"),
        ({**FAR, "tools": {"add": {"description": "a\0"}}}, "tools.add.description", "NUL"),
        ({**NEAR, "limits": {"memory_bytes": 10**13}}, "limits", "`memory_bytes` is at most"),
        ({**NEAR, "limits": {"cpu_seconds": 1e300}}, "", "at most"),
        ({"name": "far", "url": "https://${env:HOST}/"}, "url", "holds no references"),
        ({"name": "far", "url": "https://me:secret@far.example/"}, "url", "user name or a password"),
        ({"name": "far", "url": "ftp://far.example/"}, "url", "Only http and https"),
        ({"name": "far", "url": "https:///nowhere"}, "url", "names no host"),
        ({"name": "far"}, "", "either `url` or `command`"),
        ({**FAR, **NEAR}, "", "either `url` or `command`"),
        ({**FAR, "prefix": ""}, "", "`prefix` is for servers of the file"),
        ({**NEAR, "readable": ["/etc"]}, "", "`readable` is for servers of the file"),
        ({**NEAR, "env": {"TOKEN": "${db:near}"}}, "", "no secret reaches the sandbox"),
        ({**NEAR, "name": "a.b"}, "name", "small letters"),
        ({**NEAR, "name": "Near"}, "name", "small letters"),
        ({**NEAR, "name": "../x"}, "name", "match pattern"),
        ({**NEAR, "name": "new"}, "name", "reserved"),
        ({**NEAR, "telepathy": True}, "telepathy", "Extra inputs"),
        ({**FAR, "tools": {"add": {"effect": "perhaps"}}}, "tools.add.effect", "read"),
        ({**FAR, "tools": {"add": {"retry_safety": "keyed"}}}, "tools.add", "key_argument"),
        ({**FAR, "tools": {"add": {"description": "x" * 70_000}}}, "", "at most 64 KiB"),
        ("far", "", "valid dictionary"),
        ([FAR], "", "valid dictionary"),
    ],
)
def test_what_would_lead_into_this_machine_is_refused(document: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        server_of(document)
    (error,) = refused.value.errors
    assert error["field"] == field
    assert message in error["message"]


def test_what_it_may_say_is_as_in_the_file() -> None:
    far = server_of({**FAR, "headers": {"Authorization": "Bearer ${db:far}", "X-Region": "eu"}, "trusted": True})
    assert (far.registered_name("add"), far.is_judged, far.trusted) == ("far.add", True, True)
    near = server_of({**NEAR, "egress": ["api.example:443"], "workspace": True, "limits": {"pids": 8}})
    assert (near.command, near.workspace, near.limits.pids) == (("/usr/bin/near",), True, 8)


TEXT = """\
# Where the notes are.
name: notes
url: https://notes.example/mcp
tools:
  find: {effect: read}
  add.one:
    effect: write
    retry_safety: keyed
"""


def test_patterns_are_left_out_and_deep_schemas_refused() -> None:
    slow = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    kept = server_of({**FAR, "tools": {"add": {"args_schema": slow}}}).tools["add"].args_schema
    assert kept == {"type": "object", "properties": {"a": {"type": "string"}}}
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"properties": {"x": deep}}
    with pytest.raises(InvalidInput):
        server_of({**FAR, "tools": {"add": {"args_schema": deep}}})
    nested: Any = []
    for _ in range(2000):
        nested = [nested]
    with pytest.raises(InvalidInput):
        server_of({**FAR, "env": nested})


def test_text_is_read_and_written_again() -> None:
    document = server_text.document_of(TEXT)
    assert document["tools"]["add.one"] == {"effect": "write", "retry_safety": "keyed"}
    assert server_text.document_of(server_text.text_of(document)) == document
    assert server_of(server_text.document_of(server_text.SAMPLE)).name == "notes"


@pytest.mark.parametrize(
    ("field", "line"),
    [("", 1), ("url", 3), ("tools.find.effect", 5), ("tools.add.one", 6), ("tools.add.one.retry_safety", 8),
     ("tools.gone.effect", 4), ("nothing", 1)],
)  # fmt: skip
def test_a_fault_has_its_line(field: str, line: int) -> None:
    assert server_text.line_of(TEXT, field) == line


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a]\n: b\n", "not YAML"), ("x: !!bool maybe\n", "not YAML"), ("x: !!int ''\n", "not YAML"),
        ("x: !!timestamp foo\n", "not YAML"), (BOMB, "References of YAML"),
        ("", "One server is wanted"), ("- name: a\n", "One server is wanted"), ("just words", "One server is wanted"),
        ("x" * 70_000, "at most 65,536 characters"), ("name: a\nname: b\n", "Line 2: name is given twice."),
        ("name: a\ntools:\n  x: {}\n  x: {}\n", "Line 4: x is given twice."),
        ("name: [a\n", "this is not YAML"), ("name: a\n\ttools: {}\n", "this is not YAML"),
        ("name: &n a\nurl: *n\n", "References of YAML"), ("[" * 30_000, "not YAML"),
        ("name: !!python/object/apply:os.system [id]\n", "not YAML"), ("a: 1\n---\nb: 2\n", "not YAML"),
    ],
)
def test_text_that_is_no_description(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        server_text.document_of(text)
    assert message in refused.value.errors[0]["message"]


def test_dates_of_yaml_are_no_plain_values() -> None:
    with pytest.raises(InvalidInput) as refused:
        server_of(server_text.document_of("name: notes\nurl: https://notes.example\nenv: {SINCE: 2026-01-01}\n"))
    assert refused.value.errors
