"""Which approvals answer which demands, where each approval answers one: a maximum matching. Pure.

First come, first served would be wrong: who could answer either of two demands may take the one that the next person
alone could answer. Augmenting paths (Kuhn, 1955) find as many answers as there can be, and what would still help.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)  # of a demand
Slot = tuple[Key, int]  # one of the votes that a demand takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Generic[Key]):
    """An approval: for each demand that it may answer, from which approvers, by position. The preferred comes first."""

    id: int
    answers: Mapping[Key, frozenset[int]]

    def fits(self, key: Key, approvers: frozenset[int]) -> bool:
        """Whether it may fill a slot of the demand that takes one of these approvers."""
        return not approvers.isdisjoint(self.answers.get(key, ()))

    @property
    def preferred(self) -> Key | None:
        """The demand that it is for, unless another needs it more."""
        return next(iter(self.answers), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching(Generic[Key]):
    """As many slots filled as can be."""

    filled: Mapping[Slot[Key], int]  # by the id of an approval
    lacking: frozenset[Slot[Key]]  # nobody answers these
    helpful: frozenset[Slot[Key]]  # one more approval here would fill one of those, be it in a roundabout way

    def of(self, key: Key) -> list[int]:
        """The ids of the approvals that answer a demand, in the order in which they came."""
        return sorted(approval for slot, approval in self.filled.items() if slot[0] == key)


def match(
    demands: Mapping[Key, Sequence[frozenset[int]]], approvals: Iterable[Approval[Key]],
    asking: Container[Key] | None = None,
) -> Matching[Key]:
    """Fill the slots of the demands. Each demand lists, per vote that it takes, the approvers that may give it.

    A demand that comes earlier is filled as far as it can be, whatever that costs a later one. At the same cost an
    approval goes to the demand that it prefers, and older ones (by id) come first. `asking` are the demands that wait
    for more (by default all): only what they lack is helped.
    """
    slots = {(key, number): takes for key, each in demands.items() for number, takes in enumerate(each)}
    ordered = sorted(approvals, key=lambda one: one.id)
    filled: dict[Slot[Key], Approval[Key]] = {}
    for slot in slots:
        _augment(slot, slots, ordered, filled, set())
    lacking = frozenset(slots.keys() - filled.keys())
    wanted = frozenset(slot for slot in lacking if asking is None or slot[0] in asking)
    return Matching(
        filled={slot: approval.id for slot, approval in filled.items()}, lacking=lacking,
        helpful=_helpful(slots, filled, wanted),
    )


def _augment(
    slot: Slot[Key], slots: Mapping[Slot[Key], frozenset[int]], approvals: Sequence[Approval[Key]],
    filled: dict[Slot[Key], Approval[Key]], tried: set[int],
) -> bool:
    """Fill the slot, moving approvals that were placed already where that is needed; none loses its place for good."""
    key, takes = slot[0], slots[slot]
    places = {approval.id: place for place, approval in filled.items()}
    fitting = [one for one in approvals if one.id not in tried and one.fits(key, takes)]
    for approval in sorted(fitting, key=lambda one: (one.preferred != key, one.id in places, one.id)):
        if approval.id in tried:
            continue
        tried.add(approval.id)
        place = places.get(approval.id)
        if place is None or _augment(place, slots, approvals, filled, tried):
            filled[slot] = approval
            return True
    return False


def _helpful(
    slots: Mapping[Slot[Key], frozenset[int]], filled: Mapping[Slot[Key], Approval[Key]], wanted: frozenset[Slot[Key]]
) -> frozenset[Slot[Key]]:
    """The slots that are wanted, and those whose approval could move on to such a one."""
    found, new = set(wanted), set(wanted)
    while new:
        moving = {
            slot for slot, approval in filled.items() if slot not in found
            and any(approval.fits(key, slots[key, number]) for key, number in new)
        }  # fmt: skip
        found |= moving
        new = moving
    return frozenset(found)
