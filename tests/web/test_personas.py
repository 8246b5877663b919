"""Who may do what: every address of the console and of the API, with each verb, as every kind of person.

A new address or verb fails here until it has its line in `TABLE`, and its body in `tests.web.asking` where the answer
depends on one. No answer that anybody gets here tells of what is sealed; `test_sealed` asks for that itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from missions.control import rehearsing
from missions.web import tokens
from missions.web.tokens import READ_SCOPES, WRITE_SCOPES
from tests.web.asking import ADMIN, STRANGER, Asker, address, addresses, is_rest, possible, sign, values_of, view_of
from tests.web.personas import BARRED, PERSONAS, Scene
from tests.web.rest import problem_of
from tests.web.test_get_changes_nothing import ADDRESSES

pytestmark = [pytest.mark.django_db, pytest.mark.ignore_template_errors]
COLUMNS = (STRANGER, *PERSONAS)
# `+` done or shown, `~` let in, and refused for what was asked (400, 409, 422, 503), `!` 403, `?` 404, `L` sign in
#
# |stranger, who has no session and no token
# ||nobody: no role, and nothing of their own
# |||owner: no role; the mission is theirs
# ||||reviewer: supervisor
# |||||operator
# ||||||auditor
# |||||||policy admin
# ||||||||administrator
TABLE = """
++++++++  GET /
++++++++  POST /
L??+++++  GET /agents/
L??!!!!+  GET /agents/new/
L??!!!!+  POST /agents/new/
L??+++++  GET /agents/of/%(name)s/
L??+++++  GET /agents/of/%(name)s/difference/
L??!!!!+  GET /agents/of/%(name)s/edit/
L??!!!!+  POST /agents/of/%(name)s/edit/
L??+++++  GET /agents/of/%(name)s/retire/
L??!!!!+  POST /agents/of/%(name)s/retire/
L??+++++  GET /agents/of/%(name)s/roll-back/
L??!!!!+  POST /agents/of/%(name)s/roll-back/
L??+++++  GET /agents/of/%(name)s/versions/%(number)s/
L??+++++  GET /agents/of/%(name)s/versions/%(number)s/activate/
L??!!!!+  POST /agents/of/%(name)s/versions/%(number)s/activate/
L??+++++  GET /api/v1/agents
L??!!!!+  POST /api/v1/agents
L??+++++  GET /api/v1/agents/%(name)s
L??+++++  GET /api/v1/agents/%(name)s/missions
L??!!!!+  POST /api/v1/agents/%(name)s/retire
L??!!!!+  POST /api/v1/agents/%(name)s/rollback
L??+++++  GET /api/v1/agents/%(name)s/spend
L??+++++  GET /api/v1/agents/%(name)s/versions
L??!!!!+  POST /api/v1/agents/%(name)s/versions
L??+++++  GET /api/v1/agents/%(name)s/versions/%(number)s
L??!!!!+  POST /api/v1/agents/%(name)s/versions/%(number)s/activate
L+++++++  GET /api/v1/archive
L??+++++  GET /api/v1/archive/%(archived_id)s
L+++++++  GET /api/v1/budgets
L!!!!!++  POST /api/v1/budgets
L+++++++  GET /api/v1/budgets/%(name)s
L!!!!!++  PATCH /api/v1/budgets/%(name)s
L!!!!!++  DELETE /api/v1/budgets/%(name)s
L+++++++  GET /api/v1/calendars
L!!!+!++  POST /api/v1/calendars
L+++++++  GET /api/v1/calendars/%(calendar)s
L!!!+!++  PUT /api/v1/calendars/%(calendar)s
L!!!+!++  DELETE /api/v1/calendars/%(calendar)s
L+++++++  GET /api/v1/decisions
L+++++++  POST /api/v1/decisions
L?++++?+  GET /api/v1/decisions/%(decision_id)s
L?!+!!?!  POST /api/v1/decisions/%(decision_id)s/claim
L???????  POST /api/v1/decisions/%(decision_id)s/callback/redeliver
L?++++?+  GET /api/v1/decisions/%(decision_id)s/comments
L?++++?+  POST /api/v1/decisions/%(decision_id)s/comments
L?~+~~?~  POST /api/v1/decisions/%(decision_id)s/delegate
L?++++?+  POST /api/v1/decisions/%(decision_id)s/looks
L?++++?+  POST /api/v1/decisions/%(decision_id)s/release
L?++++?+  GET /api/v1/decisions/%(decision_id)s/similar
L?~~~~?~  POST /api/v1/decisions/%(decision_id)s/undo
L?!+!!?!  POST /api/v1/decisions/%(decision_id)s/votes
L?+!!!?!  POST /api/v1/decisions/%(decision_id)s/withdraw
L~!+!!~!  POST /api/v1/decisions/bulk-votes
L+++++++  GET /api/v1/delegations
L+++++++  POST /api/v1/delegations
L??+???+  DELETE /api/v1/delegations/%(delegation_id)s
++++++++  GET /api/v1/docs
L+++++++  GET /api/v1/effects
L+++++++  GET /api/v1/freeze
L!!!!!!~  POST /api/v1/freeze/thaw
L!!+++++  GET /api/v1/health
L+++++++  GET /api/v1/hooks
L!!!+!!+  POST /api/v1/hooks
L???+??+  GET /api/v1/hooks/%(name)s
????????  POST /api/v1/hooks/%(name)s
L???+??+  PATCH /api/v1/hooks/%(name)s
L???+??+  GET /api/v1/hooks/%(name)s/arrivals
L???+??+  POST /api/v1/hooks/%(name)s/secret
L???+??+  POST /api/v1/hooks/%(name)s/try
L???+??+  GET /api/v1/hooks/%(name)s/versions
L+++++++  GET /api/v1/limits
L!!!+!!+  POST /api/v1/limits
L!!!+!!+  PATCH /api/v1/limits/%(limit_id)s
L!!!+!!+  DELETE /api/v1/limits/%(limit_id)s
L+++++++  GET /api/v1/mission-types
L+++++++  GET /api/v1/missions
L!!++!!+  POST /api/v1/missions
L?++++++  GET /api/v1/missions/%(uid)s
L?++++++  GET /api/v1/missions/%(uid)s/artifacts
L?++++++  GET /api/v1/missions/%(uid)s/artifacts/%(digest)s
L?+++!!+  POST /api/v1/missions/%(uid)s/cancel
L?++++++  GET /api/v1/missions/%(uid)s/checkpoints
L?++++++  GET /api/v1/missions/%(uid)s/decided/%(seq)s
L?+++!!+  POST /api/v1/missions/%(uid)s/decided/%(seq)s/wrong
L?++++++  GET /api/v1/missions/%(uid)s/decisions
L?++++++  GET /api/v1/missions/%(uid)s/effects
L?++++++  POST /api/v1/missions/%(uid)s/follow
L?++++++  DELETE /api/v1/missions/%(uid)s/follow
L?!!+!!+  POST /api/v1/missions/%(uid)s/fork
L?++++++  GET /api/v1/missions/%(uid)s/goal
L?+++!!+  POST /api/v1/missions/%(uid)s/goal
L?++++++  GET /api/v1/missions/%(uid)s/journal
L?+++!!+  POST /api/v1/missions/%(uid)s/pause
L?!!+!!+  POST /api/v1/missions/%(uid)s/replay
L?~~~!!~  POST /api/v1/missions/%(uid)s/resume
L?!!~!!~  POST /api/v1/missions/%(uid)s/retry
L?++++++  GET /api/v1/missions/%(uid)s/rollback
L?!!+!!+  POST /api/v1/missions/%(uid)s/rollback
L?+++!!+  POST /api/v1/missions/%(uid)s/signals
L?+++!!+  POST /api/v1/missions/%(uid)s/stop
L?++++++  GET /api/v1/missions/%(uid)s/timelines
L?++++++  GET /api/v1/missions/%(uid)s/verify
L!!!+!!+  POST /api/v1/missions/bulk
L~~+++++  GET /api/v1/observations
L??+++++  GET /api/v1/policies
L??!!!++  POST /api/v1/policies
L??+++++  GET /api/v1/policies/%(name)s/events
L??!!!++  POST /api/v1/policies/%(name)s/mode
L??!!!++  POST /api/v1/policies/%(name)s/simulate
L??+++++  POST /api/v1/policies/%(name)s/try
L??+++++  GET /api/v1/policies/%(name)s/versions
L??!!!++  POST /api/v1/policies/%(name)s/versions
L??+++++  GET /api/v1/policies/%(name)s/versions/%(number)s
L??+++++  GET /api/v1/policies/%(name)s/versions/%(number)s.yaml
L??+++++  GET /api/v1/policies/%(name)s/versions/%(number)s/diff
L??!!!~~  POST /api/v1/policies/%(name)s/versions/%(number)s/restore
L??!!!++  POST /api/v1/policies/%(name)s/versions/%(number)s/submit
L??+++++  GET /api/v1/policies/%(name)s/versions/%(number)s/touched
L??!!!++  POST /api/v1/policies/%(name)s/versions/%(number)s/withdraw
L??+++++  GET /api/v1/policies/replays/%(replay_id)s
L??+++++  GET /api/v1/policies/replays/%(replay_id)s/differences
L!!!+!!+  GET /api/v1/schedules
L!!!+!!+  POST /api/v1/schedules
L!!!+!!+  GET /api/v1/schedules/%(name)s
L!!!+!!+  PATCH /api/v1/schedules/%(name)s
L!!!+!!+  DELETE /api/v1/schedules/%(name)s
L!!!+!!+  POST /api/v1/schedules/%(name)s/run
++++++++  GET /api/v1/schema
L!!+++++  GET /api/v1/stats
L+++++++  GET /api/v1/stops
L!!++!++  POST /api/v1/stops
L!!!!!++  DELETE /api/v1/stops/%(stop_id)s
L+++++++  GET /api/v1/tools
L!!!+!!+  POST /api/v1/tools/%(name)s/circuit
L!!!!!++  POST /api/v1/tools/forms/%(form_id)s
L+++++++  GET /api/v1/tools/servers
L!!!!!!+  POST /api/v1/tools/servers
L!!!!!!+  DELETE /api/v1/tools/servers/%(name)s
L+++++++  GET /api/v1/tools/servers/%(name)s
L+++++++  GET /api/v1/webhooks
L!!!+!!+  POST /api/v1/webhooks
L???+??+  GET /api/v1/webhooks/%(webhook_id)s
L???+??+  PATCH /api/v1/webhooks/%(webhook_id)s
L???+??+  DELETE /api/v1/webhooks/%(webhook_id)s
L???+??+  GET /api/v1/webhooks/%(webhook_id)s/deliveries
L???+??+  POST /api/v1/webhooks/%(webhook_id)s/deliveries/%(delivery_id)s/redeliver
L+++++++  GET /budgets/
L!!!!!++  GET /budgets/new/
L!!!!!~~  POST /budgets/new/
L+++++++  GET /budgets/of/%(name)s/
L!!!!!~~  POST /budgets/of/%(name)s/
L+++++++  GET /budgets/of/%(name)s/delete/
L!!!!!++  POST /budgets/of/%(name)s/delete/
L+++++++  GET /calendars/
L!!!+!++  GET /calendars/%(calendar)s/
L!!!~!~~  POST /calendars/%(calendar)s/
L!!!+!++  POST /calendars/%(calendar)s/delete/
L!!!+!++  GET /calendars/new/
L!!!~!~~  POST /calendars/new/
L!!+++++  GET /health/
++++++++  GET /healthz
L???+??+  GET /hooks/
L???+??+  GET /hooks/%(name)s/
L???~??~  POST /hooks/%(name)s/
L???+??+  POST /hooks/%(name)s/secret/
L???+??+  GET /hooks/new/
L???~??~  POST /hooks/new/
++++++++  GET /login/
++++++++  POST /login/
++++++++  POST /logout/
L+++++++  GET /me/
L+++++++  GET /me/delegations/
L~~~~~~~  POST /me/delegations/
L??+???+  POST /me/delegations/%(delegation_id)s/revoke/
L+++++++  GET /me/notifications/
L~~~~~~~  POST /me/notifications/
L+++++++  GET /me/sessions/end/
L+++++++  POST /me/sessions/end/
L+++++++  GET /me/tokens/%(token_id)s/revoke/
L???+???  POST /me/tokens/%(token_id)s/revoke/
L+++++++  GET /me/tokens/new/
L+++++++  POST /me/tokens/new/
L+++++++  GET /missions/
L?++++++  GET /missions/%(uid)s/
L?+++!!+  GET /missions/%(uid)s/cancel/
L?+++!!+  POST /missions/%(uid)s/cancel/
L?++++++  GET /missions/%(uid)s/decided/%(seq)s/
L?+++!!+  POST /missions/%(uid)s/decided/%(seq)s/
L?++++++  POST /missions/%(uid)s/follow/
L?!!+!!+  GET /missions/%(uid)s/fork/
L?!!~!!~  POST /missions/%(uid)s/fork/
L?++++++  GET /missions/%(uid)s/goal/
L?+++!!+  POST /missions/%(uid)s/goal/
L?+++!!+  GET /missions/%(uid)s/pause/
L?+++!!+  POST /missions/%(uid)s/pause/
L?!!+!!+  GET /missions/%(uid)s/replay/
L?!!+!!+  POST /missions/%(uid)s/replay/
L?+++!!+  GET /missions/%(uid)s/resume/
L?~~~!!~  POST /missions/%(uid)s/resume/
L?!!+!!+  GET /missions/%(uid)s/retry/
L?!!~!!~  POST /missions/%(uid)s/retry/
L?!!+!!+  GET /missions/%(uid)s/roll-back/
L?!!+!!+  POST /missions/%(uid)s/roll-back/
L?+++!!+  GET /missions/%(uid)s/stop/
L?+++!!+  POST /missions/%(uid)s/stop/
L+++++++  GET /missions/archive/
L??+++++  GET /missions/archive/%(archived_id)s/
L+++++++  GET /missions/bulk/
L!!!~!!~  POST /missions/bulk/
L+++++++  GET /missions/freeze/
L!!!!!!+  POST /missions/freeze/
L!!++!!+  GET /missions/start/
L!!++!!+  GET /missions/start/%(type)s/
L!!~~!!~  POST /missions/start/%(type)s/
L!!+++++  GET /policies/
L!!+++++  GET /policies/%(name)s/
L!!!!!++  GET /policies/%(name)s/check/
L!!!!!++  POST /policies/%(name)s/check/
L!!+++++  GET /policies/%(name)s/difference/
L!!!!!++  GET /policies/%(name)s/edit/
L!!!!!++  POST /policies/%(name)s/edit/
L!!!!!++  GET /policies/%(name)s/mode/
L!!!!!++  POST /policies/%(name)s/mode/
L!!+++++  GET /policies/%(name)s/versions/%(number)s/
L!!+++++  GET /policies/%(name)s/versions/%(number)s/export/
L??+++++  GET /policies/%(name)s/versions/%(number)s/replay/
L??!!!~~  POST /policies/%(name)s/versions/%(number)s/replay/
L!!!!!++  GET /policies/%(name)s/versions/%(number)s/restore/
L!!!!!~~  POST /policies/%(name)s/versions/%(number)s/restore/
L!!!!!++  GET /policies/%(name)s/versions/%(number)s/shadow/
L!!!!!~~  POST /policies/%(name)s/versions/%(number)s/shadow/
L!!!!!++  GET /policies/%(name)s/versions/%(number)s/submit/
L!!!!!++  POST /policies/%(name)s/versions/%(number)s/submit/
L??+++++  GET /policies/%(name)s/versions/%(number)s/try/
L??~~~~~  POST /policies/%(name)s/versions/%(number)s/try/
L!!!!!++  GET /policies/%(name)s/versions/%(number)s/withdraw/
L!!!!!++  POST /policies/%(name)s/versions/%(number)s/withdraw/
L!!!!!++  GET /policies/-/check/
L!!!!!++  POST /policies/-/check/
L!!!!!++  GET /policies/-/import/
L!!!!!~~  POST /policies/-/import/
L!!!!!++  GET /policies/-/new/
L!!!!!++  POST /policies/-/new/
L??+++++  GET /policies/replays/%(replay_id)s/
L+++++++  GET /queue/
L?++++?+  GET /queue/%(decision_id)s/
L?++++?+  POST /queue/%(decision_id)s/
L+++++++  GET /queue/%(decision_id)s/callback/
L???????  POST /queue/%(decision_id)s/callback/
L+++++++  GET /queue/%(decision_id)s/claim/
L?!+!!?!  POST /queue/%(decision_id)s/claim/
L+++++++  GET /queue/%(decision_id)s/comment/
L?++++?+  POST /queue/%(decision_id)s/comment/
L+++++++  GET /queue/%(decision_id)s/delegate/
L?~+~~?~  POST /queue/%(decision_id)s/delegate/
L?!+!!?!  GET /queue/%(decision_id)s/edit/
L?!~!!?!  POST /queue/%(decision_id)s/edit/
L+++++++  GET /queue/%(decision_id)s/look/
L?++++?+  POST /queue/%(decision_id)s/look/
L+++++++  GET /queue/%(decision_id)s/release/
L?++++?+  POST /queue/%(decision_id)s/release/
L+++++++  GET /queue/%(decision_id)s/undo/
L?~~~~?~  POST /queue/%(decision_id)s/undo/
L+++++++  GET /queue/%(decision_id)s/vote/
L?!+!!?!  POST /queue/%(decision_id)s/vote/
L+++++++  GET /queue/%(decision_id)s/withdraw/
L?+!!!?!  POST /queue/%(decision_id)s/withdraw/
L+++++++  GET /queue/bulk/
L~~~~~~~  POST /queue/bulk/
L+++++++  GET /queue/bulk/vote/
L~~~~~~~  POST /queue/bulk/vote/
~~~~~~~~  GET /readyz
L!!!+!!+  GET /schedules/
L!!!+!!+  GET /schedules/%(name)s/
L!!!~!!~  POST /schedules/%(name)s/
L!!!+!!+  POST /schedules/%(name)s/act/
L!!!+!!+  GET /schedules/new/
L!!!~!!~  POST /schedules/new/
L+++++++  GET /stops/
L!!++!++  POST /stops/
L+++++++  GET /stops/%(stop_id)s/lift/
L!!!!!++  POST /stops/%(stop_id)s/lift/
L+++++++  GET /tools/
L+++++++  GET /tools/%(name)s/
L+++++++  GET /tools/forms/%(form_id)s/
L!!!!!++  POST /tools/forms/%(form_id)s/
L+++++++  GET /tools/servers/%(name)s/
L!!!!!!+  POST /tools/servers/%(name)s/
L!!!!!!+  POST /tools/servers/%(name)s/remove/
L!!!!!!+  GET /tools/servers/new/
L!!!!!!+  POST /tools/servers/new/
L+++++++  GET /tools/%(name)s/circuit/
L!!!+!!+  POST /tools/%(name)s/circuit/
L+++++++  GET /tools/%(name)s/limit/
L!!!+!!+  POST /tools/%(name)s/limit/
L???+??+  GET /webhooks/
L???+??+  GET /webhooks/%(webhook_id)s/
L???~??~  POST /webhooks/%(webhook_id)s/
L???+??+  POST /webhooks/%(webhook_id)s/deliveries/%(delivery_id)s/again/
L???+??+  POST /webhooks/%(webhook_id)s/drop/
L???+??+  GET /webhooks/new/
L???~??~  POST /webhooks/new/
"""
EXPECTED = {what: signs for signs, what in (line.split("  ") for line in TABLE.strip().splitlines())}
OPEN = {"GET /api/v1/schema", "GET /api/v1/docs"}  # who may come in without a token, comes in with any
SIGNED = {"POST /api/v1/hooks/%(name)s"}  # a signature says who comes in, and none of these has one


@pytest.fixture(scope="module")
def scene(django_db_setup: None, django_db_blocker: Any) -> Iterator[Scene]:
    """Made once, in a transaction around all tests here that is never committed; each request has a savepoint in it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield Scene()
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def asker(scene: Scene) -> Asker:
    return Asker(scene)


