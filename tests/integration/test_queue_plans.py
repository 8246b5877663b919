"""The queue walks indexes however many decisions there are: every statement of its pages, as planned on 50,000 rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals import precedents
from approvals.models import Decision
from benchmarks import queue_rows

pytestmark = pytest.mark.django_db
DECISIONS = 50_000


@pytest.fixture(scope="module")
def clients(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """A full queue, made once and never committed."""
    with django_db_blocker.unblock(), transaction.atomic():
        queue_rows.seed(DECISIONS)
        yield queue_rows.clients()
        transaction.set_rollback(True)


def walked(captured: CaptureQueriesContext) -> list[str]:
    """The statements over decisions that read the whole table."""
    found = []
    for query in captured.captured_queries:
        if "approvals_decision" in query["sql"] and query["sql"].startswith("SELECT"):
            with connection.cursor() as cursor:
                cursor.execute("explain " + query["sql"].replace("%", "%%"), [])
                plan = "\n".join(row[0] for row in cursor.fetchall())
            if any(f"Seq Scan on {table}" in plan for table in ("approvals_decision", "approvals_tier")):
                found.append(f"{query['sql']}\n{plan}")
    return found


@pytest.mark.parametrize("who", sorted(queue_rows.PEOPLE))
@pytest.mark.parametrize("page", sorted(queue_rows.ADDRESSES))
def test_a_page_of_the_queue_reads_no_table_from_end_to_end(clients, who, page):
    with CaptureQueriesContext(connection) as captured:
        response = clients[who].get(queue_rows.ADDRESSES[page])
    assert response.status_code == 200 and len(captured) > 5
    assert response.content.count(b"data-row") <= 100
    assert walked(captured) == []


def test_a_page_deep_in_the_list_begins_where_the_cursor_says(clients):
    path = f"{reverse('queue')}?view=done&limit=100"
    for _ in range(3):
        response = clients["operator"].get(path)
        path = response.context["next_url"]
    with CaptureQueriesContext(connection) as captured:
        clients["operator"].get(path)
    assert walked(captured) == []
    assert any("resolved_at\" <= " in query["sql"] for query in captured.captured_queries)


def test_similar_decisions_are_found_by_index(clients, sam):
    decision = Decision.objects.filter(audience=["g:supervisors"], state="open", kind="in_doubt").first()
    with CaptureQueriesContext(connection) as captured:
        found = precedents.of(decision, sam)
    assert len(found.rows) == precedents.SHOWN and walked(captured) == []


def test_counts_stop_at_a_hundred(clients):
    Decision.objects.filter(state="rejected").update(state="open")
    tabs = {tab["view"].value: tab for tab in clients["operator"].get(reverse("queue")).context["tabs"]}
    assert (tabs["open"]["count"], tabs["open"]["more"]) == (100, True)
