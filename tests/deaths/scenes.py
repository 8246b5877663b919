"""Missions that together come to every await of the engine, and those of the crash table, as types that workers know.

A scene ends the same way whatever befalls its workers. What people do in it, `tests.deaths.audience` does. A type of
missions belongs to one performance, so that several may go on in one database and each has workers of its own.
"""

from __future__ import annotations

from typing import Any

from missions.authoring import Context, Verdict
from missions.engine import registry
from tests.deaths import (  # noqa: F401  (they add their scenes)
    scenes_of_agents,
    scenes_of_bodies,
    scenes_of_calls,
    scenes_of_controls,
    scenes_of_evidence,
)
from tests.deaths.scene import SCENES, Body, Given


# -- Of the crash table ------------------------------------------------------------------------------------------------
async def paid(m: Context, given: Given) -> Verdict:
    """One call of one tool."""
    await m.tool(given["tool"], **given["args"])
    return Verdict("done")


async def undone(m: Context, given: Given) -> Verdict:
    """The same; it is taken back while it waits."""
    await m.tool(given["tool"], **given["args"])
    await m.wait_for_signal("back")
    return Verdict("done")


async def carer(m: Context, given: Given) -> Verdict:
    """The same, by a child."""
    await m.join(await m.spawn(given["child"], given["of_child"]))
    return Verdict("done")


async def idle(m: Context, given: Given) -> Verdict:
    """Nothing."""
    return Verdict("done")


BODIES: dict[str, Body] = {
    "child": scenes_of_bodies.child, "paid": paid, "undone": undone, "carer": carer, "idle": idle,
}


def register(types: dict[str, str]) -> None:
    """Know these types and no others: name → scene."""
    for known in list(registry._types):
        del registry._types[known]
    for name, of in types.items():
        if of in BODIES:
            registry.register(name, 1, "", _body(BODIES[of]))
        else:
            registry.register(name, 1, "", _body(SCENES[of].body), **SCENES[of].terms)


def _body(body: Body) -> Any:
    async def run(m: Context, given: dict[str, Any]) -> Any:
        return await body(m, given)

    return run