@pytest.fixture(autouse=True)
def hasty(settings: Any) -> None:
    """A replay, in its process of its own, is ended at once: here it matters only who may ask for one."""
    settings.MISSIONS_REPLAY_SECONDS = 0.01 - rehearsing.GRACE_SECONDS


def part_of(what: str) -> str:
    """The part of the console or of the API that a line of the table belongs to."""
    template = what.split(" /")[1].removeprefix("api/v1/")
    return ("api " if "/api/" in what else "") + template.partition("/")[0].partition("%")[0]


PARTS = sorted({part_of(what) for what in EXPECTED})


@pytest.mark.parametrize("part", PARTS)
def test_each_person_may_do_what_the_table_says(part: str, scene: Scene, asker: Asker) -> None:
    expected = {what: signs for what, signs in EXPECTED.items() if part_of(what) == part}
    assert {what: "".join(signs_of(asker, what)) for what in expected} == expected


def signs_of(asker: Asker, what: str) -> Iterator[str]:
    """What the people are answered, in the order of the columns."""
    verb, template = what.split(" /")
    values = values_of(asker.scene, verb, template)
    for who in COLUMNS:
        if what in OPEN and who != STRANGER:
            yield "+"
            continue
        answer = asker.ask(who, verb, template, values)
        yield sign(answer)
        if who in BARRED:
            assert not asker.scene.told_in(answer), f"{who} is told of what is sealed by {what}"


