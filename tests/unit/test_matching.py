"""The arithmetic of quorums against a brute-force model."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.matching import Approval, match

GROUPS = range(3)
people = st.lists(st.frozensets(st.sampled_from(GROUPS)), max_size=5)  # each person by their groups
tier = st.one_of(
    st.tuples(st.just("any"), st.sets(st.sampled_from(GROUPS), min_size=1), st.integers(1, 3)),
    st.tuples(st.just("all"), st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3), st.just(0)),
)
tiers = st.lists(tier, min_size=1, max_size=2)


def demands_of(tiers):
    """Per tier its slots; approvers are named by their group."""
    return {
        number: [frozenset([group]) for group in groups] if kind == "all" else [frozenset(groups)] * quorum
        for number, (kind, groups, quorum) in enumerate(tiers)
    }


def approvals_of(people, tiers):
    every = range(len(tiers))
    return [Approval(id=number, answers=dict.fromkeys(every, groups)) for number, groups in enumerate(people)]


def most(people, slots):
    """How many slots can be filled, by trying every way of giving each slot a person of its own, or nobody."""
    seats = [[None, *(number for number, groups in enumerate(people) if groups & takes)] for takes in slots]
    best = 0
    for choice in itertools.product(*seats):
        given = [one for one in choice if one is not None]
        if len(given) == len(set(given)):
            best = max(best, len(given))
    return best


@settings(deadline=None)  # trying every way takes as long as it takes
@given(people=people, tiers=tiers)
def test_as_many_demands_are_answered_as_can_be(people, tiers):
    demands = demands_of(tiers)
    found = match(demands, approvals_of(people, tiers))
    slots = [takes for each in demands.values() for takes in each]
    assert len(found.filled) == most(people, slots)
    assert len(set(found.filled.values())) == len(found.filled)  # nobody twice
    assert all(people[person] & demands[key][number] for (key, number), person in found.filled.items())
    assert found.lacking == {(key, n) for key, each in demands.items() for n in range(len(each))} - found.filled.keys()


@settings(deadline=None)  # trying every way takes as long as it takes
@given(people=people, tiers=tiers, newcomer=st.frozensets(st.sampled_from(GROUPS), min_size=1))
def test_one_more_person_helps_exactly_where_it_says(people, tiers, newcomer):
    demands = demands_of(tiers)
    slots = [takes for each in demands.values() for takes in each]
    found = match(demands, approvals_of(people, tiers))
    said = any(newcomer & demands[key][number] for key, number in found.helpful)
    assert said == (most([*people, newcomer], slots) > most(people, slots))


@settings(deadline=None)  # trying every way takes as long as it takes
@given(people=people, tiers=tiers)
def test_an_earlier_demand_is_never_robbed_for_a_later_one(people, tiers):
    demands = demands_of(tiers)
    found = match(demands, approvals_of(people, tiers))
    assert len(found.of(0)) == most(people, demands[0])


def test_who_could_answer_either_makes_room_for_who_could_answer_one():
    both, one = frozenset([0, 1]), frozenset([0])
    demands = {"first": [frozenset([0])], "second": [frozenset([1])]}
    early = Approval(id=1, answers={"first": both, "second": both})
    alone = match(demands, [early])
    assert (alone.of("first"), alone.lacking) == ([1], {("second", 0)})
    assert alone.helpful == {("first", 0), ("second", 0)}  # either of the two would do now
    assert match(demands, [early, Approval(id=2, answers={"first": one, "second": one})]).filled == {
        ("first", 0): 2, ("second", 0): 1,
    }


def test_an_approval_that_may_not_move_stays():
    demands = {"first": [frozenset([0])], "second": [frozenset([1])]}
    bound = Approval(id=1, answers={"first": frozenset([0, 1])})
    found = match(demands, [bound, Approval(id=2, answers={"first": frozenset([0])})])
    assert (found.of("first"), found.lacking, found.helpful) == ([1], {("second", 0)}, {("second", 0)})
