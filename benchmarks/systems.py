"""Comparing: the systems of one workload in alternating rounds, and the ratios of each round."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Figure = TypeVar("Figure")


class PeerFailed(RuntimeError):
    """A peer did not do what it was asked."""


class Turns(Generic[Key]):
    """Whose turn it is: each round begins with another system, so that none always follows the same one."""

    def __init__(self, names: Sequence[Key]) -> None:
        self._names, self._round = list(names), itertools.count()

    def next(self) -> Iterator[Key]:
        """The order of one more round."""
        first = next(self._round) % max(1, len(self._names))
        yield from [*self._names[first:], *self._names[:first]]


class Rounds(Generic[Key, Figure]):
    """Measures a round: every system once. One that fails is told of and takes no further part."""

    def __init__(self, systems: Mapping[Key, Callable[[], Figure]], failed: Callable[[str, PeerFailed], None]) -> None:
        self._systems, self._failed, self._turns = dict(systems), failed, Turns(list(systems))

    def one(self) -> dict[Key, Figure]:
        """The figure of each system that still takes part."""
        found: dict[Key, Figure] = {}
        for name in self._turns.next():
            if name in self._systems:
                try:
                    found[name] = self._systems[name]()
                except PeerFailed as error:
                    del self._systems[name]
                    self._failed(str(name), error)
        return found
