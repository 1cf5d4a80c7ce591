"""The adaptive bound against backends that a few lines imitate: seconds of traffic in milliseconds, nothing left to chance."""

from __future__ import annotations

import heapq

import pytest

from microgate.runtime.throttling.overload.adaptive import CEILING, FIRST_LIMIT, FLOOR, AdaptiveLimit

TARGET_SECONDS = 0.005


class Queue:
    """A backend of so many slots that works for `work` seconds on each request, first come, first served."""

    def __init__(self, slots: int, work: float) -> None:
        self.work = work
        self._free = [0.0] * slots

    def ready(self, at: float) -> float:
        began = max(at, heapq.heappop(self._free))
        heapq.heappush(self._free, began + self.work)
        return began + self.work


class World:
    """Requests at a steady rate through the bound to a backend."""

    def __init__(self, slots: int = 8, work: float = 0.02) -> None:
        self.backend = Queue(slots, work)
        self.gauge = 0
        self.limit = AdaptiveLimit(TARGET_SECONDS, self._change, 0.0)
        self.now = 0.0
        self.waiting: list[tuple[float, float]] = []  # when the answer comes, when it was asked for
        self.answered = self.refused = 0

    def _change(self, difference: int) -> None:
        self.gauge += difference

    def run(self, rate: float, seconds: float) -> None:
        self.answered = self.refused = 0
        end = self.now + seconds
        while self.now < end:
            self._hear(self.now)
            if len(self.waiting) < self.limit.now:
                heapq.heappush(self.waiting, (self.backend.ready(self.now), self.now))
            else:
                self.limit.refused = True
                self.refused += 1
            self.now += 1 / rate

    def _hear(self, until: float) -> None:
        while self.waiting and self.waiting[0][0] <= until:
            at, asked = heapq.heappop(self.waiting)
            self.answered += 1
            self.limit.answered(at - asked, at, len(self.waiting))


def test_three_times_the_capacity_is_held_to_a_short_queue():
    world = World()
    world.run(200, 5)
    assert world.refused == 0
    assert world.limit.usual == pytest.approx(0.02)
    world.run(1_200, 60)
    assert world.answered > 0.95 * 400 * 60
    assert world.limit.now < 3 * 8
    world.run(200, 5)
    assert world.refused == 0


def test_an_overload_from_the_start_is_seen_through():
    """The first latencies are those of a queue; the looks at half the bound show that there is one."""
    world = World()
    world.run(1_200, 90)
    assert world.limit.usual < 2.5 * 0.02
    assert world.limit.now < 6 * 8
    assert world.gauge == world.limit.now


def test_a_backend_that_became_slower_for_good_is_learnt_anew():
    world = World(slots=5_000)
    world.run(3_000, 5)
    assert world.refused < 0.01 * 3_000 * 5  # the first tenth of a second needs more than there is
    world.backend.work = 0.2
    world.run(3_000, 10)
    assert world.limit.usual == pytest.approx(0.2, rel=0.1)
    world.run(3_000, 30)
    world.run(3_000, 5)
    assert world.refused == 0


def test_room_grows_for_a_backend_that_has_it():
    world = World(slots=10_000)
    world.run(10_000, 10)
    world.run(10_000, 5)
    assert world.refused == 0
    assert world.limit.now >= 200


def test_what_is_rarely_asked_for_is_never_refused_however_its_latency_varies():
    world = World(slots=100)
    for round_number in range(200):
        world.backend.work = (0.01, 5.0, 0.3)[round_number % 3]
        world.run(4, 2)
        assert world.refused == 0
    assert world.limit.now == FIRST_LIMIT


def test_a_backend_that_hangs_leaves_no_more_waiting_than_the_floor_and_is_not_taken_for_slow():
    limit = AdaptiveLimit(TARGET_SECONDS, lambda _: None, 0.0)
    for number in range(20):
        limit.answered(0.02, number * 0.1, 1)
    for number in range(2_000):
        limit.refused = True
        limit.gave_up(60.0, 2 + number * 0.1, limit.now)
    assert limit.now <= 2 * FLOOR
    assert limit.usual == pytest.approx(0.02)


def test_clients_that_leave_early_prove_nothing():
    limit = AdaptiveLimit(TARGET_SECONDS, lambda _: None, 0.0)
    for number in range(20):
        limit.answered(0.02, number * 0.1, 1)
    for number in range(2_000):
        limit.refused = True
        limit.gave_up(0.001, 2 + number * 0.1, limit.now)
    assert limit.now == FIRST_LIMIT


def test_the_bound_has_bounds():
    limit = AdaptiveLimit(1.0, lambda _: None, 0.0)
    for number in range(40_000):
        limit.answered(0.001, number * 0.01, CEILING)
    assert limit.now == CEILING
