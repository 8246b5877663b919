"""dev"""
from __future__ import annotations
import os, time
from pathlib import Path
from collections.abc import Iterator
import pytest
from tests.deaths import naming, scenes, world
from tests.deaths.forks import Forks
from tests.deaths.stage import Stage

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stage(process_environment, tmp_path, monkeypatch) -> Iterator[Stage]:
    place = tmp_path / "world"
    place.mkdir()
    monkeypatch.setenv(world.FOLDER, str(place))
    environment = {**process_environment, world.FOLDER: str(place), "DATA_DIR": str(tmp_path / "data"),
        "MISSIONS_HEARTBEAT_SECONDS": "0.3", "MISSIONS_HUNG_SECONDS": "1.5", "MISSIONS_BREAKER_FAILURES": "2",
        "MISSIONS_BREAKER_SECONDS": "0.2", "MISSIONS_DRAIN_SECONDS": "5", "PYTHONUNBUFFERED": "1",
        "MISSIONS_MODULES": "tests.deaths.scenes"}
    (tmp_path / "data").mkdir()
    forks = Forks(environment, tmp_path / "nest.log")
    stage = Stage(tmp_path, forks, place)
    stage.prepare()
    yield stage
    forks.close()


def test_quiet(stage, tmp_path):
    only = os.environ.get("ONLY", "").split(",") if os.environ.get("ONLY") else list(scenes.SCENES)
    ones = [stage.new(name) for name in only]
    t = time.monotonic()
    stage.perform(ones)
    print("seconds", time.monotonic() - t)
    reached = set()
    for one in ones:
        reached |= set(one.reached)
        print(one.scene, one.status, one.struck, dict(one.done), one.told, len(one.reached))
        for w in one.wrong: print("   WRONG", w)
    print(len(reached), "of", len(naming.every()))
    for n in naming.every():
        if n not in reached: print("  not reached", n)
    print((tmp_path/"nest.log").read_text()[-3000:])
    if os.environ.get("LOGS"):
        for one in ones: print((tmp_path/f"{one.number}.log").read_text()[-6000:])
    for p in tmp_path.glob("*.log"):
        if "Traceback" in p.read_text(): print(p.name, p.read_text()[-2500:])
