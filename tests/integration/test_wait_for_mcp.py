"""Waiting for resources on MCP servers: a real server, a real listener, and what is lost in between: nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from missions.engine import mailbox, resources, starting
from missions.engine.registered_servers import Author
from missions.engine.resources import Change
from missions.models import AwaitedResource, Entry, Kind, Mission, Signal, State
from missions.tools import listener as listener_module
from missions.tools import registering
from missions.tools.listener import Listener
from missions.tools.watching_resources import Pace
from tests import watchers
from tests.live_worker import ended, parked, worker
from tests.resource_server import ResourceServer

pytestmark = pytest.mark.django_db(transaction=True)
HASTY = Pace(alive=0.2, reread=3600.0, retry=(0.05,))
CONTENT = "contents"


@pytest.fixture(params=["", "--legacy"], ids=["modern", "legacy"])
def server(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[ResourceServer]:
    with serving(tmp_path, settings, *filter(None, [request.param])) as made:
        yield made


@contextlib.contextmanager
def serving(folder: Path, settings: Settings, *options: str) -> Iterator[ResourceServer]:
    (folder / "states").mkdir()
    (folder / "states" / "order").write_text("ordered")
    made = ResourceServer(folder / "states", *options)
    settings.MISSIONS_MCP_SERVERS = watchers.catalogue(folder, made.url)
    yield made
    made.kill()


@contextlib.contextmanager
def listening(pace: Pace = HASTY) -> Iterator[Listener]:
    listener = Listener(pace)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()


def start(type_: str = watchers.TYPE, **wanted: Any) -> Mission:
    return starting.start(type_, wanted)[0]


def until(holds: Callable[[], bool]) -> None:
    """Ask again and again: nothing tells when a subscription has come."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def told(mission: Mission) -> str:
    return str(ended(mission).outcome.data[CONTENT][0]["text"])


def test_a_mission_parks_and_is_told_of_the_change(server: ResourceServer) -> None:
    with listening(), worker():
        mission = parked(start())
        assert mission.waits_for == "mcp:states state://order"
        until(lambda: server.listeners() == 1)
        server.write("order", "paid")
        server.announce("order")
        assert told(mission) == "paid"
    assert not AwaitedResource.objects.exists()
    kinds = list(Entry.objects.filter(mission_id=mission.pk).order_by("seq").values_list("kind", flat=True))
    assert kinds[-3:] == [Kind.AWAIT, Kind.SIGNAL, Kind.COMPLETED] and Kind.OUTCOME in kinds


def test_a_killed_server_loses_no_change(server: ResourceServer) -> None:
    with listening(), worker():
        mission = parked(start())
        until(lambda: server.listeners() == 1)
        server.kill()
        server.write("order", "paid")  # nobody can be told
        server.start()
        assert told(mission) == "paid"


def test_a_change_while_nobody_listens_is_found(server: ResourceServer) -> None:
    with worker():
        mission = parked(start())
        server.write("order", "paid")
        server.announce("order")  # to nobody
        with listening():
            assert told(mission) == "paid"


def test_the_next_wait_misses_nothing_that_came_since_the_last(server: ResourceServer) -> None:
    with listening(), worker():
        mission = parked(start(watchers.TWICE))
        until(lambda: server.listeners() == 1)
        server.write("order", "paid")
        server.announce("order")
        until(lambda: Mission.objects.get(pk=mission.pk).waits_for == "signal:go")
        server.write("order", "sent")
        server.announce("order")
        mailbox.deliver(mission.pk, "go", {})
        assert ended(mission).outcome.data == {"told": ["paid", "sent"]}


def test_one_subscription_serves_many_missions_and_each_is_told_once(tmp_path: Path, settings: Settings) -> None:
    with serving(tmp_path, settings) as server, listening(), listening(), worker():
        missions = [start() for _ in range(20)]
        for mission in missions:
            parked(mission)
        until(lambda: server.listeners() == 1)
        server.write("order", "paid")
        for _ in range(5):
            server.announce("order")
        assert {told(mission) for mission in missions} == {"paid"}
        assert server.listeners() <= 1
    assert Signal.objects.count() == 20


