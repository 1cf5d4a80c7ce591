"""Limits in a cluster of three masters: on several nodes at once, while keys move, and while a node is away."""

from __future__ import annotations

import asyncio

from harness.services.redis import Cluster
from harness.shared_limits import start, start_layered, statuses, uses_nothing_up
from harness.waiting import wait_until
from microgate.runtime.stores.addresses import read_place
from microgate.runtime.stores.slots import slot_of
from microgate.runtime.stores.store import Store
from microgate.runtime.throttling.stores.scripts import SHARE


def test_in_a_cluster_limits_on_several_nodes_are_taken_together(tmp_path, gateway):
    with Cluster(tmp_path) as cluster:
        running = start_layered(gateway, cluster.urls, "cluster = true\nwaitMillis = 500\n")
        uses_nothing_up(running)
        fast = "{count: 10, unitTime: 1, timeUnit: day, store: fast}"
        pair = [start(gateway, fast, cluster.urls, "cluster = true\n") for _ in range(2)]
        assert statuses(pair[0], 10) == [200] * 10
        wait_until(lambda: statuses(pair[1], 1) == [429], "the other has heard of it")
        cluster.nodes[0].kill()
        wait_until(
            lambda: statuses(running, 1) and "the store of limits cannot be had" in running.output, "the outage is told"
        )
        assert set(statuses(running, 3)) <= {200, 429}
        cluster.nodes[0].start()
        wait_until(lambda: "the store of limits is back" in running.output, "it is back", seconds=30)
        assert "limit_store_absences" in running.metrics()


def _tell(node, *words):
    with node.client() as client:
        return client.execute_command(*words)


def test_keys_that_move_are_followed(tmp_path):
    """A slot whose keys are on their way answers ASK, one that has moved answers MOVED."""
    with Cluster(tmp_path) as cluster:
        slot = slot_of(b"moving")
        ids = [_tell(node, "CLUSTER MYID").decode() for node in cluster.nodes]
        holder = min(2, slot * 3 // 16_384)
        source, target = cluster.nodes[holder], cluster.nodes[(holder + 1) % 3]
        told = []

        async def share(store):
            return await store.run(SHARE, [b"moving"], [b"me", b"5", b"60000"])

        async def live():
            store = Store(read_place(tuple(cluster.urls), cluster=True), 2.0, None, lambda up, _: told.append(up))
            found = [await share(store)]
            _tell(source, "DEL", "moving")
            _tell(target, "CLUSTER SETSLOT", slot, "IMPORTING", ids[holder])
            _tell(source, "CLUSTER SETSLOT", slot, "MIGRATING", ids[(holder + 1) % 3])
            found.append(await share(store))
            for node in cluster.nodes:
                _tell(node, "CLUSTER SETSLOT", slot, "NODE", ids[(holder + 1) % 3])
            _tell(target, "HSET", "moving", "other", 7)
            found += [await share(store), await share(store)]
            store.close()
            return found

        assert asyncio.run(live()) == [0, 0, 7, 7]
        assert _tell(target, "HGET", "moving", "me") == b"5"
        assert told == [True]
