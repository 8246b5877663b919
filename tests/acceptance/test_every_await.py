"""Whatever befalls a worker at whichever await of the engine: its missions end right, and effects happen once.

The awaits are found in the source, so a new one is covered by itself, or makes a test fail until a scene comes to it or
`tests.deaths.unreached` says why none does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import llm_servers
from tests.deaths import naming, plan, scenes_of_agents, unreached, world
from tests.deaths.forks import Forks
from tests.deaths.stage import Performance, Stage

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
ONE_OF = 120  # of all cases, in the sample
MISSED_PER_CENT = 5  # of faults that may wait for an arrival which another worker made superfluous
TIMES = {
    "MISSIONS_HEARTBEAT_SECONDS": "0.3", "MISSIONS_HUNG_SECONDS": "1.5", "MISSIONS_DRAIN_SECONDS": "5",
    "MISSIONS_BREAKER_FAILURES": "2", "MISSIONS_BREAKER_SECONDS": "0.2",
}  # fmt: skip


@pytest.fixture
def stage(process_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage on this test's database."""
    other_side, data = tmp_path / "world", tmp_path / "data"
    other_side.mkdir()
    data.mkdir()
    monkeypatch.setenv(world.FOLDER, str(other_side))
    places = {world.FOLDER: str(other_side), "DATA_DIR": str(data), "MISSIONS_MODULES": "tests.deaths.scenes"}
    with llm_servers.serve(scenes_of_agents.script) as llm:
        thinking = {"LLM_PROVIDERS": llm.provider("stage"), "LLM_CHAIN": "stage/scripted"}
        forks = Forks({**process_environment, **TIMES, **places, **thinking}, tmp_path / "nest.log")
        made = Stage(tmp_path, forks)
        made.prepare()
        yield made
        forks.close()


def tried(stage: Stage, choose: Callable[[list[plan.Case]], list[plan.Case]]) -> list[Performance]:
    """All that was performed: each scene as it should be, then the chosen faults."""
    quiet = plan.everything(stage)
    assert unsound(quiet) == []
    found = plan.reached(quiet)
    assert sorted(set(naming.every()) - set(found) - set(unreached.WHY)) == []
    chosen = choose(list(plan.cases(found)))
    performed = []
    for one in plan.perform(stage, chosen, {one.scene: one for one in quiet}):
        performed.append(one)
        for wrong in unsound([one]):  # at once: all of them take long
            print(wrong, flush=True)
    missed = [str(one) for one in performed if one.struck < len(one.faults)]
    print(f"{len(naming.every())} awaits, {len(found)} reached, {len(performed)} faults, {len(missed)} missed")
    assert len(missed) * 100 <= len(performed) * MISSED_PER_CENT, missed
    return performed


def unsound(performed: list[Performance]) -> list[str]:
    """What is wrong with any of them."""
    return [f"{one}: {wrong}" for one in performed for wrong in one.wrong]


@pytest.mark.timeout(1500)
def test_sample_of_faults_harms_no_mission(stage: Stage) -> None:
    assert unsound(tried(stage, lambda every: plan.sample(every, ONE_OF))) == []


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_no_fault_at_any_await_harms_a_mission(stage: Stage) -> None:
    words = os.environ.get("STANDFAST_FAULTS_AT", "")
    assert unsound(tried(stage, lambda every: [case for case in every if words in str(case[1])])) == []


def test_awaits_that_are_excused_exist() -> None:
    assert sorted(set(unreached.WHY) - set(naming.every())) == []
    assert len(naming.every()) == len(set(naming.every()))
