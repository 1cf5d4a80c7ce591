"""What a token check costs in process, in microseconds: remembered, seen for the first time, and refused.

Run with `python benchmarks/tokens.py`; best of several rounds, without sockets. The stages are those that serve.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from harness.minting import ISSUER, Clock, Gate, Signer, good_claims, key_set, settings_of
from microgate.runtime.security.context import SecurityContext
from microgate.settings.model import JwtIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROUNDS = 15
TOKENS = 300
NAMES = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")


def best(action: Callable[[], None], count: int) -> float:
    """The least microseconds of CPU of one of `count` steps that `action` takes, over all rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        action()
        found.append((time.process_time() - started) / count * 1e6)
    return min(found)


def passing(gate: Gate, values: Iterable[bytes]) -> Callable[[], None]:
    """Each value as a new object, as it comes off a connection, through both stages."""
    authenticate, authorise = gate.stages
    exchange = gate.exchange()
    views = [memoryview(value) for value in values]

    def run() -> None:
        for view in views:
            exchange.authorization = bytes(view)
            if authenticate(exchange) is None:
                authorise(exchange)

    return run


def copying(values: list[bytes]) -> Callable[[], None]:
    """What the measurement itself adds."""
    views = [memoryview(value) for value in values]

    def run() -> None:
        for view in views:
            bytes(view)

    return run


def main() -> None:
    signers = {name: Signer(name, name) for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        file.write_bytes(key_set(*(signer.jwk() for signer in signers.values())))
        context = SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, jwks_file=str(file))), None, clock=Clock())
    gate = Gate(context, scopes=("read", "write"))
    print(f"{'':44}{'us':>8}")
    for name, signer in signers.items():
        values = [b"Bearer " + signer.token(good_claims(sub=f"user-{at}", jti=f"{at:032}")) for at in range(TOKENS)]
        first = passing(gate, values)

        def afresh(first: Callable[[], None] = first) -> None:
            context.verdicts.clear()
            first()

        base = best(copying(values), TOKENS)
        if name == "RS256":
            one = passing(gate, values[:1] * 20_000)
            one()
            print(f"{'one token, remembered':44}{best(one, 20_000) - base:8.2f}")
            first()
            print(f"{f'{TOKENS} tokens, remembered':44}{best(first, TOKENS) - base:8.2f}")
            forged = passing(gate, [value[:-90] + value[-60:-30] + value[-90:-60] + value[-30:] for value in values])
            print(f"{'RS256, forged':44}{best(forged, TOKENS) - base:8.2f}")
        print(f"{f'{name}, first seen ({len(values[0])} bytes)':44}{best(afresh, TOKENS) - base:8.2f}")


if __name__ == "__main__":
    main()
