"""The order of the rail and the text form of a place in it; the words for times."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from observability.rail import BadCursor, Cursor, Source
from observability.wording import clean, distance, listed, sentence, span

PLACES = [
    Cursor(1, Source.JOURNAL, 1, 1), Cursor(1, Source.JOURNAL, 1, 2), Cursor(1, Source.JOURNAL, 2, 1),
    Cursor(1, Source.VOTE, 1, 9), Cursor(1, Source.TAKEOVER, 1, 1), Cursor(2, Source.JOURNAL, 1, 3),
    Cursor(10, Source.JOURNAL, 1, 4),
]  # fmt: skip


def test_places_compare_by_transaction_then_source_then_mission_then_id() -> None:
    assert all(sorted(order) == PLACES for order in itertools.permutations(PLACES))


@pytest.mark.parametrize("place", PLACES)
def test_a_cursor_survives_its_text_form(place: Cursor) -> None:
    assert Cursor.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "1", "1.0.1", "1.9.1.1", "-1.0.1.1", "1.0.1.1.1", "a.0.1.1", f"{2**63}.0.1.1", "1.0.1.1\n", " 1.0.1.1",
        "１.0.1.1",
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        Cursor.parse(text)


NOW = dt.datetime(2026, 11, 22, 17, 40, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"), (-4, "just now"), (-5, "5 s ago"), (-59, "59 s ago"), (-60, "1 min ago"),
        (-3599, "59 min ago"), (-3600, "1 h ago"), (-172_799, "47 h ago"), (-172_800, "2 d ago"), (90, "in 1 min"),
        (4 * 3600, "in 4 h"),
    ],
)  # fmt: skip
def test_distances_are_told_in_the_largest_fitting_unit(seconds: int, words: str) -> None:
    assert distance(NOW + dt.timedelta(seconds=seconds), NOW) == words


def test_spans_lists_and_sentences() -> None:
    assert (span(40), span(7200), span(259_200)) == ("40 s", "2 h", "3 d")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert (sentence("done"), sentence("Done!"), sentence("  ")) == ("Done.", "Done!", "")
    assert len(clean("x" * 9000)) == 600
