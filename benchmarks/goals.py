"""The figures to reach, as data, and the ratios that results give: medians of per-round ratios with their spread."""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

Row = dict[str, Any]


class Side(NamedTuple):
    """Which results one side of a ratio takes."""

    gateway: str
    scenario: str
    cpus: str = "one"


class Goal(NamedTuple):
    """`figure` of `ours` divided by that of `peer` is to be at most `bound`."""

    name: str
    ours: Side
    peer: Side
    bound: float
    figure: str = "us"


_JWT = Side("microgate-jwt", "jwt")
GOALS = (
    Goal("one token, against Envoy with its token cache", _JWT, Side("envoy-jwt-cache", "jwt"), 0.50),
    Goal(
        "one token and one limit, against Envoy with its token cache and one limit",
        Side("microgate-jwt-limit", "jwtrl"),
        Side("envoy-jwt-cache-limit", "jwtrl"),
        0.50,
    ),
    Goal("one token, against nginx with a check in Lua", _JWT, Side("nginx-lua-jwt", "jwt"), 1.60),
    Goal("plain GET of 1 KiB, against Envoy", Side("microgate", "get1k"), Side("envoy", "get1k"), 0.45),
    Goal("1,000 tokens, against one token", Side("microgate-jwt", "jwt1000"), _JWT, 1.10),
    Goal(
        "every token new, against Envoy without its token cache",
        Side("microgate-jwt", "jwtfresh"),
        Side("envoy-jwt", "jwtfresh"),
        0.70,
    ),
    Goal("TLS, against plain", Side("microgate-jwt", "tlsjwt"), _JWT, 1.25),
    Goal("two workers, against one", Side("microgate-jwt", "jwt", "both"), _JWT, 1.10),
    Goal(
        "p99 at 2,000 requests/s, against Envoy",
        Side("microgate-jwt", "jwtpaced"),
        Side("envoy-jwt-cache", "jwtpaced"),
        1.00,
        "p99",
    ),
)


class Ratio(NamedTuple):
    """A goal's outcome: median and extremes over `rounds` rounds."""

    goal: Goal
    middle: float
    low: float
    high: float
    rounds: int

    @property
    def met(self) -> bool:
        return self.middle <= self.goal.bound


def figures(rows: list[Row], side: Side, figure: str) -> dict[int, float]:
    """Round number to figure."""
    return {
        row["rep"]: row[figure]
        for row in rows
        if (row["gateway"], row["scenario"], row["cpus"]) == tuple(side) and row.get(figure)
    }


def outcome(goal: Goal, rows: list[Row]) -> Ratio | None:
    """The ratio over the rounds that both sides took part in; None where there is none."""
    ours, peers = figures(rows, goal.ours, goal.figure), figures(rows, goal.peer, goal.figure)
    ratios = [ours[number] / peers[number] for number in sorted(ours.keys() & peers.keys())]
    if not ratios:
        return None
    return Ratio(goal, median(ratios), min(ratios), max(ratios), len(ratios))


def table(header: list[str], lines: list[list[str]]) -> str:
    marks = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, marks, *lines])


def goal_table(rows: list[Row]) -> str:
    """The goals that these results speak of."""
    lines = []
    for goal in GOALS:
        ratio = outcome(goal, rows)
        if ratio is not None:
            spread = f"{ratio.low:.2f}-{ratio.high:.2f}"
            verdict = "yes" if ratio.met else "NO"
            lines.append([goal.name, f"{ratio.middle:.2f}", spread, f"{goal.bound:.2f}", verdict, str(ratio.rounds)])
    return table(["goal", "median ratio", "spread", "at most", "met", "rounds"], lines)


def cost_table(rows: list[Row]) -> str:
    """What each gateway cost in each scenario."""
    keys = sorted({(row["scenario"], row["cpus"], row["gateway"]) for row in rows})
    lines = []
    for scenario, cpus, gateway in keys:
        mine = [row for row in rows if (row["scenario"], row["cpus"], row["gateway"]) == (scenario, cpus, gateway)]

        def middle(figure: str, mine: list[Row] = mine) -> str:
            values = [row[figure] for row in mine if row.get(figure) is not None]
            return f"{median(values):,.1f}" if values else "-"

        costs = [row["us"] for row in mine]
        lines.append(
            [
                f"{scenario}, {'2 workers' if cpus == 'both' else '1 worker'}",
                gateway,
                middle("us"),
                f"{min(costs):.1f}-{max(costs):.1f}",
                *(middle(figure) for figure in ("rps", "p50", "p99", "pss_mb", "ready_ms")),
                str(sum(row["errors"] for row in mine)),
            ]
        )
    header = ["scenario", "gateway", "CPU us/req", "range", "req/s", "p50 ms", "p99 ms", "PSS MB", "ready ms", "errors"]
    return table(header, lines)
