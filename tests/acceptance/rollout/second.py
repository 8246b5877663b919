"""The second release: both types in version 2. One goes on with missions of version 1, the other would diverge."""

from __future__ import annotations

from missions.authoring import Context, Verdict, mission
from tests.acceptance.rollout.rounds import Round, deliver

MODULE = "tests.acceptance.rollout.second"


def mark(what: str) -> str:
    """Left a mark."""
    return what


@mission("test.carried", version=2, title="Carried", continues=(1,))
async def carried(m: Context, request: Round) -> Verdict:
    """Rounds between two marks, which missions of version 1 have passed, and come to, without."""
    marks = []
    if await m.patched("greeting"):
        marks.append(await m.step("greeting", mark, "greeted"))
    references = [await deliver(m, request, number) for number in range(request.rounds)]
    await m.wait_for_signal("go")
    if await m.patched("farewell"):
        marks.append(await m.step("farewell", mark, "left"))
    return Verdict("delivered", data={"release": 2, "references": references, "marks": marks})


@mission("test.pinned", version=2, title="Pinned")
async def pinned(m: Context, request: Round) -> Verdict:
    """Other steps from the very first on, and no word on version 1."""
    marks = [await m.step("greeting", mark, "greeted")]
    references = [await deliver(m, request, number) for number in range(request.rounds)]
    await m.wait_for_signal("go")
    return Verdict("delivered", data={"release": 2, "references": references, "marks": marks})
