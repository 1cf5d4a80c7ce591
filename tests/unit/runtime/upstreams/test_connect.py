"""Connections to real listeners: races between addresses, TLS, every way to fail, and no socket left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import weakref
from pathlib import Path
from typing import ClassVar

import pytest

from harness.aio import run, until
from harness.dns import NameServer
from microgate.runtime.upstreams.connect import (
    ConnectError,
    Connector,
    ConnectTimeoutError,
    RefusedError,
    TlsError,
    UnresolvedError,
)
from microgate.runtime.upstreams.resolver import Resolver

NAME = "backend.test"


class Client(asyncio.Protocol):
    """Notes what it is told, and what it gets."""

    def __init__(self):
        self.data = b""
        self.peer = None
        self.lost = False

    def connection_made(self, transport):
        self.transport = transport
        self.peer = transport.get_extra_info("peername")

    def data_received(self, data):
        self.data += data

    def connection_lost(self, error):
        self.lost = True


class Listener:
    """A listener on loopback that says hello to whoever comes, through TLS where it has a context."""

    all: ClassVar = weakref.WeakSet()

    def __init__(self, address="127.0.0.1", port=0, *, context=None):
        self._socket = socket.create_server(
            (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET
        )
        self.address = address
        self.port = self._socket.getsockname()[1]
        self.names = []
        self.accepted = 0
        self.open = set()
        self._is_over = False
        self._context = context
        if context is not None:
            context.sni_callback = lambda _, name, __: self.names.append(name)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.all.add(self)
        self._thread.start()
        return self

    def __exit__(self, *_):
        # A connection to itself ends the thread, whatever the system makes of closing a socket in use.
        self._is_over = True
        socket.create_connection(self._socket.getsockname()[:2]).close()
        self._thread.join()
        self._socket.close()
        for connection in self.open:
            connection.close()
        self.open.clear()

    def _serve(self):
        while True:
            connection, _ = self._socket.accept()
            if self._is_over:
                connection.close()
                return
            self.accepted += 1
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                connection.sendall(b"hello")
            except OSError:
                connection.close()
            else:
                self.open.add(connection)


@contextlib.contextmanager
def deaf(address="127.0.0.1", port=0):
    """An address that answers nothing: the queue of its listener is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def resolver_for(records=None, **options):
    with NameServer(records or {}, **options) as server:
        resolver = Resolver(asyncio.get_running_loop(), servers=[server.address])
        try:
            yield resolver
        finally:
            resolver.close()


def connector(resolver, url, **options):
    return Connector(asyncio.get_running_loop(), resolver, url, **{"timeout": 3.0, "stagger": 0.02, **options})


def sockets():
    """How many sockets this process has open, other than those that its listeners have accepted."""
    count = -sum(len(listener.open) for listener in Listener.all)
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


async def failure_of(connecting, kind):
    """The error of a connection that must fail, after which no more sockets are open than before."""
    before = sockets()
    with pytest.raises(ConnectError) as caught:
        await connecting.connect(Client)
    assert type(caught.value) is kind, caught.value
    await until(lambda: sockets() <= before, "no socket is left")
    return str(caught.value)


def trusting(identity):
    return ssl.create_default_context(cafile=str(identity.certificate_file))


def serving(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate_file, identity.private_key_file)
    return context


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_connected_to_without_a_name_server(address):
    async def main():
        with Listener(address) as listener, resolver_for() as resolver:
            host = f"[{address}]" if ":" in address else address
            client = await connector(resolver, f"http://{host}:{listener.port}/base").connect(Client)
            await until(lambda: client.data == b"hello")
            raw = client.transport.get_extra_info("socket")
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.transport.abort()

    run(main())


def test_a_unix_socket(tmp_path):
    async def main():
        path = tmp_path / "backend.sock"
        with socket.socket(socket.AF_UNIX) as listener, resolver_for() as resolver:
            listener.bind(str(path))
            listener.listen()
            client = await connector(resolver, f"unix:{path}:/base").connect(Client)
            assert not client.lost
            client.transport.abort()
        assert "refused" in await failure_of(connector(resolver, f"unix:{path}"), RefusedError)
        missing = f"unix:{tmp_path / 'missing'}"
        assert "no such file" in await failure_of(connector(resolver, missing), ConnectError)

    run(main())


