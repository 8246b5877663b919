"""The live sockets against the real server: who is let in, what comes, in which order, and what a break costs."""

from __future__ import annotations

import json
import re

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from missions.engine import feed
from missions.engine.dsn import conninfo
from missions.models import Kind, Mission, RestrictedScope, Restriction, State
from observability import stream
from observability.console.consumers import UNANSWERED
from tests import parcels, rail
from tests.web.conftest import Dial, session_of

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 30.0  # until a test gives up waiting


def socket_of(mission: Mission, since: str | None = "") -> str:
    return f"/ws/missions/{mission.uid}/" + (f"?since={since}" if since is not None else "")


def tell(mission: Mission, text: str) -> str:
    """Add an observation to a mission's rail as a worker does, hint and all; returns its DOM id."""
    entry = parcels.append(mission, Kind.OBSERVED, {"text": text})
    feed.announce(f"m{mission.pk}")
    return stream.Cursor(entry.tx, stream.Source.JOURNAL, mission.pk, entry.seq).dom_id


def items_in(message: str) -> list[str]:
    """The items of the rail in a message."""
    return re.findall(r'<(?:li|tr)[^>]*id="(rail-[\d-]+)"', message)


class Watch:
    """What came over a socket so far."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.items: list[str] = []
        self.html: list[str] = []
        self.facts: list[dict[str, str]] = []

    def read(self) -> str:
        """The next message, sorted in."""
        message = str(self.socket.recv(timeout=SECONDS))
        if message.startswith("{"):
            self.facts.append(json.loads(message))
        else:
            self.html.append(message)
            self.items += items_in(message)
        return message

    def until(self, item: str) -> Watch:
        """Read until an item of the rail has come."""
        while item not in self.items:
            self.read()
        return self

    def until_text(self, text: str) -> str:
        """The first further message that contains a text."""
        while text not in (message := self.read()):
            continue
        return message

    def code(self) -> int:
        """The code with which the server closes, and that nothing of a mission came before."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.read()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


# -- Who is let in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "/ws/queue/", "/ws/overview/", "/ws/missions/01a2046c-433f-7976-8e13-6e906736dde3/",
    "/ws/decisions/01a2046c-433f-7976-8e13-6e906736dde3/",
])  # fmt: skip
def test_strangers_are_refused(dial: Dial, path: str) -> None:
    assert Watch(dial(None, path)).code() == 4401


def test_a_page_of_another_site_can_not_connect(dial: Dial, olivia: User) -> None:
    with pytest.raises(InvalidStatus) as refused:
        dial(olivia, "/ws/queue/", origin="http://evil.example")
    assert refused.value.response.status_code == 403


def test_who_may_not_see_a_mission_is_refused_and_learns_nothing(dial: Dial, olivia: User, outsider: User) -> None:
    watch = Watch(dial(outsider, socket_of(parcels.mission(olivia))))
    assert watch.code() == 4403
    assert watch.html == []


def test_a_mission_of_a_restricted_type_is_refused_to_other_roles(dial: Dial, olivia: User, sam: User) -> None:
    Restriction.objects.create(scope=RestrictedScope.MISSION_TYPE, name=parcels.TYPE, group="supervisors")
    mission = parcels.mission()
    watch = Watch(dial(olivia, socket_of(mission)))
    assert (watch.code(), watch.html) == (4403, [])
    Watch(dial(sam, socket_of(mission))).until_text("mission-header-")


def test_the_owner_and_readers_are_let_in(dial: Dial, audrey: User, outsider: User) -> None:
    mission = parcels.mission(outsider)
    for user in (outsider, audrey):
        Watch(dial(user, socket_of(mission))).until_text("mission-header-")


def test_a_cursor_that_is_none_is_refused(dial: Dial, olivia: User) -> None:
    mission, other = parcels.mission(olivia), parcels.mission(olivia)
    assert Watch(dial(olivia, socket_of(mission, "nonsense"))).code() == 4400
    assert Watch(dial(olivia, socket_of(mission, stream.cursor_at(other.pk, 1)))).code() == 4400
    socket = dial(olivia, socket_of(mission, None))
    socket.send("no json")
    assert Watch(socket).code() == 4400


# -- What comes --------------------------------------------------------------------------------------------------------


def ids_of(mission: Mission) -> list[str]:
    """The DOM ids of a mission's narrative, from the database."""
    return [one.cursor.dom_id for one in stream.read(mission.pk)[0] if one.payload.get("outcome") != "allow"]


