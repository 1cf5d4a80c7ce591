"""RabbitMQ for tests: a broker of one node, with a name server of Erlang's of its own, so that none stays behind."""

from __future__ import annotations

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
        environment = {
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

    def kill(self) -> None:
        self._node.kill()

    def start(self) -> None:
        self._node.start()


def _beside(program: str) -> str:
    """Debian's command changes the user first; the one that it then calls does not."""
    return program.replace("/usr/sbin/", "/usr/lib/rabbitmq/bin/")
