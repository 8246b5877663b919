"""Calls side by side, each in a branch of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from missions.context.base import Calls, current_branch
from missions.engine import guard
from missions.engine.branches import Branch, durable


class Strands(Calls):
    """The calls that run others side by side."""

    @durable
    async def gather(self, *calls: Awaitable[Any]) -> list[Any]:
        """Run calls side by side, each in a branch of its own; their results in order.

        All of them end before this returns; if some failed, the first of these in order is raised.
        """
        parent = self._here
        path, run = parent.path("gather"), self._run
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(calls)
        results: list[Any] = [None] * left

        async def strand(index: int, call: Awaitable[Any]) -> None:
            nonlocal left
            branch = Branch(run, f"{path}/{index}/")
            branch.enter()
            current_branch.set(branch)
            try:
                results[index] = await guard.under(run.scope, call)
            except GeneratorExit:
                raise
            except BaseException as error:  # SystemExit would end the worker, a lost cancellation the count
                if run.has_left:
                    return
                results[index] = error
            left -= 1
            if left == 0:
                run.go_on()  # the parent, before this strand stands still
                done.set_result(None)
            run.stand_still()

        for index, call in enumerate(calls):
            run.go_on()
            run.own(asyncio.get_running_loop().create_task(strand(index, call)))
        if calls:
            run.stand_still()
            await done
        failed = next((item for item in results if isinstance(item, BaseException)), None)
        if failed is not None:
            raise failed
        return results
