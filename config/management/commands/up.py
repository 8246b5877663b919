"""`manage.py up`: the whole system under one supervisor, from an empty folder to a URL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from config import embedded, env
from config.claim import Claim, Claimed, claim
from config.demo import SIGN_INS
from config.processes import Plan, environment, free_port, isolation_told, keep_database, port_taken, ready
from config.supervisor import Supervisor

READY_SECONDS = 90.0
LOG_LIMIT = 10_000_000  # bytes; a longer log is put aside at the next start


class Command(BaseCommand):
    """Starts the database, brings it up to date, and runs web, mission workers and housekeeping until told to stop."""

    help = "Run everything: database, web, mission workers, housekeeping and, with demo data, the demo payment server."
    requires_system_checks: list[str] = []
    _within_line = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=env.integer("PORT", 8000, low=1, high=65535))
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: loopback)")
        parser.add_argument("--workers", type=int, default=2, help="how many mission workers (default: 2)")
        parser.add_argument("--no-demo", action="store_true", help="no demo data, sign-ins or payment server")
        parser.add_argument("--console-logs", action="store_true", help="logs to the terminal, not to DATA_DIR/logs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Hold the claim on DATA_DIR as long as anything runs."""
        logging.getLogger().setLevel(logging.WARNING)  # here people read; the programs log for themselves
        try:
            with claim(settings.DATA_DIR / "up.lock") as held:
                self._run(held, options)
        except Claimed as error:
            raise CommandError(f"{error}. Stop it first, or choose another DATA_DIR.") from error
        except KeyboardInterrupt:
            self._say("stopped")

    def _run(self, held: Claim, options: dict[str, Any]) -> None:
        if holder := port_taken(options["host"], options["port"]):
            raise CommandError(f"port {options['port']} is taken by {holder}: choose another with PORT=… or --port")
        try:
            self._prepare(held, demo=not options["no_demo"])
            asyncio.run(self._serve(held, options))
        finally:
            self._stop_database(held)
        self._say("stopped")

    # -- Before the programs start -----------------------------------------------------------------------------------
    def _prepare(self, held: Claim, *, demo: bool) -> None:
        with self._step("database"):
            started = embedded.ensure(env.text("DATABASE_URL"), embedded.cluster_folder())
            held.record(owns_database=started or held.owns_database)
        executor = MigrationExecutor(connection)
        if steps := len(executor.migration_plan(executor.loader.graph.leaf_nodes())):
            with self._step(f"tables ({steps} migrations)"):
                call_command("migrate", verbosity=0, interactive=False)
        with self._step("static files"):
            call_command("collectstatic", verbosity=0, interactive=False)
        if demo:
            with self._step("demo data"):
                call_command("demo", verbosity=0)
        connections.close_all()

    def _stop_database(self, held: Claim) -> None:
        connections.close_all()
        if held.owns_database and not env.text("DATABASE_URL"):
            with self._step("database stops"):
                embedded.stop(embedded.cluster_folder())
        held.record(owns_database=False)

    # -- While they run ----------------------------------------------------------------------------------------------
    async def _serve(self, held: Claim, options: dict[str, Any]) -> None:
        demo_payments = not options["no_demo"] and not env.text("PAYMENTS_URL")
        payments_port = free_port(settings.PAYMENTS_URL) if demo_payments else None
        plan = Plan(
            manage=settings.BASE_DIR / "manage.py", data=settings.DATA_DIR, host=options["host"], port=options["port"],
            workers=options["workers"], drain=settings.MISSIONS_DRAIN_SECONDS, payments_port=payments_port,
            isolates=sys.platform == "linux" and settings.SANDBOX_DRIVER != "none",
        )  # fmt: skip
        logs = None if options["console_logs"] else _put_aside(settings.DATA_DIR / "logs")
        given = environment(payments_port, f"http://{options['host']}:{options['port']}")
        supervisor = Supervisor(
            plan.programs(), environment=given, logs=logs, lock=held.file, say=self._say
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.run())
            if not env.text("DATABASE_URL"):
                group.create_task(keep_database(embedded.cluster_folder(), supervisor.stopping, self._say))
            await self._welcome(options, supervisor, logs)

    async def _welcome(self, options: dict[str, Any], supervisor: Supervisor, logs: Path | None) -> None:
        host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
        url = f"http://{host}:{options['port']}/"
        waits = [("web", f"{url}healthz"), *([("workers", f"{url}readyz")] if options["workers"] else [])]
        for what, address in waits:
            with self._step(what):
                answered = await ready(address, READY_SECONDS, supervisor.stopping)
            if not answered:
                if not supervisor.stopping.is_set():
                    self._say(f"{what}: not ready after {READY_SECONDS:.0f} s; see {logs or 'the lines above'}")
                return
        isolation = await isolation_told()
        self.stdout.write(self.style.SUCCESS(f"\nStandfast is ready: {url}"))
        if isolation:
            self.stdout.write(self.style.WARNING(isolation))
        if not options["no_demo"]:
            names = "\n".join(f"  {name:<8}{what}" for name, what in SIGN_INS)
            self.stdout.write(f"Sign in with the password `standfast` as\n{names}")
        self.stdout.write(f"Logs: {logs or 'here'}. Ctrl-C stops everything; `make run` goes on where it stopped.\n")

    # -- Telling -----------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[None]:
        """Say what begins, and how long it took."""
        begun = time.monotonic()
        self.stdout.write(f"  {what} … ", ending="")
        self.stdout.flush()
        self._within_line = True
        try:
            yield
        except BaseException:
            self._end_line()
            raise
        if self._within_line:
            self.stdout.write(f"{time.monotonic() - begun:.1f} s")
            self._within_line = False

    def _end_line(self) -> None:
        """End the line of a step that something else interrupts."""
        if self._within_line:
            self.stdout.write("")
        self._within_line = False

    def _say(self, line: str) -> None:
        self._end_line()
        self.stdout.write(f"{time.strftime('%H:%M:%S')} {line}")
        self.stdout.flush()


def _put_aside(folder: Path) -> Path:
    """Rename logs that grew long; the previous ones are overwritten."""
    for log in folder.glob("*.log"):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
    return folder
