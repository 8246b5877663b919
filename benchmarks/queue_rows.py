"""A queue with as many decisions as are asked for, put into the database by set statements, and how fast it answers.

The rows are spread as a real queue's are: one in a hundred is open, two groups decide most of them, a third few.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

DECISIONS = """
insert into approvals_decision (
    id, kind, state, sentence, searched, timeline, chapter, path, action, choices, facts, evidence, digest,
    asked_digest, edits, editors, retracted, answers, demands, hold_seconds, tool, mission_type, subject, band,
    audience, reversibility, blast, risk, policy_version, rules, reason, opened_at, due_at, resolved_at, resolution
)
select
    gen_random_uuid(), case when n %% 50 = 0 then 'in_doubt' else 'action' end,
    case when n %% 100 = 0 then 'open' when n %% 7 = 0 then 'rejected' else 'approved' end,
    'Refund ' || n %% 997 || '.00 for order ORD-' || n, 'Refund ' || n %% 997 || '.00 for order ORD-' || n, 1, 1, '',
    jsonb_build_object('tool', 'payments.refund', 'args_schema', '{}'::jsonb, 'effect_class', 'write',
        'args', jsonb_build_object('order_id', 'ORD-' || n, 'amount', n %% 997 || '.00')),
    '[]', '{}', '[]', md5(n::text) || md5(n::text), md5(n::text) || md5(n::text), 0, '{}', '{}', '{}', '[]', 0,
    'payments.refund', 'refund', 'ORD-' || n, n %% 6,
    case when n %% 10000 = 0 then array['g:legal']
        when n %% 2 = 0 then array['g:supervisors'] else array['g:finance'] end,
    'compensable', '{"count": 1, "money": {"amount": "10.00", "currency": "GBP"}, "recipients": []}', 'low',
    'refunds v1', '["small"]', 'Money moves.', now() - n * interval '1 second',
    case when n %% 300 = 0 then null else now() + (n %% 86400) * interval '1 second' end,
    case when n %% 100 = 0 then null else now() - n * interval '1 second' end,
    case when n %% 100 = 0 then null else '{"verdict": "approved", "digest": "", "by": ["sam"]}'::jsonb end
from generate_series(1, %s) as n
"""
TIERS = """
insert into approvals_tier (
    decision_id, "order", stage, name, "group", quorum, all_of, apart, calendar, state, on_expiry, due_at
)
select id, 1, 1, substr(audience[1], 3), substr(audience[1], 3), 1, false, '{}', '',
    case when state = 'open' then 'open' else 'met' end, 'hold', due_at
from approvals_decision where audience <> '{}'
"""
SEATS = """
insert into approvals_tierapprover (tier_id, decision_id, position, spec, "group", resolved, open)
select id, decision_id, 0, jsonb_build_object('group', "group"), "group", '[]', state = 'open' from approvals_tier
"""
BUILT_LAST = ("decision_words", "decision_audience", "decision_audience_open", "decision_alike", "decision_subject")
ADDRESSES = {
    "my tiers": "/queue/", "all open": "/queue/?view=open", "done": "/queue/?view=done",
    "in doubt": "/queue/?view=in_doubt", "due soon": "/queue/?view=due_soon",
    "filter by kind": "/queue/?view=done&kind=in_doubt", "filter by text": "/queue/?view=done&q=ORD-123457",
    "filter by a common text": "/queue/?view=done&q=Refund",
}  # fmt: skip
PEOPLE = {"supervisor": ("supervisors",), "of legal": ("legal",), "operator": ("operators",), "outsider": ()}


def seed(count: int) -> None:
    """Fill the queue with this many decisions; the costly indexes are built afterwards, as they were."""
    with connection.cursor() as cursor:
        cursor.execute("select indexdef from pg_indexes where indexname = any(%s)", [list(BUILT_LAST)])
        definitions = [row[0] for row in cursor.fetchall()]
        cursor.execute(f"drop index if exists {', '.join(BUILT_LAST)}")
        cursor.execute(DECISIONS, [count])
        cursor.execute("set constraints all immediate")  # no index is built before what it points to is checked
        for definition in definitions:
            cursor.execute(definition)
        cursor.execute(TIERS)
        cursor.execute(SEATS)
        cursor.execute("analyze approvals_decision, approvals_tier, approvals_tierapprover")


def clients() -> dict[str, Client]:
    """Somebody of each kind, signed in."""
    made = {}
    for name, groups in PEOPLE.items():
        user = User.objects.get_or_create(username=f"queue {name}")[0]
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        made[name] = Client(SERVER_NAME="localhost")
        made[name].force_login(user)
    return made


def milliseconds(call: Callable[[], object], rounds: int) -> list[float]:
    """The time of each of several calls after one that warms up."""
    call()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1000)
    return times


def measure(rounds: int) -> dict[tuple[str, str], list[float]]:
    """The times of each page for each kind of person."""
    signed_in = clients()
    return {
        (who, page): milliseconds(lambda client=client, path=path: client.get(path), rounds)  # type: ignore[misc]
        for who, client in signed_in.items()
        for page, path in ADDRESSES.items()
    }