def test_a_server_that_tells_nobody_is_read_from_time_to_time(tmp_path: Path, settings: Settings) -> None:
    pace = Pace(alive=0.1, reread=0.2, retry=(0.05,))
    with serving(tmp_path, settings, "--mute") as server, listening(pace), worker():
        mission = parked(start())
        until(lambda: server.listeners() == 1)
        server.write("order", "paid")
        assert told(mission) == "paid"


def test_what_does_not_change_in_time_is_none(tmp_path: Path, settings: Settings, clock: Any) -> None:
    with serving(tmp_path, settings), worker():
        mission = parked(start(timeout=60))
        clock.advance(seconds=61)
        assert ended(mission).outcome.verdict == "unchanged"


def test_what_is_known_already_is_compared_at_once(tmp_path: Path, settings: Settings) -> None:
    with serving(tmp_path, settings), worker():
        mission = ended(start(known="0" * 64))
        assert (mission.outcome.verdict, mission.outcome.data["size"] > 0) == ("changed", True)
        assert not AwaitedResource.objects.exists()


def test_large_content_is_told_by_its_digest_and_too_large_content_not_at_all(
    tmp_path: Path, settings: Settings
) -> None:
    with serving(tmp_path, settings) as server, listening(), worker():
        mission = parked(start())
        until(lambda: server.listeners() == 1)
        server.write("order", "x" * 300_000)
        server.announce("order")
        data = ended(mission).outcome.data
        assert (data[CONTENT], len(data["digest"]), data["size"] > 300_000) == (None, 64, True)
        server.write("order", "x" * 9_000_000)
        refused = ended(start())
        assert refused.state == State.FAILED and "larger than" in refused.outcome.error


def test_a_resource_that_is_not_there_and_a_server_that_is_not_known_are_refused(
    tmp_path: Path, settings: Settings
) -> None:
    with serving(tmp_path, settings), worker():
        assert "no such resource" in ended(start(resource="state://nothing")).outcome.error
        other = tmp_path / "none.yaml"
        other.write_text("[]")
        settings.MISSIONS_MCP_SERVERS = str(other)
        assert "no MCP server 'states'" in ended(start()).outcome.error
    assert resources.awaited_servers() == set()


def test_waits_side_by_side_are_told_apart_and_those_that_lost_do_not_pile_up(
    tmp_path: Path, settings: Settings
) -> None:
    with serving(tmp_path, settings) as server, listening(), worker():
        server.write("letter", "unwritten")
        mission = start(watchers.MANY)
        asked = Entry.objects.filter(mission_id=mission.pk, kind=Kind.AWAIT)
        for number, name in enumerate(("order", "letter", "order")):
            until(lambda wanted=2 * (number + 1): asked.count() == wanted)  # type: ignore[misc]
            until(lambda: AwaitedResource.objects.filter(mission_id=mission.pk).count() == 2)
            parked(mission)
            server.write(name, f"{name} {number}")
            server.announce(name)
        assert ended(mission).outcome.data == {"seen": ["order 0", "letter 1", "order 2"]}
    assert AwaitedResource.objects.count() <= 1


def test_a_change_told_twice_counts_once_and_one_for_an_ended_mission_is_dropped(
    tmp_path: Path, settings: Settings
) -> None:
    with serving(tmp_path, settings), worker():
        mission = parked(start())
        (row,) = AwaitedResource.objects.all()
        change = Change(server="states", resource="state://order", digest="d", told={"digest": "d"})
        assert (resources.tell(change), resources.tell(change)) == (1, 0)
        ended(mission)
        row.save(force_insert=True)
        assert resources.awaited_of("states") == {} and resources.tell(change) == 0
    assert resources.forget() == 1 and Signal.objects.count() == 1


def test_a_worker_that_was_fenced_notes_no_wait(tmp_path: Path, settings: Settings) -> None:
    with serving(tmp_path, settings), worker():
        mission = parked(start())
    AwaitedResource.objects.all().delete()
    place = resources.Place(mission_id=mission.pk, attempt=mission.attempt - 1, path="mcp:states#1")
    resources.note(place, "mcp:x", "states", "state://order", "")
    assert not AwaitedResource.objects.exists()


