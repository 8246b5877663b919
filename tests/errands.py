"""A mission that waits for a signal, for tests whose web server and whose worker both have to know it."""

from __future__ import annotations

from pydantic import BaseModel

from missions.authoring import Context, Verdict, mission

TYPE = "test.errand"


class Errand(BaseModel):
    """What an errand is about."""

    where: str


@mission(TYPE, version=1, title="Run an errand")
async def run_errand(m: Context, errand: Errand) -> Verdict:
    """Wait until somebody says `paid`."""
    paid = await m.wait_for_signal("paid")
    return Verdict("done", summary=f"Paid at {errand.where}.", data={"paid": paid})
