"""The table of decisions against a dict with times: whatever comes in whatever order, no key is throttled that should not be."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from microgate.runtime.throttling.traffic_manager import memory, messages
from microgate.runtime.throttling.traffic_manager.memory import Decisions, WritableDecisions, place_of

# Few homes, so that keys stand behind each other, and one at the end of the table, which goes on at its beginning.
KEYS = [struct.pack("<QQ", high, low) for high in (3, 5, 7, 9) for low in (0, 1, (1 << 18) - 1)]


class Table(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.region = bytearray(memory.REGION_BYTES)
        self.now = 1_000
        self.writer = WritableDecisions(self.region, clock=lambda: self.now / 1000)
        self.reader = Decisions(self.region)
        self.model = {}

    @rule(key=st.sampled_from(KEYS), length=st.integers(1, 50))
    def throttle(self, key, length):
        assert self.writer.enter(key, self.now + length)
        self.model[key] = self.now + length

    @rule(key=st.sampled_from(KEYS))
    def release(self, key):
        self.writer.leave(key)
        self.model[key] = 0

    @rule(length=st.integers(1, 60))
    def wait(self, length):
        self.now += length

    @rule()
    def sweep(self):
        for _ in self.writer.sweep():
            pass

    @rule()
    def begin_anew(self):
        """Another steward."""
        self.writer = WritableDecisions(self.region, clock=lambda: self.now / 1000)

    @invariant()
    def readers_see_what_was_said(self):
        for key in KEYS:
            until = self.model.get(key, 0)
            assert (self.reader.until(place_of(key)) > self.now) == (until > self.now)
            if until > self.now:
                assert self.reader.until(place_of(key)) == until


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@given(
    st.binary(max_size=300), st.dictionaries(st.text(max_size=9), st.one_of(st.text(), st.integers(), st.booleans()))
)
def test_no_message_raises(body, headers):
    messages.read(body, headers)
