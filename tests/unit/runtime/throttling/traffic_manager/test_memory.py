"""Room for decisions and rules: what is full refuses and forgets nothing, and what is over makes room."""

from __future__ import annotations

from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.traffic_manager import memory
from microgate.runtime.throttling.traffic_manager.memory import DECISIONS, Decisions, WritableDecisions, place_of


def make(now):
    region = memory.make_memory()
    return WritableDecisions(region, clock=lambda: now[0]), Decisions(region)


def test_r34_a_flood_of_keys_is_refused_and_makes_room_when_it_is_over():
    now = [1_000.0]
    writer, reader = make(now)
    entered = [writer.enter(digest(f"key-{number}"), 2_000_000) for number in range(memory.MAX_DECISIONS + 500)]
    assert entered.count(True) == memory.MAX_DECISIONS == writer.cells[DECISIONS]
    assert reader.until(place_of(digest("key-0"))) == 2_000_000
    assert reader.until(place_of(digest("nobody"))) == 0
    now[0] = 3_000.0
    for _ in writer.sweep():
        pass
    assert writer.cells[DECISIONS] == 0
    assert writer.enter(digest("late"), 4_000_000)
    assert reader.until(place_of(digest("late"))) == 4_000_000
    assert reader.until(place_of(digest("key-0"))) == 0


def test_a_full_table_takes_a_key_in_the_place_of_one_that_is_over():
    now = [1_000.0]
    writer, reader = make(now)
    key = digest("a")
    assert writer.enter(key, 1_000_001)
    writer.cells[DECISIONS] = memory.MAX_DECISIONS
    assert not writer.enter(digest("b"), 2_000_000)
    now[0] = 1_001.0
    neighbour = bytes(8)  # another digest with the same place
    assert writer.enter(neighbour + key[8:], 2_000_000)
    assert reader.until(place_of(neighbour + key[8:])) == 2_000_000
    assert reader.until(place_of(key)) == 0


def test_rules_are_whole_or_not_there():
    writer, reader = make([0.0])
    assert reader.rules() == (0, b"")
    for number in range(1, 6):
        writer.write_rules(b"%d" % number * number)
        assert reader.rules() == (number, b"%d" % number * number)
    writer.write_rules(b"x" * memory.MAX_RULES_BYTES)
    assert len(reader.rules()[1]) == memory.MAX_RULES_BYTES
