"""How fast the queue page answers with a million decisions in the table; `benchmarks.queue_rows` seeds and asks."""

from __future__ import annotations

import os

import django
from django.db import transaction

from benchmarks.bench import Bench

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from benchmarks import queue_rows  # noqa: E402  (models are ready only now)

NAME = "queue_page"
DECISIONS, ROUNDS = 1_000_000, 9


def run(bench: Bench) -> None:
    """In this process, over Django's test client: what the server does for a page. All rows are rolled back."""
    with transaction.atomic():
        queue_rows.seed(DECISIONS)
        for (who, page), samples in queue_rows.measure(ROUNDS).items():
            bench.results.add_samples(NAME, f"{page}, {who}", "ms", [samples])
        transaction.set_rollback(True)
