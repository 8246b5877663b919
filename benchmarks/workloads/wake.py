"""From a person's vote to the next step of a mission that left memory long ago.

The clock starts when the vote's transaction is about to be committed, so its flush is in the figure, and stops when the
first step after the approval begins: between them lie the commit, the hint, the claim, the replay and the record that
the answer was taken. Two workers wait, as under `manage.py up`, and one vote is cast at a time, when the
machine is idle.
"""

from __future__ import annotations

import random
import time

from django.contrib.auth.models import Group, User
from django.db import transaction

from approvals import votes
from approvals.models import Decision
from benchmarks.bench import Bench
from benchmarks.calm import MOST
from benchmarks.processes import workers

NAME = "wake"
SAMPLES, ROUNDS, WARM = 120, 4, 10
GOAL_MS = 25.0
STEP_AT = """
    select (convert_from(payload, 'UTF8')::jsonb ->> 'result')::float
    from missions_journal where mission_id = %s and path = 'moment#1'
"""
ENDED = "select count(*) from missions_outcome where mission_id = %s"


def run(bench: Bench) -> None:
    """Park, then wake one after the other."""
    missions = bench.closed("bench.vote", WARM + SAMPLES * MOST, {})
    voter = User.objects.create_user("bench")
    voter.groups.add(Group.objects.get_or_create(name="supervisors")[0])
    with workers(bench.cluster, bench.folder, 2):
        bench.open(missions)
        bench.parked(missions)
        random.Random(1).shuffle(missions)
        for _ in range(WARM):
            wake(bench, missions.pop(), voter)
        times = bench.calm.collect(lambda: wake(bench, missions.pop(), voter), SAMPLES)
    _, late = bench.results.add_samples(NAME, "vote to next step", "ms", times, ROUNDS)
    bench.results.at_most(NAME, "ms from vote to next step, p95", late, GOAL_MS)


def wake(bench: Bench, mission: int, voter: User) -> float:
    """Cast the vote that a mission waits for; milliseconds until its next step began."""
    decision = Decision.objects.get(mission_id=mission)
    with transaction.atomic():
        votes.cast(decision.pk, voter, "approve", decision.digest, channel="benchmark")
        committing = time.monotonic()
    bench.cluster.until(ENDED, mission, is_=1)
    began: float = bench.cluster.one(STEP_AT, mission)
    return (began - committing) * 1000
