"""RabbitMQ for tests: a broker of one node, with a name server of Erlang's of its own, so that none stays behind."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from harness.services import Program, free_port, require

if TYPE_CHECKING:
    from pathlib import Path


class Broker:
    """`with Broker(folder) as broker:`; `guest`/`guest` on `port`. What is durable outlives `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        names, distribution = free_port(), free_port()
        settings = folder / "rabbitmq.conf"
        settings.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console.level = warning\n")
        environment = self._environment = {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self._names = Program(folder / "names", [require("epmd"), "-port", str(names)], names, environment)
        program = _beside(require("rabbitmq-server"))
        self._node = Program(folder / "node", [program], self.port, environment)
        self._running = ExitStack()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        self._running.enter_context(self._names)
        self._running.enter_context(self._node)
        return self

    def __exit__(self, *_: object) -> None:
        # The node writes down what it has to on its own way out; nobody reads that.
        self._node.kill()
        self._running.close()

    def publish(self, body: bytes, *, topic: str, headers: dict[str, str] | None = None) -> None:
        import aiormq

        async def publish() -> None:
            connection = await aiormq.connect(self.url)
            channel = await connection.channel()
            properties = aiormq.spec.Basic.Properties(headers=headers, delivery_mode=2)
            await channel.basic_publish(body, exchange="amq.topic", routing_key=topic, properties=properties)
            await connection.close()

        asyncio.run(publish())

    def connections(self) -> int:
        """How many clients have a connection."""
        listed = self._control("list_connections", "-q", "pid")
        return len([line for line in listed.splitlines() if line.startswith("<")])

    def queues(self) -> list[str]:
        return self._control("list_queues", "-q", "--no-table-headers", "name").split()

    def delete_queue(self, name: str) -> None:
        self._control("delete_queue", name)

    def _control(self, *command: str) -> str:
        program = _beside(require("rabbitmqctl"))
        environment = os.environ | self._environment
        return subprocess.run([program, *command], env=environment, check=True, capture_output=True, text=True).stdout

    def kill(self) -> None:
        self._node.kill()

    def start(self) -> None:
        self._node.start()


def jms_map(**members: str | int) -> bytes:
    """A JMS MapMessage as the client of WSO2's broker writes it: texts, truths, and numbers as longs."""
    body = struct.pack(">i", len(members))
    for name, value in members.items():
        body += name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x01" + bytes([value])
        elif isinstance(value, int):
            body += b"\x07" + struct.pack(">q", value)
        else:
            body += b"\x0a" + value.encode() + b"\0"
    return body


def _beside(program: str) -> str:
    """Debian's command changes the user first; the one that it then calls does not."""
    return program.replace("/usr/sbin/", "/usr/lib/rabbitmq/bin/")
