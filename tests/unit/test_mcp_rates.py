"""How many calls a token may make."""

from __future__ import annotations

import pytest

from missions.mcp_server import rates
from missions.mcp_server.rates import Rates
from missions.web.problems import Problem


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_refills_and_belongs_to_one_token() -> None:
    clock = Clock()
    counted = Rates(2, clock)
    counted.count(1)
    counted.count(1)
    with pytest.raises(Problem) as refused:
        counted.count(1)
    assert (refused.value.status_code, refused.value.headers["Retry-After"]) == (429, "30")
    counted.count(2)
    clock.now = 30.0
    counted.count(1)
    with pytest.raises(Problem):
        counted.count(1)


def test_none_means_any_number() -> None:
    counted = Rates(0)
    for _ in range(1000):
        counted.count(1)


def test_what_is_kept_in_mind_is_bounded_and_the_emptied_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST", 10)
    counted = Rates(2, Clock())
    counted.count(0)
    counted.count(0)
    for token in range(1, 100):
        counted.count(token)
    with pytest.raises(Problem):
        counted.count(0)
    assert len(counted._buckets) <= 11
