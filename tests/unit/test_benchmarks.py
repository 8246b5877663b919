"""The arithmetic of the benchmarks: whose turn it is, who is judged how, what the document shows. Nothing is timed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from benchmarks import table
from benchmarks.results import Results, percentile
from benchmarks.systems import PeerFailed, Rounds


def results() -> Results:
    return Results(Console(file=io.StringIO()))


def test_each_round_begins_with_another_system() -> None:
    order: list[str] = []
    rounds = Rounds({name: lambda name=name: order.append(name) for name in "abc"}, lambda name, error: None)
    for _ in range(4):
        rounds.one()
    assert "".join(order) == "abc" "bca" "cab" "abc"


def test_peer_that_fails_is_told_of_and_takes_no_further_part() -> None:
    def fails() -> NoReturn:
        raise PeerFailed("gone")

    told: list[str] = []
    rounds = Rounds({"ours": lambda: 1, "theirs": fails}, lambda name, error: told.append(f"{name}: {error}"))
    assert [rounds.one(), rounds.one()] == [{"ours": 1}, {"ours": 1}]
    assert told == ["theirs: gone"]


def test_median_of_the_rounds_ratios_is_judged() -> None:
    found = results()
    found.compare("steps", "dbos", "steps", [5.0, 9.0, 7.0], 6.0)
    found.compare("wake", "dbos", "signal to step", [0.5, 0.3, 0.4], 1 / 3, better="lower")
    found.compare("resume", "langgraph", "signal to step", [25.0], better="lower")
    assert [(ratio.value, ratio.met) for ratio in found.ratios] == [(7.0, True), (0.4, False), (25.0, None)]
    assert found.rows[0].low == 5.0 and found.rows[0].high == 9.0


def test_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.95) == 4.0


def test_document_shows_goals_and_where_a_peer_is_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = results()
    found.measured["resume"] = {
        "seconds": 1, "load_before": 1, "load_after": 2, "rounds": 0, "calm_rounds": 0, "cores_of_others": [0.0] * 3
    }  # fmt: skip
    found.compare("resume", "langgraph", "signal to step", [25.0], better="lower", concurrency=10_000)
    found.at_most("resume", "us of replay", 12.5, 10.0)
    found.save(tmp_path, tmp_path / "results.json")
    monkeypatch.setattr(table, "FILE", tmp_path / "results.json")
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    table.main([str(document)])
    text = document.read_text()
    assert "| `resume` | 10,000 | signal to step | langgraph | 25 | – | **the peer is ahead** |" in text
    assert "| `resume` | 1 | us of replay | limit | 12.5 | ≤ 10 | **NO** |" in text
    assert text.startswith("before\n") and text.endswith("<!-- /results -->\nafter\n") and "old" not in text
    assert json.loads((tmp_path / "results.json").read_text())["ratios"][0]["goal"] is None