def test_ipv6_is_preferred_and_ipv4_takes_over_where_it_refuses():
    async def main():
        with Listener() as four, resolver_for({NAME: {"A": ["127.0.0.1"], "AAAA": ["::1"]}}) as resolver:
            connecting = connector(resolver, f"http://{NAME}:{four.port}")
            client = await connecting.connect(Client)
            assert client.peer[0] == "127.0.0.1"
            client.transport.abort()
            with Listener("::1", four.port):
                client = await connecting.connect(Client)
                assert client.peer[0] == "::1"
                client.transport.abort()

    run(main())


def test_a_deaf_address_costs_the_stagger_and_its_socket_is_closed():
    async def main():
        records = {NAME: {"A": ["127.0.0.1", "127.0.0.2"]}}
        with deaf() as port, Listener("127.0.0.2", port), resolver_for(records) as resolver:
            connecting = connector(resolver, f"http://{NAME}:{port}")
            await resolver.addresses(NAME)
            before = sockets()
            for _ in range(4):
                began = time.monotonic()
                client = await connecting.connect(Client)
                assert time.monotonic() - began < 1
                assert client.peer[0] == "127.0.0.2"
                client.transport.abort()
            await until(lambda: sockets() <= before, "no socket is left")

    run(main())


def test_of_two_that_win_at_once_one_is_closed():
    async def main():
        records = {NAME: {"A": ["127.0.0.1", "127.0.0.2"]}}
        with Listener() as one, Listener("127.0.0.2", one.port), resolver_for(records) as resolver:
            connecting = connector(resolver, f"http://{NAME}:{one.port}", stagger=0)
            await resolver.addresses(NAME)
            before = sockets()
            for _ in range(30):
                (await connecting.connect(Client)).transport.abort()
            await until(lambda: sockets() <= before, "no socket is left")

    run(main())


def test_one_who_stops_waiting_leaves_no_socket():
    async def main():
        records = {NAME: {"A": ["127.0.0.1", "127.0.0.2"]}}
        with deaf("127.0.0.1") as port, deaf("127.0.0.2", port), resolver_for(records) as resolver:
            await resolver.addresses(NAME)
            before = sockets()
            task = asyncio.ensure_future(connector(resolver, f"http://{NAME}:{port}").connect(Client))
            await until(lambda: sockets() == before + 2, "both addresses are tried")
            task.cancel()
            await until(lambda: task.done() and sockets() == before, "no socket is left")
            assert task.cancelled()

    run(main())


def test_all_addresses_of_a_name_get_connections():
    async def main():
        addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(Listener(addresses[0]))
            others = [stack.enter_context(Listener(address, first.port)) for address in addresses[1:]]
            resolver = stack.enter_context(resolver_for({NAME: {"A": addresses}}))
            connecting = connector(resolver, f"http://{NAME}:{first.port}")
            clients = [await connecting.connect(Client) for _ in range(9)]
            await until(lambda: [listener.accepted for listener in (first, *others)] == [3, 3, 3])
            for client in clients:
                client.transport.abort()

    run(main())


def test_case_37_new_connections_follow_a_name_that_moves_and_outlive_its_name_server():
    async def main():
        with (
            Listener() as old,
            Listener("127.0.0.2", old.port),
            NameServer({NAME: {"A": ["127.0.0.1"]}}, ttl=1) as server,
        ):
            resolver = Resolver(asyncio.get_running_loop(), servers=[server.address])
            connecting = connector(resolver, f"http://{NAME}:{old.port}")

            async def peer():
                client = await connecting.connect(Client)
                client.transport.abort()
                return client.peer[0]

            assert await peer() == "127.0.0.1"
            server.records[NAME] = {"A": ["127.0.0.2"]}
            moved = time.monotonic()
            while await peer() != "127.0.0.2":
                assert time.monotonic() - moved < 1 + 5
                await asyncio.sleep(0.02)
            server.fall_silent()
            silent = time.monotonic()
            while time.monotonic() - silent < 1.5:
                assert await peer() == "127.0.0.2"
                await asyncio.sleep(0.02)
            resolver.close()

    run(main())


