"""The one way out of a job: exact places, through a proxy that sees and notes each attempt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from missions.addresses import is_public
from missions.sandbox import egress
from missions.sandbox.egress import Proxy, place_of
from missions.sandbox.jobs import Attempt, Finished
from tests import sandboxed

pytestmark = sandboxed.needs_bubblewrap
TALK = """
import json, os, socket, sys
def ask(head, *more):
    with socket.create_connection(("127.0.0.1", 3128), 5) as way:
        way.sendall(head.encode() + b"\\r\\n\\r\\n")
        answer = way.recv(4096).split(b"\\r\\n")[0].decode()
        for part in more:
            if " 200 " not in answer: break
            way.sendall(part.encode() * 1000)
            answer += " " + str(len(way.recv(100_000)) > 0)
        return answer
print(json.dumps([ask(*words) for words in json.loads(sys.argv[1])]))
"""


@contextlib.contextmanager
def echo_server() -> Iterator[int]:
    """A server on loopback that sends back what it gets; its port."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(4096):
            writer.write(part)
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        stopped = asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        await stopped.wait()
        server.close()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))

    stop: list[Any] = []
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        while not stop:
            ready.wait(0.01)
        stop[0]()
        thread.join()
        loop.close()


@pytest.fixture
def port() -> Iterator[int]:
    with echo_server() as found:
        yield found


def talk(*requests: tuple[str, ...], egress: tuple[str, ...]) -> tuple[list[str], Finished]:
    done = sandboxed.python(TALK, json.dumps(requests), egress=egress)
    assert done.code == 0, done.stderr
    return json.loads(done.stdout), done


def test_listed_place_is_reached_and_every_attempt_noted(port: int, settings: Any) -> None:
    place, head = f"127.0.0.1:{port}", f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x"
    settings.SANDBOX_PRIVATE_PLACES = [place]
    requests = [
        (head, "hello"), ("CONNECT 127.0.0.1:1 HTTP/1.1",), ("CONNECT example.org:443 HTTP/1.1",),
        ("CONNECT 169.254.169.254:80 HTTP/1.1",), ("GET http://example.org/ HTTP/1.1",), ("nonsense",),
        ("CONNECT localhost.:x HTTP/1.1",),
    ]  # fmt: skip
    answers, done = talk(*requests, egress=(place,))
    assert answers == ["HTTP/1.1 200 Connection established True"] + ["HTTP/1.1 403 Forbidden"] * 6
    first, *others = done.egress
    assert (first.host, first.port, first.allowed, first.bytes_up) == ("127.0.0.1", port, True, 5000)
    assert first.bytes_down > 0 and not any(one.allowed for one in others) and len(others) == 6
    assert [(one.host, one.port) for one in others[:3]] == [
        ("127.0.0.1", 1), ("example.org", 443), ("169.254.169.254", 80)
    ]  # fmt: skip
    assert "CONNECT" in others[3].why and others[0].as_json()["why"] and "bytes_up" in first.as_json()


def test_private_address_is_refused_even_if_its_place_is_listed(port: int) -> None:
    answers, done = talk((f"CONNECT 127.0.0.1:{port} HTTP/1.1",), egress=(f"127.0.0.1:{port}",))
    assert answers == ["HTTP/1.1 403 Forbidden"]
    assert "not public" in done.egress[0].why


def test_nothing_but_the_proxy_is_there(port: int, settings: Any) -> None:
    place = f"127.0.0.1:{port}"
    settings.SANDBOX_PRIVATE_PLACES = [place]
    code = (
        "import socket, sys\n"
        "for address in (('127.0.0.1', int(sys.argv[1])), ('192.0.2.1', 443), ('10.0.0.1', 53)):\n"
        "    try: socket.create_connection(address, 2); print('DONE')\n"
        "    except OSError as error: print(error.strerror)\n"
        "print([line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line])\n"
    )
    done = sandboxed.python(code, str(port), egress=(place,))
    assert b"DONE" not in done.stdout and done.stdout.endswith(b"['lo']\n"), done
    assert done.egress == ()


def test_ordinary_clients_find_the_proxy(port: int) -> None:
    code = (
        "import urllib.request\n"
        "try: urllib.request.urlopen('https://example.org/')\n"
        "except OSError as error: print(error)\n"
    )
    done = sandboxed.python(code, egress=("example.com:443",))
    assert b"403" in done.stdout
    assert [(one.host, one.port, one.allowed) for one in done.egress] == [("example.org", 443, False)]


async def resolved(name: str, *addresses: str) -> Attempt:
    """What is noted of one attempt where a listed name leads to these addresses."""

    async def resolver(host: str, port: int) -> list[str]:
        return list(addresses)

    proxy = Proxy([f"{name}:443"], resolver=resolver)
    reader = asyncio.StreamReader()
    reader.feed_data(f"CONNECT {name}:443 HTTP/1.1\r\n\r\n".encode())
    with contextlib.suppress(egress.Refused):
        flow = egress._Flow()
        try:
            await proxy._open(flow, reader)
        except egress.Refused as error:
            flow.why = str(error)
    return flow.told()


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",), ("10.1.2.3",), ("169.254.169.254",), ("::1",), ("fd00::1",), ("::ffff:127.0.0.1",),
        ("64:ff9b::7f00:1",), ("2002:7f00:1::",), ("100.64.0.1",), ("0.0.0.0",), ("224.0.0.1",), ("168.63.129.16",),
        ("93.184.216.34", "127.0.0.1"), (),
    ],
)  # fmt: skip
async def test_name_that_leads_inside_is_refused(addresses: tuple[str, ...]) -> None:
    found = await resolved("listed.example", *addresses)
    assert not found.allowed and ("not public" in found.why or "no address" in found.why)


def test_public_addresses_are_public() -> None:
    assert all(map(is_public, ("93.184.216.34", "8.8.8.8", "2606:4700::1111")))


def test_too_much_is_cut(port: int, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "UP_BYTES", 3000)
    settings.SANDBOX_PRIVATE_PLACES = [place := f"127.0.0.1:{port}"]
    code = TALK.replace("answer += ", "answer += ''; way.settimeout(5); answer += ")
    done = sandboxed.python(code, json.dumps([[f"CONNECT {place} HTTP/1.1", "hello"]]), egress=(place,))
    assert "3,000 bytes were sent" in done.egress[0].why and done.egress[0].bytes_up <= 3000


def test_flood_of_attempts_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "NOTED", 3)
    _, done = talk(*[("CONNECT example.org:443 HTTP/1.1",)] * 5, egress=("example.com:443",))
    assert len(done.egress) == 4 and "2 more" in done.egress[3].why


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":443", "host:0", "host:65536", "ho st:1", "a_b:c", "host:４４３", "http://x:1"]
)
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        place_of(text)


def test_places_are_compared_as_they_are_dialled() -> None:
    assert place_of("API.Example.ORG.:443") == ("api.example.org", 443) and place_of("[::1]:80") == ("::1", 80)
