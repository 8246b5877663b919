"""The first release: both types in version 1."""

from __future__ import annotations

from missions.authoring import Context, Verdict, mission
from tests.acceptance.rollout.rounds import Round, deliver

MODULE = "tests.acceptance.rollout.first"


async def _delivered(m: Context, request: Round) -> Verdict:
    references = [await deliver(m, request, number) for number in range(request.rounds)]
    await m.wait_for_signal("go")
    return Verdict("delivered", data={"release": 1, "references": references, "marks": []})


@mission("test.carried", version=1, title="Carried")
async def carried(m: Context, request: Round) -> Verdict:
    """Rounds, until it is told to end."""
    return await _delivered(m, request)


@mission("test.pinned", version=1, title="Pinned")
async def pinned(m: Context, request: Round) -> Verdict:
    """The same."""
    return await _delivered(m, request)