def test_tls_verifies_the_endpoints_name_and_sends_it(identity):
    async def main():
        with Listener(context=serving(identity)) as listener, resolver_for() as resolver:
            url = f"https://localhost:{listener.port}"
            client = await connector(resolver, url, ssl_context=trusting(identity)).connect(Client)
            await until(lambda: client.data == b"hello")
            assert listener.names == ["localhost"]
            client.transport.abort()

    run(main())


def test_tls_with_a_name_or_issuer_that_is_not_accepted_is_refused(identity):
    async def main():
        with (
            Listener(context=serving(identity)) as listener,
            resolver_for({NAME: {"A": ["127.0.0.1"]}}) as resolver,
        ):
            wrong_name = connector(resolver, f"https://{NAME}:{listener.port}", ssl_context=trusting(identity))
            assert "certificate not accepted: hostname mismatch" in (await failure_of(wrong_name, TlsError)).lower()
            untrusted = connector(
                resolver, f"https://localhost:{listener.port}", ssl_context=ssl.create_default_context()
            )
            assert "certificate not accepted: self-signed" in (await failure_of(untrusted, TlsError)).lower()

    run(main())


def test_tls_to_what_speaks_none(identity):
    async def main():
        with Listener() as listener, resolver_for() as resolver:
            plain = connector(resolver, f"https://127.0.0.1:{listener.port}", ssl_context=trusting(identity))
            assert await failure_of(plain, TlsError) == "`127.0.0.1`: wrong version number"

    run(main())


def test_tls_with_a_peer_that_hangs_up(identity):
    def hang_up(listener):
        for _ in range(2):
            listener.accept()[0].close()

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener, resolver_for() as resolver:
            thread = threading.Thread(target=hang_up, args=[listener])
            thread.start()
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            message = await failure_of(connector(resolver, url, ssl_context=trusting(identity)), TlsError)
            assert message == "`127.0.0.1`: connection lost in the TLS handshake"
            socket.create_connection(listener.getsockname()).close()
            thread.join()

    run(main())


def test_each_step_ends_within_the_time_limit(identity):
    async def main():
        with deaf() as port, socket.create_server(("127.0.0.1", 0)) as mute, resolver_for() as resolver:
            began = time.monotonic()
            connecting = connector(resolver, f"http://127.0.0.1:{port}", timeout=0.1)
            assert await failure_of(connecting, ConnectTimeoutError) == "no connection within 0.1 s"
            url = f"https://127.0.0.1:{mute.getsockname()[1]}"
            connecting = connector(resolver, url, timeout=0.1, ssl_context=trusting(identity))
            assert await failure_of(connecting, ConnectTimeoutError) == "no TLS handshake within 0.1 s"
            assert time.monotonic() - began < 2
        with NameServer({}) as server:
            server.fall_silent()
            resolver = Resolver(asyncio.get_running_loop(), servers=[server.address])
            connecting = connector(resolver, f"http://{NAME}", timeout=0.1)
            with pytest.raises(ConnectTimeoutError, match=r"no address within 0\.1 s"):
                await connecting.connect(Client)
            resolver.close()

    run(main())


def test_what_is_refused_or_unknown_says_so():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        records = {NAME: {"A": ["127.0.0.1", "127.0.0.2"]}}
        with resolver_for(records) as resolver:
            refused = connector(resolver, f"http://127.0.0.1:{port}")
            assert await failure_of(refused, RefusedError) == f"127.0.0.1:{port}: connection refused"
            both = await failure_of(connector(resolver, f"http://{NAME}:{port}"), RefusedError)
            assert both == f"127.0.0.1:{port}: connection refused; 127.0.0.2:{port}: connection refused"
            unknown = connector(resolver, f"http://unknown.test:{port}")
            assert await failure_of(unknown, UnresolvedError) == "`unknown.test`: no such name, or no address"
            nowhere = connector(resolver, f"http://[fe80::1%nowhere]:{port}")
            assert f"[fe80::1%nowhere]:{port}: name or" in await failure_of(nowhere, ConnectError)

    run(main())


def test_a_factory_that_fails_leaves_no_socket():
    async def main():
        with Listener() as listener, resolver_for() as resolver:
            before = sockets()
            with pytest.raises(ZeroDivisionError):
                await connector(resolver, f"http://127.0.0.1:{listener.port}").connect(lambda: 1 / 0)
            await until(lambda: len(listener.open) == 1)
            await until(lambda: sockets() <= before, "no socket is left")

    run(main())
