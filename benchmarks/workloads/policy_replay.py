"""How long a policy version is replayed on a hundred thousand past actions, by a worker that has other missions too.

The past is real rows, made by copying: missions that ended, each with four rulings on refunds of many amounts, a third
of which asked people who approved or rejected. The version in force and the candidate have twelve rules each, and both
are evaluated. Beside the replay, the same worker runs missions of one step, one after the other: how long such a
mission takes with and without the replay says what the others notice.
"""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any

from approvals.models import PolicyVersion
from approvals.policies import document, versions
from approvals.simulation import starting
from approvals.simulation.windows import Window
from benchmarks.bench import Bench
from benchmarks.cluster import wait_for
from benchmarks.processes import workers
from missions.engine import starting as missions
from missions.models import Mission

NAME = "policy_replay"
ACTIONS, MISSIONS, RULES = 100_000, 25_000, 12
GOAL_SECONDS, GOAL_PART_SECONDS = 60.0, 1.5
ALONE_SECONDS = 5.0

MISSION_ROWS = """
insert into missions_mission (uid, type, version, state, reason, attempt, timeline, chapter, replay_from, head_seq,
    inbox_seq, mail_from, control_seq, control_done, priority, waits_for, step, effects_off,
    strikes, strike_head, suspect)
select gen_random_uuid(), 'refund', 1, 'completed', '', 1, 1, 1, 1, 5, 0, 0, 0, 0, 0, '', '', false, 0, 0, false
from generate_series(1, %s) returning id
"""
BRIEF_ROWS = """
insert into missions_brief (mission_id, title, started_via, started_at)
select id, 'Refund ' || id, 'api', missions_now() from missions_mission where type = 'refund'
"""
RULING_ROWS = """
insert into missions_journal (mission_id, seq, timeline, kind, path, input_hash, payload, salt, digest, chain, attempt,
    recorded_at)
select m.id, n + 1, 1, 'ruling', 'payments.refund#' || n, '', convert_to(json_build_object(
        'tool', 'payments.refund', 'title', 'Issue refund', 'phase', 'plan', 'reason', 'It moves money.',
        'outcome', case when mod(m.id + n, 3) = 0 then 'escalate' else 'allow' end,
        'policy_version', 'refunds v1', 'rules', json_build_array('small-refund'), 'trace', json_build_array(),
        'tiers', case when mod(m.id + n, 3) = 0 then '[{"group": "supervisors", "quorum": 1, "sla_seconds": 3600,
            "expires_seconds": null, "on_expiry": "hold"}]'::json else '[]'::json end,
        'intent', json_build_object('tool', 'payments.refund', 'effect_class', 'write', 'retry_safety', 'keyed',
            'reversible', true, 'data_class', '', 'agent', '', 'owner_id', null, 'args', json_build_object(
                'order_id', 'ORD-' || m.id, 'amount', (mod(m.id * 7 + n * 131, 1500)) || '.00', 'reason', 'damaged'))
    )::text, 'UTF8'), '', '', '', 1, missions_now() - make_interval(secs => mod(m.id * 4 + n, 2592000))
from missions_mission m cross join generate_series(1, 4) n where m.type = 'refund'
"""
DECISION_ROWS = """
insert into approvals_decision (id, kind, state, sentence, searched, mission_id, timeline, chapter, path, action,
    choices, facts, evidence, digest, asked_digest, edits, editors, retracted, answers, demands, hold_seconds, tool,
    mission_type, subject, audience, reversibility, blast, risk, policy_version, rules, reason, opened_at)
select gen_random_uuid(), 'action', case when mod(j.mission_id, 7) = 0 then 'rejected' else 'approved' end,
    'Issue refund', 'Issue refund', j.mission_id, 1, 1, j.path, '{}', '[]', '{}', '[]', 'd', 'd', 0, '{}', '{}', '{}',
    '[]', 0, 'payments.refund', 'refund', '', '{}', 'compensable', '{}', 'low', 'refunds v1', '[]', '', j.recorded_at
from missions_journal j where j.kind = 'ruling' and mod(j.mission_id + j.seq - 1, 3) = 0
"""


def run(bench: Bench) -> None:
    """Seed the past, then replay on it once, beside missions of one step."""
    _seed(bench)
    _policy(300)
    candidate = _policy(700, activate=False)
    with workers(bench.cluster, bench.folder):
        alone = _others(lambda begun: time.monotonic() - begun > ALONE_SECONDS)
        replay, begun = starting.start(candidate, Window(last=ACTIONS), via="command")[0], time.monotonic()
        beside = _others(lambda since: _ended(replay.pk))
        wait_for(partial(_ended, replay.pk))
        seconds = time.monotonic() - begun
    replay.refresh_from_db()
    assert replay.summary is not None and replay.done == replay.summary["actions"] == ACTIONS, replay.summary
    _tell(bench, seconds, alone, beside, _parts(bench))


def _seed(bench: Bench) -> None:
    bench.cluster.do(MISSION_ROWS, MISSIONS)
    for statement in (BRIEF_ROWS, RULING_ROWS, DECISION_ROWS):
        bench.cluster.do(statement)
    bench.cluster.do("analyze")


def _policy(bar: int, *, activate: bool = True) -> PolicyVersion:
    tiers = [{"group": "supervisors", "quorum": 1, "sla": "4h"}]
    rows: list[dict[str, Any]] = [
        {"name": f"band-{number}", "when": f"double(args.amount) > {bar + number * 50}.0 && tool.reversible == true",
         "effect": "escalate", "tiers": tiers, "scope": {"tool": "payments.*"}}
        for number in range(RULES - 1)
    ]  # fmt: skip
    rows.append({"name": "refunds", "effect": "allow", "scope": {"tool": "payments.*"}})
    return versions.load(document.check({"name": "refunds", "rules": rows}), activate=activate).version


def _others(over: Any) -> list[float]:
    """Milliseconds of missions of one step, one after the other, until it is over."""
    begun, times = time.monotonic(), []
    while not over(begun):
        at, uid = time.monotonic(), missions.start("bench.steps", {"steps": 1})[0].uid
        wait_for(partial(_ended, uid))
        times.append((time.monotonic() - at) * 1000)
    return times


def _ended(uid: uuid.UUID) -> bool:
    return Mission.objects.get(uid=uid).ended


def _parts(bench: Bench) -> list[float]:
    """The seconds between the ends of parts, the first from its ruling."""
    rows = bench.cluster.all(
        "select extract(epoch from j.recorded_at - lag(j.recorded_at) over (order by j.seq)) from missions_journal j"
        " join missions_mission m on m.id = j.mission_id where m.type = 'policy.replay' and j.kind = 'outcome'"
    )
    return [float(seconds) for (seconds,) in rows if seconds is not None]


def _tell(bench: Bench, seconds: float, alone: list[float], beside: list[float], parts: list[float]) -> None:
    told = bench.results
    told.add(NAME, f"replay on {ACTIONS:,} past actions", "s", [seconds])
    told.add(NAME, "past actions a second", "1/s", [ACTIONS / seconds])
    told.add_samples(NAME, "one part", "s", [parts])
    told.add_samples(NAME, "a mission of one step, nothing beside it", "ms", [alone])
    told.add_samples(NAME, "a mission of one step, beside the replay", "ms", [beside])
    told.at_most(NAME, f"s, replay on {ACTIONS:,} past actions", seconds, GOAL_SECONDS)
    told.at_most(NAME, "s, the longest part", max(parts), GOAL_PART_SECONDS)
