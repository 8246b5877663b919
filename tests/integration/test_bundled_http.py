"""`http.*`: what is listed is reached and nothing else, and what a server does decides what is known of the call."""

from __future__ import annotations

import base64
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from missions import egress
from missions.authoring import OutcomeUnknown, ToolFailed, TryLater
from missions.library.bundled import wire
from missions.secrets import redacting
from tests.bundled import call_of, called
from tests.hostile_http import Hostile, bomb, hostile_server
from tests.receivers import certificate_for, receiver

OUTSIDE = "93.184.215.14"


@pytest.fixture
def server(settings: Settings) -> Iterator[Hostile]:
    """Listed."""
    with hostile_server() as running:
        settings.HTTP_TOOL_HOSTS = egress.parse([f"{running.where};private"])
        yield running


def get(server: Hostile, path: str, **more: Any) -> Any:
    return called("http.get", url=f"http://{server.where}{path}", **more)


def post(server: Hostile, path: str, **more: Any) -> Any:
    return called("http.request", method="POST", url=f"http://{server.where}{path}", json={"a": 1}, **more)


def test_a_read_answers_status_headers_and_text(server: Hostile) -> None:
    headers = {"content-type": "application/json", "content-length": "11"}
    expected = {"status": 200, "headers": headers, "text": '{"ok":true}', "truncated": False}
    assert get(server, "/plain", headers={"X-Trace": "7"}) == expected
    assert "x-trace: 7" in server.heads[0] and server.heads[0].startswith("GET /plain ")


def test_a_write_sends_its_body_and_a_keyed_one_the_key(server: Hostile, settings: Settings) -> None:
    assert post(server, "/plain")["status"] == 200
    assert server.heads[0].endswith('\n\n{"a":1}') and "idempotency-key" not in server.heads[0]
    url, call = f"http://{server.where}/plain", call_of("k" * 64)
    with pytest.raises(ToolFailed, match="not listed as keyed"):
        called("http.keyed", method="PUT", url=url, body="x")
    settings.HTTP_TOOL_HOSTS = egress.parse([f"{server.where};private;keyed"])
    assert called("http.keyed", call, method="PUT", url=url, body="x")["status"] == 200
    assert f"idempotency-key: {'k' * 64}" in server.heads[1] and len(server.heads) == 2