class Hostile(BaseHTTPRequestHandler):
    """Answers what no server should, another thing each time."""

    answers: ClassVar[list[tuple[int, str, bytes]]] = [
        (200, "application/json", b"no json"), (200, "application/json", b'{"jsonrpc": "2.0", "id": 1, "result": 7}'),
        (200, "application/json", b'{"x": "' + b"x" * 9_000_000 + b'"}'), (500, "text/html", b"<h1>Oh</h1>"),
        (302, "text/html", b""), (200, "text/event-stream", b"data: \xff\xfe\n\n"), (200, "text/plain", b""),
        (200, "application/json", b'{"jsonrpc": "2.0", "id": 1, "result": {"contents": [{"uri": 7}]}}'),
    ]  # fmt: skip
    asked = 0

    def do_POST(self) -> None:
        """The next of them, cut off in the middle every third time."""
        Hostile.asked += 1
        status, kind, body = self.answers[Hostile.asked % len(self.answers)]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("location", "http://127.0.0.1:1/")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[: len(body) // 2] if Hostile.asked % 3 == 0 else body)

    do_GET = do_DELETE = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_hostile_server_in_between_harms_nobody_and_the_event_is_found(tmp_path: Path, settings: Settings) -> None:
    with serving(tmp_path, settings) as server, listening(), worker():
        mission = parked(start())
        until(lambda: server.listeners() == 1)
        server.kill()
        server.write("order", "paid")
        Hostile.asked = 0
        ThreadingHTTPServer.allow_reuse_address = True
        with ThreadingHTTPServer(("127.0.0.1", server.port), Hostile) as hostile:
            thread = threading.Thread(target=hostile.serve_forever)
            thread.start()
            until(lambda: Hostile.asked >= 3 * len(Hostile.answers))
            hostile.shutdown()
            thread.join()
        assert Mission.objects.get(pk=mission.pk).state == State.WAITING
        server.start()
        assert told(mission) == "paid"


def test_a_server_that_people_change_is_listened_to_where_it_is_now(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "COMPARE_SECONDS", 0.05)
    settings.MCP_SERVER_HOSTS = ["127.0.0.1"]
    ada = Author(by="ada", via="api")
    with contextlib.ExitStack() as stack:
        here, there = (stack.enter_context(apart(tmp_path / name)) for name in ("here", "there"))
        registering.register({"name": watchers.SERVER, "url": here.url}, ada)
        with listening(), worker():
            mission = parked(start())
            until(lambda: here.listeners() == 1)
            there.write("order", "moved")
            registering.register({"name": watchers.SERVER, "url": there.url}, ada)
            assert told(mission) == "moved"
            until(lambda: here.listeners() == 0)
    registering.remove(watchers.SERVER, ada)


@contextlib.contextmanager
def apart(folder: Path) -> Iterator[ResourceServer]:
    """A server that no file names."""
    (folder / "states").mkdir(parents=True)
    (folder / "states" / "order").write_text("ordered")
    made = ResourceServer(folder / "states")
    yield made
    made.kill()


def test_a_wait_on_record_outlives_its_server(tmp_path: Path, settings: Settings) -> None:
    settings.MCP_SERVER_HOSTS = ["127.0.0.1"]
    ada = Author(by="ada", via="api")
    with apart(tmp_path / "here") as here:
        registering.register({"name": watchers.SERVER, "url": here.url}, ada)
        with listening(), worker():
            mission = parked(start(watchers.TWICE))
            until(lambda: here.listeners() == 1)
            here.write("order", "paid")
            here.announce("order")
            until(lambda: Mission.objects.get(pk=mission.pk).waits_for == "signal:go")
        registering.remove(watchers.SERVER, ada)
        with worker():
            mailbox.deliver(mission.pk, "go", {})
            refused = ended(mission)  # its second wait; the first is on record
    assert refused.state == State.FAILED and "The MCP server states was taken away." in refused.outcome.error
