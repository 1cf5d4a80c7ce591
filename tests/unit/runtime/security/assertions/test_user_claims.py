"""What becomes of requests while the project's function gives no claims."""

from __future__ import annotations

import asyncio

import pytest

from harness.aio import pace
from microgate.runtime.security.assertions.user_claims import Own, UserClaimsError
from microgate.runtime.security.breaker import FAILURES_TO_OPEN, FIRST_PAUSE_SECONDS


def test_a_function_that_hangs_is_not_called_for_a_while():
    async def play():
        called, hangs = [], True

        async def retrieve(about):
            called.append(about)
            if hangs:
                await asyncio.Event().wait()
            return {"mail": "a"}

        own = Own(retrieve, timeout_s=0.01)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(UserClaimsError, match="gave no answer within"):
                await own({})
        with pytest.raises(UserClaimsError, match="is not called for a while"):
            await own({})
        assert len(called) == FAILURES_TO_OPEN
        hangs = False
        await pace(FIRST_PAUSE_SECONDS)
        assert await own({}) == {"mail": "a"}

    asyncio.run(play())


def test_a_function_that_fails_at_once_is_called_for_the_next_caller():
    async def play():
        def retrieve(about):
            return {"mail": about["mail"]}

        own = Own(retrieve)
        for _ in range(2 * FAILURES_TO_OPEN):
            with pytest.raises(UserClaimsError, match="the retriever failed: KeyError"):
                await own({})
        assert await own({"mail": "b"}) == {"mail": "b"}

    asyncio.run(play())
