"""The watch: what is due ends once, a crowd that ends at once leaves room for others, and what was put off is left alone."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from time import monotonic

from harness.aio import run, until
from microgate.runtime.protocols.deadlines import LOOK_SECONDS, MAX_ENDED_AT_ONCE, NEVER, Watch


class Member:
    def __init__(self, watch, deadline):
        self.deadline = deadline
        self.ended = 0
        self.looks = 0
        self.looked_at = 0
        watch.add(self)

    def on_deadline(self):
        self.ended += 1
        self.deadline = NEVER

    def on_look(self):
        self.looks += 1
        self.looked_at = self.looked_at or round(monotonic() * 100)


def test_what_is_due_ends_once():
    async def main():
        watch = Watch(asyncio.get_running_loop(), 0.01)
        due, later = Member(watch, monotonic() + 0.02), Member(watch, monotonic() + 60)
        await until(lambda: due.ended)
        assert (due.ended, later.ended) == (1, 0)
        watch.close()

    run(main())


def test_all_are_looked_after_a_few_at_a_time():
    async def main():
        loop = asyncio.get_running_loop()
        watch = Watch(loop, 0.01, looks=True)
        members = [Member(watch, NEVER) for _ in range(1_000)]
        begun = monotonic()
        await until(lambda: all(member.looks for member in members))
        assert monotonic() - begun < 3 * LOOK_SECONDS
        moments = [member.looked_at for member in members]
        assert max(moments.count(moment) for moment in set(moments)) <= 1_000 // 10
        watch.close()

    run(main())


def test_a_crowd_ends_in_turns_that_others_get_between():
    async def main():
        loop = asyncio.get_running_loop()
        watch = Watch(loop, 0.01)
        crowd = [Member(watch, monotonic()) for _ in range(MAX_ENDED_AT_ONCE * 5)]
        seen = []

        def look():
            seen.append(sum(member.ended for member in crowd))
            if seen[-1] < len(crowd):
                loop.call_soon(look)

        loop.call_soon(look)
        await until(lambda: seen[-1:] == [len(crowd)])
        steps = [after - before for before, after in pairwise(seen)]
        assert max(steps) == MAX_ENDED_AT_ONCE
        assert all(member.ended == 1 for member in crowd)
        watch.close()

    run(main())


def test_one_that_is_put_off_or_leaves_while_a_crowd_ends_is_left_alone():
    async def main():
        loop = asyncio.get_running_loop()
        watch = Watch(loop, 0.01)
        crowd = [Member(watch, monotonic()) for _ in range(MAX_ENDED_AT_ONCE * 3)]
        waiting: list[Member] = []

        def look():
            waiting.extend(member for member in crowd if not member.ended)
            if len(waiting) == len(crowd):
                waiting.clear()
                loop.call_soon(look)
                return
            waiting[0].deadline = NEVER
            watch.discard(waiting[1])

        loop.call_soon(look)
        await until(lambda: waiting and all(member.ended for member in waiting[2:]))
        assert [member.ended for member in waiting[:2]] == [0, 0]
        watch.close()

    run(main())
