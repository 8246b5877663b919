"""What every test may ask for: a database that starts by itself, a clock that moves, people.

The embedded cluster starts only when a test asks for the database, so unit tests need none.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from pytest_django import DjangoDbBlocker

from config import embedded, env
from missions.testing.clock import Clock
from tests import emptying

GROUPS = {
    "sam": "supervisors", "fiona": "finance", "lee": "legal", "olivia": "operators", "paula": "policy-admins",
    "audrey": "auditors",
}  # fmt: skip

# The server of these tests outlives no crash of the machine. Those that let a server crash have one of their own.
# Autovacuum would hide from the rail, for an instant, what was just committed; tables are emptied anyway.
HASTY = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
NOON = dt.time(12, tzinfo=dt.UTC)
COLLECT_AFTER = (50_000, 20, 20)  # objects; of younger collections
IN_CI = env.flag("CI", default=False)
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Acceptance tests come first: beside them there is time for all others."""
    _see_to_browsers(items)
    yield
    items.sort(key=lambda item: item.get_closest_marker("acceptance") is None)  # pytest-django puts them last


def pytest_collection_finish() -> None:
    """What was imported stays: looking through it for garbage again and again is a twentieth of a page."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _see_to_browsers(items: list[pytest.Item]) -> None:
    """Tests marked `browser` need Chromium."""
    browsing = [item for item in items if item.get_closest_marker("browser")]
    for item in browsing if CHROMIUM is None else ():
        item.add_marker(pytest.mark.skip(reason="no Chromium here: apt install chromium"))
    if browsing:  # Playwright keeps a loop running in the main thread, where the tests use the ORM
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one closing block what was skipped and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("what was skipped, and why")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count} × {reason}")
        if IN_CI:
            terminalreporter.write_line("CI=true: a skipped test counts as a failure")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """The system's Chromium, kept from talking to anybody else. As root it can not sandbox itself."""
    quiet = [f"--disable-{what}" for what in ("gpu", "quic", "background-networking", "component-update", "sync")]
    args = ["--no-sandbox", "--no-first-run", *quiet]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": args}


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Start the database before pytest-django makes the test database in it; stop it if we started it."""
    url, root = env.text("DATABASE_URL"), embedded.cluster_folder()
    started = embedded.ensure(url, root) if url else embedded.start(root, **HASTY)
    yield
    if started:
        embedded.stop(root)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database; emptied cheaply after each test that commits. It goes in the end, whoever is still in it."""
    with django_db_blocker.unblock():
        emptying.cheapen()
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment of a real process (a worker, a web server) that is to use this test's database."""
    place = connection.settings_dict
    url = "postgres:///{NAME}?".format(**place) + urlencode(
        {"host": place["HOST"], "port": place["PORT"], "user": place["USER"], "password": place["PASSWORD"]}
    )
    return {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Iterator[Clock]:
    """Moves `missions_now()`; set right again afterwards. Inside `db` only this test's transaction sees it move."""
    if "transactional_db" not in request.fixturenames:
        request.getfixturevalue("db")
    moved = Clock()
    yield moved
    moved.reset()


@pytest.fixture
def noon(clock: Clock) -> dt.datetime:
    """Tomorrow's noon (UTC), and the clock stands there: neither an hour nor a day ends during a test of periods."""
    now = clock.now()
    tomorrow = dt.datetime.combine(now.date() + dt.timedelta(days=1), NOON)
    return clock.advance((tomorrow - now).total_seconds())


Person = Callable[..., User]


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Person:
    """A factory: `person("ann", "finance", "legal")` is a user in these groups."""
    if "transactional_db" not in request.fixturenames:
        request.getfixturevalue("db")

    def make(name: str, *groups: str, **fields: object) -> User:
        user = User.objects.create_user(name, f"{name}@example.org", "standfast", **fields)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        return user

    return make


@pytest.fixture
def sam(person: Person) -> User:
    """A supervisor."""
    return person("sam", GROUPS["sam"])


@pytest.fixture
def fiona(person: Person) -> User:
    """Of finance."""
    return person("fiona", GROUPS["fiona"])


@pytest.fixture
def lee(person: Person) -> User:
    """Of legal."""
    return person("lee", GROUPS["lee"])


@pytest.fixture
def olivia(person: Person) -> User:
    """An operator."""
    return person("olivia", GROUPS["olivia"])


@pytest.fixture
def paula(person: Person) -> User:
    """A policy admin."""
    return person("paula", GROUPS["paula"])


@pytest.fixture
def audrey(person: Person) -> User:
    """An auditor."""
    return person("audrey", GROUPS["audrey"])


@pytest.fixture
def outsider(person: Person) -> User:
    """Signed in, and in no group."""
    return person("oscar")
