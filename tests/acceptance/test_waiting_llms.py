"""Hundreds of missions wait for a slow LLM in one worker process; it is killed, and none is lost or repeated."""

from __future__ import annotations

import psutil
import psycopg
import pytest

from benchmarks.bench import copies
from tests import llm_servers
from tests.acceptance.processes import until
from tests.acceptance.system import System, inside
from tests.llm_servers import Held

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
MISSIONS, PATIENCE = 500, 120.0
MOST_BYTES = 400 * 1024 * 1024
ENDED = "select count(*) from missions_outcome where verdict = 'answered'"
ANSWERS = "select convert_from(payload, 'UTF8')::jsonb ->> 'text' from missions_journal where kind = 'llm'"


def test_five_hundred_waiting_requests_fit_one_worker_and_survive_its_death(system: System) -> None:
    system.forks = False  # what is measured has imported what it needs, and no more
    system.environment.update(MISSIONS_HEARTBEAT_SECONDS="2", MISSIONS_HUNG_SECONDS="8")
    with llm_servers.serve(Held("Here is the answer."), nonces=True) as llm:
        provider = llm.provider("slow", connections=2 * MISSIONS, seconds=600)
        system.environment.update(LLM_PROVIDERS=provider, LLM_CHAIN="slow/scripted")
        template = inside("thinker", system.environment)
        with psycopg.connect(system.database.url, autocommit=True) as connection:
            now = connection.execute("select missions_now()").fetchall()[0][0]
            copies(connection, template, MISSIONS, now)
            connection.execute("update missions_brief set start_at = null where mission_id <> %s", [template])

        first = system.start_worker()
        until("all ask", PATIENCE, lambda: len(llm.requests) >= MISSIONS, lambda: len(llm.requests))
        assert psutil.Process(first.pid).memory_info().rss <= MOST_BYTES
        first.kill()
        second = system.start_worker()
        until("all ask again", PATIENCE, lambda: len(llm.requests) >= 2 * MISSIONS, lambda: len(llm.requests))
        assert psutil.Process(second.pid).memory_info().rss <= MOST_BYTES
        llm.release()
        until("all have answered", PATIENCE, lambda: system.database.value(ENDED) == MISSIONS)
        assert len(llm.requests) == 2 * MISSIONS  # a turn each, and one more for the death of its worker
    answers = [row[0] for row in system.database.rows(ANSWERS)]
    assert len(set(answers)) == len(answers) == MISSIONS, "each has an answer of its own"
