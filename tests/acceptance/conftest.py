"""What acceptance tests may ask for: a system of real processes. A failure shows the end of every log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import checks
from tests.acceptance.system import Ground, System


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A running cluster with people, policy and tokens in its template."""
    ground = Ground.make()
    yield ground
    ground.clear()


@pytest.fixture
def system(ground: Ground, tmp_path: Path) -> Iterator[System]:
    """A system that runs nothing yet."""
    system = System(ground, tmp_path)
    yield system
    system.end()


@pytest.fixture(scope="module")
def site(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a web server that the tests of a module share; what they leave has to be sound."""
    site = System(ground, tmp_path_factory.mktemp("site"))
    site.start_web()
    yield site
    wrong = checks.unsound(site.facts())
    site.end()
    assert wrong == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the logs to the report of a failure."""
    report: pytest.TestReport = yield  # type: ignore[assignment,misc]
    system = getattr(item, "funcargs", {}).get("system")
    if report.failed and isinstance(system, System):
        report.sections += [(f"log of {name}", log) for name, log in system.logs.items()]
    return report  # type: ignore[return-value]