def test_from_the_start_everything_comes_once_in_order_and_then_what_is_new(
    dial: Dial, olivia: User, sam: User, fiona: User
) -> None:
    mission = rail.approved_story(olivia, sam, fiona)
    expected = ids_of(mission)
    watch = Watch(dial(olivia, socket_of(mission))).until(expected[-1])
    assert watch.items == expected
    for number in range(3):
        added = tell(mission, f"Observation {number}")
        assert watch.until(added).items == [*expected, added]
        expected.append(added)


def test_a_seq_is_as_good_as_a_cursor(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    items = [tell(mission, f"Observation {number}") for number in range(3)]
    assert Watch(dial(olivia, socket_of(mission, "2"))).until(items[-1]).items == items[1:]
    assert Watch(dial(olivia, socket_of(mission, "0"))).until(items[-1]).items == ids_of(mission)


def test_the_page_names_its_cursor_after_opening_and_gets_the_gap(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    seen = stream.read(mission.pk)[1]
    missed = [tell(mission, f"Missed {number}") for number in range(3)]
    socket = dial(olivia, socket_of(mission, None))
    socket.send(json.dumps({"since": seen}))
    watch = Watch(socket).until(missed[-1])
    assert watch.items == missed
    watch.until_text('"cursor"')
    assert watch.facts[-1]["cursor"] == stream.read(mission.pk)[1]


def test_the_log_view_gets_rows_and_also_what_the_narrative_leaves_out(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    parcels.append(mission, Kind.RULING, {"tool": "t", "title": "Look", "outcome": "allow", "reason": "A read."})
    last = tell(mission, "Done looking")
    watch = Watch(dial(olivia, socket_of(mission) + "&view=log")).until(last)
    assert len(watch.items) == 3
    assert '<tbody id="rail" hx-swap-oob="beforeend">' in watch.html[0] + watch.html[-1]


def test_the_head_follows_the_mission(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    watch = Watch(dial(olivia, socket_of(mission)))
    watch.until_text("Running")
    rail.asking(mission)
    feed.announce(f"m{mission.pk}")
    head = watch.until_text("Waits for")
    assert f'id="mission-header-{mission.uid}"' in head
    assert 'hx-swap-oob="morph"' in head
    parcels.complete(mission)
    feed.announce(f"m{mission.pk}")
    assert "Verdict: delivered" in watch.until_text("Verdict")


def test_effects_are_sent_when_they_change(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    watch = Watch(dial(olivia, socket_of(mission)))
    watch.until_text("No effects.")
    parcels.effect(mission)
    feed.announce(f"m{mission.pk}")
    assert "Send the van" in watch.until_text(f"effects-{mission.uid}")


def test_controls_are_sent_to_those_who_may_use_them(dial: Dial, olivia: User, sam: User, audrey: User) -> None:
    mission = rail.running(olivia)
    sent = [Watch(dial(user, socket_of(mission))).until_text("mission-header-") for user in (olivia, sam, audrey)]
    assert ["roll-back/" in html for html in sent] == [True, False, False]
    assert ["pause/" in html for html in sent] == [True, True, False]
    assert f'id="controls-{mission.uid}"' not in sent[2]


@pytest.mark.parametrize("drawn", ["1", "2", "nonsense"])
def test_a_rail_drawn_with_another_timeline_is_to_be_drawn_anew(dial: Dial, olivia: User, drawn: str) -> None:
    mission = rail.running(olivia)
    Mission.objects.filter(pk=mission.pk).update(timeline=2)
    watch = Watch(dial(olivia, f"{socket_of(mission, None)}?timeline={drawn}"))
    watch.until_text("mission-header-")
    Mission.objects.filter(pk=mission.pk).update(state=State.SLEEPING)
    feed.announce(f"m{mission.pk}")
    watch.until_text("Sleeping")
    assert ({"event": "timeline"} in watch.facts) == (drawn == "1")


def test_two_watchers_get_the_same(dial: Dial, olivia: User, audrey: User) -> None:
    mission = rail.running(olivia)
    watches = [Watch(dial(user, socket_of(mission))) for user in (olivia, audrey)]
    last = [tell(mission, f"Observation {number}") for number in range(5)][-1]
    for watch in watches:
        assert watch.until(last).items == ids_of(mission)


def test_a_hint_for_another_mission_brings_nothing(dial: Dial, olivia: User) -> None:
    mission, other = rail.running(olivia), rail.running(olivia)
    watch = Watch(dial(olivia, socket_of(mission)))
    watch.until_text("mission-header-")
    tell(other, "Elsewhere")
    own = tell(mission, "Here")
    watch.until(own)
    assert "Elsewhere" not in "".join(watch.html)


# -- Late commits, lost permissions, slow clients, lost connections ----------------------------------------------------


def test_an_item_behind_an_open_transaction_comes_later_and_in_its_place(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    watch = Watch(dial(olivia, socket_of(mission))).until(ids_of(mission)[-1])
    with psycopg.connect(conninfo("test")) as late:
        late.execute(rail.TAKEOVER, [mission.pk, 1])
        hidden = tell(mission, "Younger, but committed first")
        Mission.objects.filter(pk=mission.pk).update(state=State.PAUSED)
        feed.announce(f"m{mission.pk}")
        watch.until_text("Paused")  # the push after the hint has come, and the hidden item with none
        assert hidden not in watch.items
        late.commit()  # no hint tells of this
    assert watch.until(hidden).items == ids_of(mission)


def test_losing_the_permission_ends_the_updates(dial: Dial, olivia: User, audrey: User) -> None:
    mission = rail.running(olivia)
    watch = Watch(dial(audrey, socket_of(mission)))
    watch.until_text("mission-header-")
    audrey.groups.remove(Group.objects.get(name="auditors"))
    tell(mission, "Not for her any more")
    assert watch.code() == 4403
    assert "Not for her any more" not in "".join(watch.html)


def test_signing_out_ends_the_updates(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    key = session_of(olivia)
    watch = Watch(dial(olivia, socket_of(mission), session=key))
    watch.until_text("mission-header-")
    Session.objects.filter(pk=key).delete()
    tell(mission, "After the sign-out")
    assert watch.code() == 4403
    assert "After the sign-out" not in "".join(watch.html)


def test_a_page_that_does_not_keep_up_is_waited_for_and_then_gets_everything_once(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    socket = dial(olivia, socket_of(mission, None))
    socket.send(json.dumps({"since": stream.read(mission.pk)[1]}))
    watch, told = Watch(socket), []
    for number in range(UNANSWERED):
        told.append(tell(mission, f"Observation {number}"))
        watch.until(told[-1])
    told += [tell(mission, f"Held back {number}") for number in range(5)]
    with pytest.raises(TimeoutError):
        while True:  # nothing more of the rail comes, however often it is hinted at
            assert items_in(str(socket.recv(timeout=0.5))) == []  # the head may, with the latest
    socket.send(json.dumps({"have": watch.facts[-1]["cursor"]}))
    assert watch.until(told[-1]).items == told


def test_after_a_lost_listener_the_socket_finds_what_it_missed(dial: Dial, olivia: User) -> None:
    mission = rail.running(olivia)
    watch = Watch(dial(olivia, socket_of(mission)))
    watch.until_text("mission-header-")
    entry = parcels.append(mission, Kind.OBSERVED, {"text": "While nobody listened"})  # and no hint at all
    item = stream.Cursor(entry.tx, stream.Source.JOURNAL, mission.pk, entry.seq).dom_id
    assert item not in watch.items
    with connection.cursor() as cursor:
        hubs = "datname = current_database() and application_name = 'standfast hub'"
        cursor.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {hubs}")
        assert (True,) in cursor.fetchall()  # that of the page before may still be there
    watch.until(item)


# -- The queue and the list --------------------------------------------------------------------------------------------


def test_the_queue_socket_announces_changes_and_the_readers_own_count(dial: Dial, olivia: User, sam: User) -> None:
    watches = {user: Watch(dial(user, "/ws/queue/")) for user in (sam, olivia)}
    for watch in watches.values():
        watch.until_text('"refresh"')
    rail.asking(rail.running(olivia))
    assert ">1<" in watches[sam].until_text("nav-queue-count")
    assert ">0<" in watches[olivia].until_text("nav-queue-count")
    for watch in watches.values():
        watch.until_text('"refresh"')


def test_the_overview_announces_changes_and_tells_nothing_of_them(dial: Dial, olivia: User, outsider: User) -> None:
    watch = Watch(dial(outsider, "/ws/overview/"))
    watch.until_text('"refresh"')
    parcels.mission(olivia, title="Secret parcel")
    watch.until_text('"refresh"')
    assert "Secret" not in "".join(watch.html)
