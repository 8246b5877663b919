"""What a worker knows of isolation on its host: found at its start, recorded, looked at again while it is wanting."""

from __future__ import annotations

import asyncio
import logging

from django.db import DatabaseError, connection

from missions.sandbox import report, selftest
from missions.sandbox.report import Report

logger = logging.getLogger(__name__)
AWAY_SECONDS = 5.0
SETTLE_SECONDS = 5.0  # a worker that starts has better things to do first; a job that comes sooner looks by itself


async def keep_known() -> None:
    """Until isolation is whole; what was found and changed since is recorded. Cancel it to end it sooner."""
    told: Report | None = None
    await asyncio.sleep(SETTLE_SECONDS)
    while True:
        found = await selftest.known()
        if told is None or (found.driver, found.missing) != (told.driver, told.missing):
            await recorded(found)
            told = found
        if not found.missing or found.driver == "none":
            return
        await asyncio.sleep(selftest.AGAIN_SECONDS)


async def recorded(found: Report) -> None:
    """Log what was found, and keep it; a database that is away is waited for."""
    facts = {"action": "isolation_checked", "driver": found.driver, "missing": sorted(found.missing)}
    (logger.warning if found.missing else logger.info)("Isolation was tried", extra=facts)
    while True:
        try:
            await asyncio.to_thread(_keep, found)
            return
        except DatabaseError:
            await asyncio.sleep(AWAY_SECONDS)


def _keep(found: Report) -> None:
    try:
        report.keep(found)
    finally:
        connection.close()
