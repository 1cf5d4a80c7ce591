"""A gateway of two workers that follows a source of revocations, and what it answers to tokens on every worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.credentials import mint
from harness.descriptions import describe
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.process import GatewayProcess

API = describe({"/a": ["get"]}, secured=True)
WORKERS = "[runtimeConfig]\nworkers = 2\n"
CONNECTIONS = 8  # enough that every worker is nearly always among them


class Guarded:
    """`start` is the `gateway` fixture."""

    def __init__(self, start: Callable[..., GatewayProcess], revocation: str, *more: str) -> None:
        self.gateway = start(API, *more, settings=f"{WORKERS}[tokenRevocationConfig]\n{revocation}")

    def statuses(self, token: str, count: int = CONNECTIONS) -> set[int]:
        """Of as many connections."""
        found = set()
        for _ in range(count):
            with self.gateway.connect() as client:
                found.add(client.get("/a", ("Authorization", f"Bearer {token}")).status)
        return found

    def stands(self, token: str) -> bool:
        return self.statuses(token) == {200}

    def is_refused(self, token: str) -> bool:
        return self.statuses(token) == {401}

    def refuses_soon(self, token: str, *, seconds: float = 5.0) -> float:
        """Wait until all workers refuse it; the seconds that took."""
        begun = time.monotonic()
        wait_until(lambda: self.statuses(token, 4) == {401}, "it is refused", seconds=seconds)
        taken = time.monotonic() - begun
        wait_until(lambda: self.is_refused(token), "all workers refuse it")
        return taken

    def hears_of(self, revoke: Callable[[str], object], *, seconds: float = 15.0) -> None:
        """Wait until what `revoke` says of fresh tokens gets through: the source is followed again."""

        def heard() -> bool:
            token_id = f"probe-{time.monotonic_ns()}"
            revoke(token_id)
            token = mint(jti=token_id)
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                if self.statuses(token, 4) == {401}:
                    return True
            return False

        wait_until(heard, "the source is followed", seconds=seconds)


def measure_memory(
    start: Callable[..., GatewayProcess], folder: Path, description: str, count: int
) -> tuple[int, int, float]:
    """Kilobytes of a gateway of two workers with no revocation and with so many, and the seconds until all count."""
    file = folder / "revoked.txt"
    file.write_text("# none\n")
    settings = f'{WORKERS}[tokenRevocationConfig]\nfile = "{file}"\ncapacity = {max(count, 1_000)}\n'
    place = folder / "gateway"
    place.mkdir()
    with start(place, [description], settings=settings) as gateway:
        guarded = Guarded.__new__(Guarded)
        guarded.gateway = gateway
        assert guarded.stands(mint(jti="last"))
        before = gateway.memory_kb()
        with file.open("w") as opened:
            opened.writelines(f'{{"jti": "{number:032x}", "expires": 4000000000}}\n' for number in range(count - 1))
            opened.write("last\n")
        seconds = guarded.refuses_soon(mint(jti="last"), seconds=100)
        assert guarded.is_refused(mint(jti=f"{count // 2:032x}"))
        assert guarded.stands(mint(jti="other"))
        wait_until(lambda: f"microgate_revocations {count}\n" in gateway.metrics(), "the entries are shown")
        return before, gateway.memory_kb(), seconds
