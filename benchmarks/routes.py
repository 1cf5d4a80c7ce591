"""What finding a route costs with 10, 1,000 and 10,000 of them: nanoseconds per lookup, best of several runs.

Run with `python benchmarks/routes.py`. The columns must not grow from one row to the next; exits 1 if one more than doubles.
"""

from __future__ import annotations

import functools
import sys
import timeit
from typing import TYPE_CHECKING

from microgate.plan.paths import RouteKey, find_conflicts, parse_template
from microgate.runtime.router import Route, Router

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 1_000, 10_000)
LOOKUPS = 2_000
RUNS = 40
MOST_GROWTH = 2.0


def routes(size: int) -> list[Route[int]]:
    """Half of them literal, half with two parameters, as many resources as that makes, below one base path."""
    made = []
    for number in range(size // 2):
        for path in (f"/things{number}/all", f"/things{number}/{{id}}/parts/{{part}}"):
            made.append(Route((), "/v1", parse_template(path), "GET", payload=len(made)))
    return made


def cases(size: int) -> dict[str, bytes]:
    last = size // 2 - 1
    return {
        "literal": b"/v1/things%d/all" % last,
        "parameters": b"/v1/things%d/17/parts/9" % last,
        "encoded value": b"/v1/things%d/a%%20b/parts/9" % last,
        "not found": b"/v1/things%d/17/nothing" % last,
    }


def lookups(routers: dict[int, Router[int]]) -> dict[int, list[float]]:
    """Nanoseconds of each case by size. The sizes take turns, so that a noisy neighbour troubles all of them."""
    best: dict[int, list[float]] = {size: [float("inf")] * len(cases(size)) for size in routers}
    for _ in range(RUNS):
        for size, router in routers.items():
            for column, path in enumerate(cases(size).values()):
                took = timeit.timeit(lambda router=router, path=path: router.find(b"host", path, "GET"), number=LOOKUPS)
                best[size][column] = min(best[size][column], took / LOOKUPS * 1e9)
    return best


def best_ms(function: Callable[[], object]) -> float:
    return min(timeit.repeat(function, number=1, repeat=3)) * 1e3


def main() -> int:
    made = {size: routes(size) for size in SIZES}
    found = lookups({size: Router(some) for size, some in made.items()})
    print("| routes | " + " | ".join(f"{name}, ns" for name in cases(2)) + " | build, ms | clash check, ms |")
    print("|---:" * (len(cases(2)) + 3) + "|")
    for size, some in made.items():
        keys = [RouteKey(route.hosts, route.base_path, route.template, route.method) for route in some]
        build, check = best_ms(functools.partial(Router, some)), best_ms(functools.partial(find_conflicts, keys))
        print(f"| {size:,} | " + " | ".join(f"{figure:,.0f}" for figure in (*found[size], build, check)) + " |")
    growth = max(last / first for first, last in zip(found[SIZES[0]], found[SIZES[-1]], strict=True))
    print(f"\nfrom {SIZES[0]:,} to {SIZES[-1]:,} routes: {growth:.2f} times at most")
    return growth > MOST_GROWTH


if __name__ == "__main__":
    sys.exit(main())
