"""The admin listener over a real socket: what it answers, what it refuses, and that it is bounded."""

import asyncio
import json
import re
import socket
import threading

import pytest

from harness.aio import until
from microgate.runtime.control import Drain
from microgate.runtime.observability.admin import MAX_CONNECTIONS, MAX_HEAD_BYTES, Admin, Page
from microgate.runtime.observability.jobs import State
from microgate.runtime.observability.ledger import Ledger
from microgate.runtime.observability.metrics import Metrics, Totals, region_size


class Subscriptions:
    """The steward's end as a job sees it, without workers: messages are said by the test."""

    workers = 2

    def __init__(self):
        self.handlers = {}

    def subscribe(self, kind, handler):
        self.handlers[kind] = handler

    def say(self, slot, message):
        self.handlers[type(message)](slot, message)


async def ask(port, request, *, whole=True):
    """Status, header fields and body of one answer; b"" as a request just waits for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    if whole:
        assert int(fields["Content-Length"]) == len(body)
        assert fields["Connection"] == "close"
    return int(lines[0].split(" ")[1]) if lines[0] else 0, fields, body


def get(path, *fields, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


@pytest.fixture
def serve(plan):
    """Runs a test's coroutine against a listener with the steward's pages."""

    def run(test, **options):
        async def main():
            hub = Subscriptions()
            region = bytearray(region_size(plan, hub.workers))
            ledger = Ledger()
            ledger.begin(plan, region, hub.workers)
            state = State(plan, region, ledger, hub)
            admin = Admin(state.pages(), options.pop("slow_pages", {"/metrics": state.metrics}), **options)
            server = await asyncio.get_running_loop().create_server(admin.connection, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            try:
                await test(port, hub, region)
            finally:
                server.close()
                await admin.close(0.0)
                await asyncio.sleep(0)

        asyncio.run(main())

    return run


def test_ready_when_all_workers_serve_until_the_drain(serve, plan):
    async def test(port, hub, region):
        async def statuses():
            return [(await ask(port, get(path)))[0] for path in ("/livez", "/startupz", "/readyz")]

        totals = Totals(region, plan, hub.workers)
        assert await statuses() == [200, 503, 503]
        totals.mark_serving(0, 100)
        assert await statuses() == [200, 503, 503]
        assert (await ask(port, get("/readyz")))[2] == b"1 of 2 workers serve\n"
        totals.mark_serving(1, 101)
        assert await statuses() == [200, 200, 200]
        totals.mark_serving(1, 102)  # a successor
        assert await statuses() == [200, 200, 200]
        hub.say(-1, Drain())
        assert await statuses() == [200, 200, 503]

    serve(test)


def test_metrics_in_the_form_that_was_asked_for(serve, plan):
    async def test(port, hub, region):
        Metrics(region, plan, 0).recorder(1)(200, 4_000, 3_000, 500, 10, 100)
        _, fields, plain = await ask(port, get("/metrics?x=1"))
        assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
        accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        _, fields, openmetrics = await ask(port, get("/metrics", accept))
        assert fields["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert b'http_route="/pets/1/pet/{id}"' in plain
        assert openmetrics.endswith(b"# EOF\n")
        assert b"# EOF" not in plain

    serve(test)


def test_version_and_metrics_name_what_is_served(serve, plan):
    async def test(port, hub, region):
        _, fields, body = await ask(port, get("/version"))
        assert fields["Content-Type"] == "application/json"
        found = json.loads(body)
        assert (found["project"], found["engine"]) == ("shop", "0.1.0")
        assert found["digest"] == plan.digest
        _, _, metrics = await ask(port, get("/metrics"))
        assert b'microgate_artefact_info{project="shop",engine="0.1.0",digest="0123456789ab"} 1' in metrics

    serve(test)


def test_head_has_the_length_and_no_body(serve):
    async def test(port, hub, region):
        for path in ("/livez", "/metrics"):
            _, whole, body = await ask(port, get(path))
            status, fields, nothing = await ask(port, get(path, method="HEAD"), whole=False)
            assert (status, nothing) == (200, b"")
            assert fields["Content-Length"] == whole["Content-Length"] == str(len(body))

    serve(test)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/nothing"), 404),
        (get("//livez"), 404),
        (get("/livez/../metrics"), 404),
        (get("/livez", method="POST"), 405),
        (get("/livez", method="OPTIONS"), 405),
        (get("/livez", "Content-Length: 3") + b"abc", 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"GET /livez\r\n\r\n", 505),
        (b"GET /livez HTTP/2.0\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /livez HTTP/1.1\r\nA\x00b: c\r\n\r\n", 400),
        (b"G\xffT /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
        (get("/livez", "Connection: upgrade", "Upgrade: h2c"), 200),
        (get("/livez") * 3, 200),
    ],
)
def test_odd_requests(serve, caplog, request_bytes, status):
    async def test(port, hub, region):
        found, fields, body = await ask(port, request_bytes)
        assert found == status
        assert not re.search(rb"Traceback|File ", body)
        if status == 405:
            assert fields["Allow"] == "GET, HEAD"
        assert (await ask(port, get("/livez")))[0] == 200

    serve(test)
    assert not caplog.records


def test_a_half_sent_request_does_not_stay(serve):
    async def test(port, hub, region):
        assert await ask(port, b"GET /livez HT", whole=False) == (0, {}, b"")

    serve(test, patience_seconds=0.05)


def test_a_listener_that_closes_answers_what_it_was_asked_and_ends_the_rest():
    release = threading.Event()

    def slow(accept):
        assert release.wait(5)
        return Page(200, b"late\n")

    async def main():
        admin = Admin({}, {"/slow": slow})
        server = await asyncio.get_running_loop().create_server(admin.connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        asked = asyncio.ensure_future(ask(port, get("/slow")))
        silent = asyncio.ensure_future(ask(port, b"GET /sl", whole=False))
        await until(lambda: len(admin.connections) == 2 and admin.tasks, "both are there")
        server.close()
        closing = asyncio.ensure_future(admin.close(0.5))
        await asyncio.sleep(0)
        release.set()
        assert (await asked)[2] == b"late\n"
        await closing
        assert await silent == (0, {}, b"")

    asyncio.run(main())


def test_connections_are_bounded_and_come_back(serve):
    async def test(port, hub, region):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        status = 200
        while status == 200:
            try:
                status, _, _ = await ask(port, get("/livez"), whole=False)
            except ConnectionError:
                break
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(5):
            while True:
                try:
                    if (await ask(port, get("/livez"), whole=False))[0] == 200:
                        return
                except ConnectionError:
                    await asyncio.sleep(0.01)

    serve(test)


def test_a_slow_page_holds_up_no_probe(serve):
    release = threading.Event()

    def slow(accept):
        assert release.wait(5)
        return Page(200, b"late\n")

    async def test(port, hub, region):
        waiting = asyncio.ensure_future(ask(port, get("/slow")))
        assert (await ask(port, get("/livez")))[0] == 200
        assert not waiting.done()
        release.set()
        assert (await waiting)[2] == b"late\n"

    serve(test, slow_pages={"/slow": slow})


def test_a_page_that_fails_is_an_answer_and_a_log_record(serve, caplog):
    def broken(accept):
        raise ZeroDivisionError

    async def test(port, hub, region):
        status, _, body = await ask(port, get("/broken"))
        assert status == 500
        assert json.loads(body)["message"] == "an unexpected error happened in the gateway"

    serve(test, slow_pages={"/broken": broken})
    assert [record.message for record in caplog.records] == ["the page /broken failed"]


def test_a_client_that_leaves_early_disturbs_nobody(serve, caplog):
    async def test(port, hub, region):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(get("/metrics"))
        assert (await ask(port, get("/livez")))[0] == 200

    serve(test)
    assert not caplog.records
