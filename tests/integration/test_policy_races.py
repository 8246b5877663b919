"""Two people load the same policy at once: both versions stay, one is in force."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from approvals.models import PolicyVersion, VersionState
from approvals.policies import document, versions
from tests.policies import row


@pytest.mark.django_db(transaction=True)
def test_concurrent_activations_leave_one_version_in_force():
    barrier, faults = threading.Barrier(4), []

    def load(effect):
        try:
            written = document.parse({"name": "refunds", "rules": [row(effect, effect)]}, "file")
            barrier.wait()
            versions.load(written, activate=True)
        except Exception as error:  # shown below; a thread would lose it
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=load, args=(effect,)) for effect in ("allow", "deny", "escalate", "deny")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    found = list(PolicyVersion.objects.order_by("number").values_list("number", "state"))
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert [state for _, state in found].count(VersionState.ACTIVE) == 1
    assert {state for _, state in found} == {VersionState.ACTIVE, VersionState.RETIRED}
