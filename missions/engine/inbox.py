"""The mail of one mission as its owner sees it: what has come and was not taken. Plain data; no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from missions.engine.claims import Mail

OF_ONE_CHAPTER = ("decision:", "effect:", "permit:", "budget:")  # mail that nobody asks for once its chapter is over


class Inbox:
    """Signals in the order they came. A signal counts as taken once the entry that tells of it is recorded."""

    def __init__(self, mail: Iterable[Mail], seq: int) -> None:
        self.seq = seq  # of the newest signal that this attempt knows of
        self._mail = list(mail)

    def take(self, name: str) -> Mail | None:
        """The oldest signal of this name."""
        for index, mail in enumerate(self._mail):
            if mail.name == name:
                return self._mail.pop(index)
        return None

    def has(self, name: str) -> bool:
        """Whether a signal of this name lies there."""
        return any(mail.name == name for mail in self._mail)

    def add(self, mail: Mail) -> bool:
        """A signal that came while the mission runs; False where it is known already."""
        if mail.seq <= self.seq:
            return False
        self.seq = mail.seq
        self._mail.append(mail)
        return True

    def drop(self, seqs: Iterable[int | None]) -> None:
        """The record tells that these were taken."""
        taken = set(seqs)
        self._mail = [mail for mail in self._mail if mail.seq not in taken]

    def low_water(self) -> tuple[int, list[int]]:
        """For a new chapter: all signals up to the first number are done with, and after it those that are listed."""
        left = [mail.seq for mail in self._mail if not mail.name.startswith(OF_ONE_CHAPTER)]
        mark = min(left) - 1 if left else self.seq
        return mark, sorted(set(range(mark + 1, self.seq + 1)) - set(left))
