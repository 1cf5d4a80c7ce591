"""The memory of used proofs: each passes once, over all workers, until its end; a full one takes no more."""

from __future__ import annotations

import multiprocessing
import time

from microgate.runtime.security.certificates import replay
from microgate.runtime.security.certificates.replay import Entered, Replays, open_region

NOW = 1_700_000_000.0


def test_a_proof_is_new_once():
    region = open_region(3)
    workers = [Replays(region, slot) for slot in range(3)]
    assert workers[0].enter(b"a", NOW + 60, NOW) is Entered.NEW
    assert [worker.enter(b"a", NOW + 60, NOW) for worker in workers] == [Entered.SEEN] * 3
    assert workers[1].enter(b"b", NOW + 60, NOW) is Entered.NEW


def test_the_promised_number_fits_and_leaves_at_its_end():
    table = Replays(open_region(1), 0)
    seen = {table.enter(b"%d" % number, NOW + 60, NOW) for number in range(replay.CAPACITY)}
    assert seen == {Entered.NEW}
    later = NOW + 61
    seen = {table.enter(b"later %d" % number, later + 60, later) for number in range(replay.CAPACITY)}
    assert seen == {Entered.NEW}


def test_a_full_table_takes_no_proof():
    table = Replays(open_region(1), 0)
    outcomes = [table.enter(b"%d" % number, NOW + 60, NOW) for number in range(3 * replay.CAPACITY)]
    assert Entered.FULL in outcomes
    assert Entered.SEEN not in outcomes
    assert table.enter(b"0", NOW + 60, NOW) is Entered.SEEN


def _race(region, slot, begin, outcomes):
    table = Replays(region, slot)
    begin.wait()
    now = time.time()
    outcomes.put([table.enter(b"%d" % number, now + 60, now).name for number in range(2_000)])


def test_of_workers_that_get_the_same_proofs_at_once_none_passes_twice():
    context = multiprocessing.get_context("fork")
    region = open_region(3)
    begin, outcomes = context.Event(), context.Queue()
    workers = [context.Process(target=_race, args=(region, slot, begin, outcomes)) for slot in range(3)]
    for worker in workers:
        worker.start()
    begin.set()
    lists = [outcomes.get(timeout=20) for _ in workers]
    for worker in workers:
        worker.join(10)
    passed = [sum(outcome == "NEW" for outcome in proof) for proof in zip(*lists, strict=True)]
    assert max(passed) == 1


def test_all_workers_make_the_same_nonces():
    region = open_region(2)
    assert len(region.secret) == replay.SECRET_BYTES
    assert region.secret == region.secret
    assert open_region(2).secret != region.secret
