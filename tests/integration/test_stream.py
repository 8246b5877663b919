"""The rail read from the database: one order over all sources, nothing skipped, nothing twice, however commits fall."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db.models import Q

from approvals import holding, votes
from approvals.models import Decision
from missions.engine import codec
from missions.engine.dsn import conninfo
from missions.models import Kind, Mission
from observability import stream
from observability.rail import BadCursor, Cursor, RailItem, Source
from tests import decisions, parcels, rail

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def story(olivia: User, sam: User, fiona: User) -> Mission:
    return rail.approved_story(olivia, sam, fiona)


def whole(mission: Mission | None = None) -> list[RailItem]:
    """Everything that a reader sees in one go."""
    items, _ = stream.read(mission.pk if mission else None, limit=10_000)
    return items


def places(items: list[RailItem]) -> list[str]:
    return [str(item.cursor) for item in items]


def test_all_sources_are_merged_in_the_order_in_which_things_happened(story: Mission) -> None:
    kinds = [item.kind for item in whole(story)]
    assert kinds == [
        "started", "ruling", "outcome", "takeover", "step", "ruling", "asked", "vote", "takeover", "vote", "answered",
        "intent", "outcome", "completed",
    ]  # fmt: skip


def test_votes_know_their_place_in_the_quorum_and_the_tier_that_follows(story: Mission) -> None:
    first, second = [item.payload for item in whole(story) if item.kind == "vote"]
    assert (first["voter"], first["nth"], first["quorum"], first["next_group"]) == ("sam", 1, 1, "finance")
    assert (second["voter"], second["nth"], second["next_group"]) == ("fiona", 1, "")


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_of_any_size_give_the_same_rail(story: Mission, limit: int) -> None:
    for mission_id in (story.pk, None):
        found: list[RailItem] = []
        items, cursor = stream.read(mission_id, limit=limit)
        while items:
            assert len(items) <= limit
            found += items
            items, cursor = stream.read(mission_id, cursor, limit)
        assert places(found) == places(whole(story))


def test_every_cursor_is_followed_by_exactly_what_comes_after_it(story: Mission, olivia: User) -> None:
    rail.running(olivia)
    for mission in (story, None):
        expected = places(whole(mission))
        for at, cursor in enumerate(expected):
            items, _ = stream.read(mission.pk if mission else None, cursor)
            assert places(items) == expected[at + 1 :]


def test_the_rail_of_all_missions_is_the_union_of_theirs_in_order(story: Mission, olivia: User) -> None:
    others = [rail.running(olivia) for _ in range(3)]
    parcels.append(story, Kind.OBSERVED, {"text": "late"})
    everything = [item for mission in (story, *others) for item in whole(mission)]
    assert places(whole()) == places(sorted(everything, key=lambda item: item.cursor))


def test_reading_all_missions_widens_its_window_until_the_page_is_full(
    story: Mission, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = places(whole())
    monkeypatch.setattr(stream, "WINDOW", 1)
    found, cursor = stream.read(limit=4)
    while True:
        more, cursor = stream.read(None, cursor, 4)
        if not more:
            break
        found += more
    assert places(found) == expected


def test_a_late_commit_is_waited_for_and_not_skipped(olivia: User) -> None:
    mission = rail.running(olivia)
    before = stream.tail(mission.pk)
    with psycopg.connect(conninfo("test")) as late:
        late.execute(rail.TAKEOVER, [mission.pk, 1])  # has its transaction id, and stays open
        parcels.append(mission, Kind.OBSERVED, {"text": "younger, but committed first"})
        for mission_id in (mission.pk, None):
            meanwhile = stream.tail(mission_id, before.next)
            assert (meanwhile.items, meanwhile.next) == ([], before.next)
        assert stream.tail(mission.pk, before.next).hidden
        late.commit()
    after = stream.tail(mission.pk, before.next)
    assert [item.kind for item in after.items] == ["takeover", "observed"]
    assert not after.hidden


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
def test_in_any_order_of_commits_each_item_is_read_once_and_in_order(olivia: User, order: tuple[int, ...]) -> None:
    mission = rail.running(olivia)
    writers = [psycopg.connect(conninfo("test")) for _ in order]
    try:
        for number, writer in enumerate(writers):
            writer.execute(rail.TAKEOVER, [mission.pk, number])
        found, cursor = stream.read(mission.pk)
        for number in order:
            writers[number].commit()
            parcels.append(mission, Kind.OBSERVED, {"text": f"after {number}"})
            items, cursor = stream.read(mission.pk, cursor)
            found += items
    finally:
        for writer in writers:
            writer.close()
    assert places(found) == places(whole(mission))
    assert len(found) == 1 + 2 * len(order)
    assert [item.attempt for item in found if item.kind == "takeover"] == [0, 1, 2, 3]


def test_a_rolled_back_transaction_leaves_no_trace_and_no_gap(olivia: User) -> None:
    mission = rail.running(olivia)
    with psycopg.connect(conninfo("test")) as lost:
        lost.execute(rail.TAKEOVER, [mission.pk, 1])
        parcels.append(mission, Kind.OBSERVED, {"text": "after it"})
        lost.rollback()
    assert [item.kind for item in whole(mission)] == ["started", "observed"]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_going_back_page_by_page_shows_everything_once(story: Mission, limit: int) -> None:
    expected, found, before = places(whole(story)), [], ""
    for _ in itertools.count():
        items, more = stream.earlier(story.pk, before, limit)
        found = places(items) + found
        if not more:
            break
        before = str(items[0].cursor)
    assert found == expected


def test_going_back_starts_with_the_latest(story: Mission) -> None:
    items, more = stream.earlier(story.pk, limit=3)
    assert ([item.kind for item in items], more) == (["intent", "outcome", "completed"], True)


def test_a_seq_leads_to_the_cursor_of_its_entry(story: Mission) -> None:
    step = next(item for item in whole(story) if item.kind == "step")
    assert step.seq is not None
    assert stream.cursor_at(story.pk, step.seq) == str(step.cursor)
    assert stream.cursor_at(story.pk, 0) == ""
    assert stream.moment_of(step.cursor) == step.at


def test_large_payloads_are_read_from_the_store(olivia: User) -> None:
    note = "x" * (codec.INLINE_BYTES + 1)
    mission = parcels.mission(olivia, input={**parcels.INPUT, "note": note})
    assert whole(mission)[0].payload["input"]["note"] == note


def test_what_is_no_cursor_is_refused(story: Mission) -> None:
    with pytest.raises(BadCursor):
        stream.read(story.pk, "12")


def test_a_quiet_tail_costs_few_statements(story: Mission, django_assert_max_num_queries: object) -> None:
    end = str(whole(story)[-1].cursor)
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert stream.tail(story.pk, end) == stream.Tail([], end, False)


def test_a_cursor_of_a_vote_finds_the_journal_after_it(story: Mission) -> None:
    cast = [item for item in whole(story) if item.cursor.source is Source.VOTE]
    items, _ = stream.read(story.pk, str(cast[0].cursor))
    assert [item.kind for item in items[:3]] == ["takeover", "vote", "answered"]
    assert Cursor.parse(str(cast[0].cursor)) == cast[0].cursor


def test_a_vote_that_is_taken_back_is_on_the_rail(olivia: User, sam: User) -> None:
    mission = rail.running(olivia)
    decision = decisions.opened(mission)
    Decision.objects.filter(pk=decision.pk).update(hold_seconds=60)
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    holding.undo(decision.pk, sam, "I misread it.")
    for items in (whole(mission), stream.read(None)[0], stream.earlier(mission.pk)[0]):
        back = items[-1]
        assert (back.kind, back.payload["reason"], items[-2].kind) == ("retraction", "I misread it.", "vote")
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    places = [item.payload["nth"] for item in whole(mission) if item.kind == "vote"]
    assert places[-2:] == [1, 1]  # what was taken back is not counted in the sentence of the next
    holding.undo(decision.pk, sam, "Again.")
    back = whole(mission)[-1]
    assert stream.moment_of(back.cursor) == back.at
    assert stream.read(mission.pk, str(back.cursor)) == ([], str(back.cursor))
    nobody = stream.Sight(of_missions=Q(pk__in=[]), of_votes=Q(mission_id=0))
    assert stream.read(None, sight=nobody)[0] == []
