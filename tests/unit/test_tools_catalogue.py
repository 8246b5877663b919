"""The file of MCP servers: what it means, and what it says where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from missions.errors import InvalidInput
from missions.tools import catalogue, checks
from missions.tools.catalogue import spec
from missions.tools.server_file import read
from missions.tools.servers import WrongCatalogue

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def written(folder: Path, text: str) -> Path:
    path = folder / "servers.yaml"
    path.write_text(text)
    return path


def wrong(folder: Path, text: str) -> str:
    with pytest.raises(WrongCatalogue) as caught:
        read(written(folder, text))
    return str(caught.value)


def test_names_carry_the_server_unless_a_prefix_says_otherwise(tmp_path: Path) -> None:
    text = "{name: crm, url: 'http://crm.test/mcp', tools: {find: {effect: read}}}"
    (server,) = read(written(tmp_path, text))
    assert spec(server, "find").name == "crm.find"
    (server,) = read(written(tmp_path, text.replace("tools:", "prefix: 'x-', tools:")))
    assert spec(server, "find").name == "x-find"


def test_listed_tools_are_known_without_their_server(tmp_path: Path) -> None:
    path = written(tmp_path, "- {name: crm, url: 'http://127.0.0.1:1/mcp', tools: {find: {effect: read}}}")
    (found,) = catalogue.load(path)
    assert found.args_schema == {"type": "object"}
    assert found.check_args({"anything": 1}) == {"anything": 1}
    with pytest.raises(InvalidInput):
        found.check_args({"anything": float("nan")})


def test_unlisted_tools_write_and_only_a_person_can_tell(tmp_path: Path) -> None:
    (server,) = read(written(tmp_path, "{name: crm, url: 'http://crm.test/mcp'}"))
    found = spec(server, "erase")
    assert (found.effect, found.retry_safety, found.probe) == ("write", "manual", None)


def test_references_are_resolved_and_headers_stay_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TOKEN", "s3cret")
    monkeypatch.setenv("CRM_HOST", "crm.test")
    text = "{name: crm, url: 'https://${CRM_HOST}/mcp', headers: {Authorization: 'Bearer ${CRM_TOKEN}'}}"
    (server,) = read(written(tmp_path, text))
    assert (server.url, server.headers["Authorization"]) == ("https://crm.test/mcp", "Bearer s3cret")
    assert "s3cret" not in repr(server)


def test_unresolved_reference_says_what_it_wants(tmp_path: Path) -> None:
    said = wrong(tmp_path, "- name: crm\n  url: ${NO_SUCH_URL}\n")
    assert "servers.yaml, line 1" in said
    assert "NO_SUCH_URL" in said


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        ("effect: writes", 5, "tools.pay.effect: Input should be 'read', 'write' or 'irreversible'"),
        ("effect: write\n      retry_safety: keyed", 4, "wants `key_argument`"),
        ("effect: write\n      retry_safety: verifiable", 4, "wants `probe`"),
        ("effect: read\n      compensate: unpay", 4, "nothing to compensate"),
        ("effect: write\n      probe: look", 4, "asks by the key"),
        ("effect: write\n      timeout: -1", 6, "tools.pay.timeout"),
        ("effect: write\n      colour: red", 6, "tools.pay.colour"),
        ("effect: write\n      effect: read", 6, "effect is given twice"),
    ],
)
def test_wrong_entry_names_file_line_and_want(tmp_path: Path, change: str, line: int, says: str) -> None:
    said = wrong(tmp_path, f"- name: bank\n  url: http://bank.test/mcp\n  tools:\n    pay:\n      {change}\n")
    assert f"servers.yaml, line {line}: " in said
    assert says in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{name: a, url: 'ftp://a/mcp'}", "wants http://"),
        ("{name: a, url: 'http://user:pw@a/mcp'}", "credentials in `headers`"),
        ("{name: a}", "either `url` or `command`"),
        ("{name: a, url: 'http://a/mcp', command: [x]}", "either `url` or `command`"),
        ("{name: a, command: [x], headers: {A: b}}", "no secret reaches a command"),
        ("{name: a, command: [x, '${TOKEN}']}", "no secret reaches the sandbox"),
        ("{name: a, command: [x], env: {TOKEN: '${TOKEN}'}}", "no secret reaches the sandbox"),
        ("{name: a, command: [x], egress: [api.test]}", "egress.0"),
        ("{name: a, url: 'http://a/mcp', egress: ['api.test:443']}", "go with `command`"),
        ("[{name: a, url: 'http://a/mcp'}, {name: a, url: 'http://b/mcp'}]", "two servers"),
        ("- [", "not YAML"),
        ("just text", "servers.yaml, line 1"),
        ("{name: 'a b', url: 'http://a/mcp'}", "name"),
    ],
)
def test_wrong_server_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert says in wrong(tmp_path, text)


def test_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(WrongCatalogue, match="MISSIONS_MCP_SERVERS wants a readable file"):
        read(tmp_path / "none.yaml")


def test_empty_file_holds_no_servers(tmp_path: Path) -> None:
    assert read(written(tmp_path, "# nothing yet\n")) == []


def test_schema_that_is_none_is_refused(tmp_path: Path) -> None:
    said = wrong(tmp_path, "name: a\nurl: http://a/mcp\ntools:\n  t:\n    args_schema: {type: 7}\n")
    assert "line 5: tools.t.args_schema" in said
    assert "wants a JSON Schema" in said


@pytest.mark.parametrize(
    ("file", "safety", "probes"),
    [
        ("mcp-servers", "keyed", True),
        ("mcp-servers-verifiable", "verifiable", True),
        ("mcp-servers-manual", "manual", False),
    ],
)
def test_deployed_files_differ_in_the_refund_alone(file: str, safety: str, probes: bool) -> None:
    (ours,) = read(DEPLOY / "mcp-servers.yaml")
    (found,) = read(DEPLOY / f"{file}.yaml")
    refund = spec(found, "payments.refund")
    assert (refund.retry_safety, refund.probe is not None, refund.compensate) == (safety, probes, "payments.reverse")
    others: Any = {name: entry for name, entry in found.tools.items() if name != "payments.refund"}
    assert others == {name: ours.tools[name] for name in others}
    assert found.errors == ours.errors


def test_check_passes_for_what_is_deployed_and_names_a_wrong_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.tools(None) == []

    def fail() -> Any:
        raise WrongCatalogue("servers.yaml, line 3: no")

    monkeypatch.setattr(checks, "all_tools", fail)
    assert [fault.msg for fault in checks.tools(None)] == ["servers.yaml, line 3: no"]
