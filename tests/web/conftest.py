"""What tests of live pages need: the real web server on the test database, a browser, and sockets.

pytest-django's own live server speaks no WebSocket, so daphne runs as it does in production, in its own process.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from websockets.sync.client import ClientConnection, connect

from tests.forkserver import Program

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 30.0  # seconds until the server must answer
expect.set_options(timeout=30_000)  # for a busy machine; a condition that holds is seen at once


class WebServer:
    """One daphne process on the test database; `start` again uses the same port."""

    def __init__(self) -> None:
        self.port = 0
        self._process: Program | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it, and wait until it listens."""
        place = ["-b", "127.0.0.1", "-p", str(self.port), "--websocket_timeout", "-1"]
        place += ["--websocket_connect_timeout", "60"]  # a slow machine is no test's subject
        output, theirs = os.pipe()
        words = ["-m", "daphne", *place, "config.asgi:application"]
        self._process = Program(words, _environment(), out=theirs, err=theirs)
        os.close(theirs)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_drain, args=(output, lines), daemon=True).start()
        said = ""
        while not (found := re.search(r"Listening on TCP address 127\.0\.0\.1:(\d+)", said)):
            line = lines.get(timeout=PATIENCE)
            assert line, f"the web server ended: {said}"
            said += line
        self.port = int(found.group(1))

    def kill(self) -> None:
        """End it without a farewell."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def _drain(output: int, lines: queue.Queue[str]) -> None:
    with open(output) as stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def _environment() -> dict[str, str]:
    place = connection.settings_dict
    server = {"host": place["HOST"], "port": place["PORT"], "user": place["USER"], "password": place["PASSWORD"]}
    return {
        **os.environ, "DATABASE_URL": f"postgres:///{place['NAME']}?{urlencode(server)}",
        "DJANGO_SETTINGS_MODULE": "tests.settings", "MISSIONS_MODULES": "tests.parcels,tests.errands",
        "DATA_DIR": str(settings.DATA_DIR), "SECRET_KEY": settings.SECRET_KEY,
    }  # fmt: skip


@pytest.fixture(scope="session")
def shared_server(django_db_setup: None) -> Iterator[WebServer]:
    """The web server of all tests that do not harm it."""
    server = WebServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def site(shared_server: WebServer, transactional_db: None) -> str:
    """The address of the running web server."""
    return shared_server.url


@pytest.fixture
def own_server(transactional_db: None) -> Iterator[WebServer]:
    """A web server that the test may kill and start again."""
    server = WebServer()
    server.start()
    yield server
    server.kill()


class Contexts:
    """Contexts of a browser. One that was left is emptied and used again: a new one takes a second with its first page.

    Each keeps one empty page, and with it a process that has the fonts and the code of the site.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._left: dict[str, list[BrowserContext]] = {}

    def take(self, base: str, options: dict[str, Any]) -> BrowserContext:
        """One with these options that nobody uses, as fresh as a new one."""
        left = self._left.setdefault(f"{base} {sorted(options.items())}", [])
        if left:
            return left.pop()
        context = self._browser.new_context(base_url=base, **options)
        context.new_page()
        return context

    def leave(self, context: BrowserContext, base: str, options: dict[str, Any]) -> None:
        """Close its pages, and forget all that they stored."""
        if not context.pages:  # it was closed
            return
        empty, *pages = context.pages
        for page in pages:
            page.close()
        context.clear_cookies()
        session = context.new_cdp_session(empty)
        session.send("Storage.clearDataForOrigin", {"origin": base, "storageTypes": "all"})
        session.send("Network.clearBrowserCache")
        session.detach()
        self._left[f"{base} {sorted(options.items())}"].append(context)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser. It ends with the module: Playwright keeps a loop running that asynchronous tests would trip over."""
    if not CHROMIUM.exists():
        assert "CI" not in os.environ, "the browser tests need Chromium: apt-get install chromium"
        pytest.skip("Chromium is not installed")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # the same running loop would make Django refuse the ORM
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(chromium: Browser) -> Contexts:
    """The contexts of the browser's visits."""
    return Contexts(chromium)


def session_of(user: User) -> str:
    """A fresh session key of the user."""
    client = Client()
    client.force_login(user)
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


Visit = Callable[..., Page]


@pytest.fixture
def visit(contexts: Contexts, site: str) -> Iterator[Visit]:
    """A factory: `visit(user, "/missions/", color_scheme="dark")` is a page in a context of its own, signed in.

    Options are the context's; with "" for a path it is blank. What the browser complains of in any page, such as a
    breach of the content security policy, fails the test.
    """
    taken: list[tuple[BrowserContext, str, dict[str, Any]]] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.text} ({message.location.get('url')})")

    def open_page(user: User | None, path: str, *, base: str = site, **options: object) -> Page:
        looks: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}  # what a page may have to itself
        looks |= {name: options.pop(name) for name in ("viewport", "color_scheme", "reduced_motion") if name in options}
        context = contexts.take(base, options)
        taken.append((context, base, options))
        if user is not None:
            name = settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": session_of(user), "url": base}])
        page = context.new_page()
        page.set_viewport_size(looks.pop("viewport"))
        if looks:
            page.emulate_media(**looks)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if path:
            page.goto(path)
        return page

    open_page.complaints = complaints  # type: ignore[attr-defined]
    yield open_page
    for one in taken:
        contexts.leave(*one)
    assert complaints == []


Dial = Callable[..., ClientConnection]


@pytest.fixture
def dial(site: str) -> Iterator[Dial]:
    """A factory: `dial(user, "/ws/queue/")` is an open socket with the user's session, closed after the test."""
    with contextlib.ExitStack() as stack:

        def call(user: User | None, path: str, *, origin: str = site, session: str = "") -> ClientConnection:
            key = session or (session_of(user) if user is not None else "")
            headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"} if key else {}
            url = f"ws://{urlsplit(site).netloc}{path}"
            return stack.enter_context(connect(url, origin=origin, additional_headers=headers))  # type: ignore[arg-type]

        yield call


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch, process_environment: dict[str, str]) -> None:
    """Processes that the server starts use this test's database, and know the missions of these modules."""
    modules = ",".join(("tests.parcels", "tests.rehearsed", "tests.web.test_api_controls"))
    for name, value in {**process_environment, "MISSIONS_MODULES": modules}.items():
        monkeypatch.setenv(name, value)