@pytest.mark.parametrize("path", ["/huge", "/endless"])
def test_a_body_without_end_is_cut_off_and_memory_stays_bounded(server: Hostile, path: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for ask in (get, post):
        answer = ask(server, path)
        assert answer["truncated"] and len(answer["text"]) == wire.ANSWER_BYTES
    assert server.written < 40 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_what_is_packed_is_not_unpacked(server: Hostile) -> None:
    packed = bomb()  # made before, so that the server does not take its time
    answer = get(server, "/bomb")
    assert base64.b64decode(answer["base64"]) == packed and len(packed) < wire.ANSWER_BYTES


def test_a_body_that_drips_or_breaks_off_takes_nothing_back(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.5)
    for path in ("/drip", "/cut"):
        answer = post(server, path)
        assert (answer["status"], answer["text"], answer["truncated"]) == (200, "first", True)


@pytest.mark.parametrize("path", ["/silent", "/hang-up", "/garbage", "/heads"])
def test_no_answer_after_sending_is_unknown_for_a_write(
    server: Hostile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "/silent":
        monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.5)
    with pytest.raises(OutcomeUnknown, match="after the request was sent"):
        post(server, path)
    assert server.asked(1)


@pytest.mark.parametrize(
    ("status", "raised"),
    [("400", ToolFailed), ("404", ToolFailed), ("422", ToolFailed), ("409", OutcomeUnknown), ("500", OutcomeUnknown),
     ("408", OutcomeUnknown), ("429", TryLater)],
)  # fmt: skip
def test_a_status_means_for_a_write_what_the_table_says(server: Hostile, status: str, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        post(server, f"/status/{status}")
    if raised is not TryLater:
        with pytest.raises(ToolFailed, match=f"HTTP {status}. no"):
            get(server, f"/status/{status}")


def test_a_server_that_is_busy_says_when(server: Hostile) -> None:
    with pytest.raises(TryLater) as caught:
        post(server, "/later")
    assert caught.value.retry_after_seconds == 7


def test_a_redirect_is_told_and_never_followed(server: Hostile) -> None:
    answer = get(server, "/metadata")
    assert (answer["status"], answer["headers"]["location"]) == (302, "http://169.254.169.254/latest/")
    assert len(server.heads) == 1


def test_binary_comes_as_base64(server: Hostile) -> None:
    assert get(server, "/binary")["base64"] == "//4AAQ=="


def test_a_closed_port_is_no_doubt(settings: Settings) -> None:
    settings.HTTP_TOOL_HOSTS = egress.parse(["127.0.0.1:9;private"])
    with pytest.raises(TryLater, match="nothing was sent"):
        called("http.request", method="DELETE", url="http://127.0.0.1:9/")


REFUSED = [
    "http://other.example:80/", "https://api.example.org/", "https://api.example.org:8443/", "http://api.example.org:443/",
    "https://u:p@api.example.org:443/", "https://example.org:444/", "ftp://api.example.org:443/", "https://x.y/ z",
    "https://api.example.org.evil.test:443/", "https://evilexample.org:443/", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_not_listed_is_never_resolved(url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was resolved")

    monkeypatch.setattr(wire, "WIRE", wire.Wire(resolve=resolve))
    settings.HTTP_TOOL_HOSTS = egress.parse(["files.example.org:443", "*.example.org:444"])
    for tool, more in (("http.get", {}), ("http.request", {"method": "POST"})):
        with pytest.raises(ToolFailed) as caught:
            called(tool, url=url, **more)
        assert caught.value.facts["code"] == "not_allowed"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00:ec2::254"])
def test_a_listed_name_that_leads_inside_is_refused(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WIRE", wire.Wire(resolve=lambda host, port: [OUTSIDE, address]))
    settings.HTTP_TOOL_HOSTS = egress.parse(["api.example.org:443"])
    with pytest.raises(ToolFailed, match="may not be sent to"):
        called("http.get", url="https://api.example.org/")


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "168.63.129.16",
                                     "100.100.100.200", "fe80::1"])
def test_not_even_a_private_place_may_be_the_metadata_address(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WIRE", wire.Wire(resolve=lambda host, port: [address]))
    settings.HTTP_TOOL_HOSTS = egress.parse(["inside.example.org:80;private"])
    with pytest.raises(ToolFailed, match="metadata"):
        called("http.get", url="http://inside.example.org/")


def test_a_name_is_resolved_once_and_what_was_judged_is_dialled(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A name server that answers otherwise the second time gains nothing; TLS is for the name."""
    certificate = certificate_for("api.example.org", tmp_path)
    turns = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(turns)

    trust = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(wire, "WIRE", wire.Wire(resolve=resolve, trust=trust))
    with receiver(certificate) as running:
        settings.HTTP_TOOL_HOSTS = egress.parse([f"api.example.org:{running.port};private"])
        assert called("http.get", url=f"https://api.example.org:{running.port}/ok")["status"] == 200
    assert asked == ["api.example.org"] and running.names == ["api.example.org"]
    assert running.got[0].headers["host"] == f"api.example.org:{running.port}"


def test_an_agent_reaches_only_what_it_may_itself(server: Hostile) -> None:
    url = f"http://{server.where}/plain"
    with pytest.raises(ToolFailed, match="The agent clerk may not reach"):
        called("http.get", call_of(agent="clerk", egress=("api.example.org:443",)), url=url)
    assert called("http.get", call_of(agent="clerk", egress=(server.where,)), url=url)["status"] == 200


def test_credentials_come_from_the_list_and_go_nowhere_else(
    server: Hostile, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_TOKEN", "canary-of-the-crm")
    settings.HTTP_TOOL_HOSTS = egress.parse([f"{server.where};private;Authorization=Bearer ${{env:CRM_TOKEN}}"])
    get(server, "/plain")
    assert "authorization: Bearer canary-of-the-crm" in server.heads[0]
    redacting.forget()


def test_a_refusal_that_is_cut_in_the_middle_of_a_secret_shows_no_half_of_it(
    server: Hostile, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_TOKEN", "canary-of-the-crm")
    settings.HTTP_TOOL_HOSTS = egress.parse([f"{server.where};private;X-Key=${{env:CRM_TOKEN}}"])
    with pytest.raises(ToolFailed) as caught:
        post(server, "/echo")
    assert "canary" not in str(caught.value) and "eee" in str(caught.value)
    redacting.forget()


@pytest.mark.parametrize(
    "headers",
    [{"Host": "x"}, {"authorization": "x"}, {"Cookie": "x"}, {"Content-Length": "1"}, {"Transfer-Encoding": "chunked"},
     {"Idempotency-Key": "x"}, {"X-A": "b\r\nX-C: d"}, {"X A": "b"}, {"X-A": "é"}, {"X-A": "b" * 3000},
     {f"X-{number}": "b" for number in range(40)}],
)  # fmt: skip
def test_headers_that_are_not_the_callers_are_refused(server: Hostile, headers: dict[str, str]) -> None:
    with pytest.raises(ToolFailed):
        get(server, "/plain", headers=headers)
    assert server.heads == []


@pytest.mark.parametrize(
    "entry",
    ["api.example.org", "api.example.org:0", "api.example.org:99999", "https://api.example.org:443", "*:443", "a b:1",
     "api.example.org:443;open", "*.example.org:443;X-Key=a", "api.example.org:443;X Key=a",
     "api.example.org:443;X-Key="],
)  # fmt: skip
def test_wrong_entries_of_the_list_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        egress.parse([entry])


def test_a_body_is_given_once_and_is_not_huge(server: Hostile) -> None:
    url = f"http://{server.where}/plain"
    with pytest.raises(ToolFailed, match="not both"):
        called("http.request", method="POST", url=url, body="a", json=1)
    with pytest.raises(ToolFailed, match="at most"):
        called("http.request", method="POST", url=url, json="é" * 600_000)
    assert server.heads == []
