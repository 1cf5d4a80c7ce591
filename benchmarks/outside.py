"""Drives the outside harness where there is one: five interleaved rounds of microgate and its peers on the same backend.

It is found by `MICROGATE_BENCH_HARNESS`, or beside the checkout as `shared/bench`; it is run as a program, never imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import fresh_tokens

if TYPE_CHECKING:
    from goals import Row

HERE = Path(__file__).resolve().parent
ENVIRONMENT = "MICROGATE_BENCH_HARNESS"

# Scenarios, gateways and CPUs of one call; within a call the rounds of all gateways are interleaved.
CALLS = (
    ("jwt,jwt1000,tlsjwt", "microgate-jwt,nginx-lua-jwt,haproxy-jwt,envoy-jwt-cache,floor-jwt", "one"),
    ("jwtrl", "microgate-jwt-limit,nginx-lua-jwt-limit,haproxy-jwt-limit,envoy-jwt-cache-limit", "one"),
    ("get1k,post1k", "microgate,nginx,haproxy,envoy", "one"),
    ("jwtpaced", "microgate-jwt,nginx-lua-jwt,haproxy-jwt,envoy-jwt-cache", "one"),
    ("jwt", "microgate-jwt,envoy-jwt-cache", "both"),
)
# Measured as the harness's 1,000 tokens, with a list of tokens that is too long for any cache.
FRESH = ("jwtfresh", "microgate-jwt,nginx-lua-jwt,haproxy-jwt,envoy-jwt", "one")


def find() -> Path | None:
    """The harness's folder, None where there is none."""
    named = os.environ.get(ENVIRONMENT)
    folder = Path(named) if named else HERE.parents[1] / "shared" / "bench"
    return folder if (folder / "bench.py").is_file() else None


def available(folder: Path) -> set[str]:
    """The gateways that the harness can start here."""
    listed = subprocess.run(
        [sys.executable, str(folder / "bench.py"), "list", "--plugins", str(HERE / "gateways")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {line.split()[0] for line in listed.splitlines() if line and not line[0].isspace()}


def measure(folder: Path, results: Path, *, rounds: int, seconds: int, connections: int) -> list[Row]:
    """Run all calls and give the rows; results of earlier calls are kept in `results`."""
    known = available(folder)
    rows: list[Row] = []
    for number, (scenarios, gateways, cpus) in enumerate((*CALLS, FRESH)):
        names = [name for name in gateways.split(",") if name in known]
        out = results / f"call{number}.jsonl"
        out.unlink(missing_ok=True)
        print(f"measuring {scenarios} ({cpus}): {', '.join(names)}", flush=True)
        is_fresh = scenarios == FRESH[0]
        environment = {"BENCH_SCRATCH": str(fresh_tokens.make(results))} if is_fresh else {}
        subprocess.run(
            [
                *[sys.executable, str(folder / "bench.py"), "run", "--plugins", str(HERE / "gateways")],
                *["-s", "jwt1000" if is_fresh else scenarios, "-g", ",".join(names)],
                *["-c", str(connections), "--reps", str(rounds), "--seconds", str(seconds)],
                *["--cpus", cpus, "--out", str(out)],
            ],
            check=True,
            env=os.environ | environment,
        )
        told = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        rows += [row | {"scenario": scenarios} if is_fresh else row for row in told]
    return rows