def test_the_table_has_every_verb_of_every_address(scene: Scene, asker: Asker) -> None:
    served = set()
    for template in addresses():
        for verb in possible(template, address(template, scene.open)):
            if f"{verb} /{template}" in EXPECTED or _is_served(asker, verb, template):
                served.add(f"{verb} /{template}")
    assert served == set(EXPECTED)


def _is_served(asker: Asker, verb: str, template: str) -> bool:
    return sign(asker.ask("administrator", verb, template, values_of(asker.scene, verb, template))) != "-"


@pytest.mark.parametrize("who", ["operator", "policy admin"])
def test_the_admin_is_for_administrators(who: str, scene: Scene, asker: Asker) -> None:
    values = {**scene.open, "app_label": "auth", "content_type_id": 1, "url": "x", "object_id": 1, "id": 1}
    inside = {template for template in ADDRESSES if template.startswith(ADMIN)} - {"admin/login/", "admin/logout/"}
    for template in sorted(inside):
        for verb in ("GET", "POST"):
            answer = asker.ask(who, verb, template, values)
            assert answer.status_code == 302 and answer["Location"].startswith("/admin/login/?"), (verb, template)


# -- Tokens ------------------------------------------------------------------------------------------------------------
REST = [what for what in EXPECTED if is_rest(what.partition("/")[2]) and what not in OPEN | SIGNED]


@pytest.mark.parametrize("scope", tokens.SCOPES)
def test_a_token_needs_one_scope_and_no_other(scope: str, scene: Scene, asker: Asker) -> None:
    guarded = [what for what in REST if scope_of(scene, what) == scope]
    assert guarded
    for what in guarded:
        verb, template = what.split(" /")
        values = values_of(scene, verb, template)
        refused = asker.bear(scene.lacking[scope], verb, template, values)
        assert problem_of(refused, 403, "scope_missing")["scope"] == scope
        assert (what, sign(asker.bear(scene.having[scope], verb, template, values))) == (what, EXPECTED[what][-1])


def test_every_verb_of_the_api_needs_a_scope(scene: Scene) -> None:
    assert {scope_of(scene, what) for what in REST} == set(tokens.SCOPES)


def scope_of(scene: Scene, what: str) -> str:
    """The scope that a token needs for it."""
    verb, template = what.split(" /")
    return (READ_SCOPES if verb == "GET" else WRITE_SCOPES)[view_of(address(template, scene.open)).area]
