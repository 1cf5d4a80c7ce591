"""`make bench`: measures microgate against its peers in the same minutes and prints costs, ratios and whether goals are met.

The outside harness is used where there is one, else the small runner; accounts are held in both cases. `--write` puts the
tables into README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import goals
import outside
import small

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures: written by run.py -->", "<!-- end of figures -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument("--seconds", type=int, default=6, help="seconds of each measurement (6)")
    parser.add_argument("--small", action="store_true", help="use the small runner although there is a harness")
    parser.add_argument("--accounts", action="store_true", help="hold the accounts only")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    options = parser.parse_args()
    lacking = small.missing()
    if lacking:
        print(
            f"`make bench` needs {' and '.join(lacking)}; on Debian: apt-get install wrk nginx-light", file=sys.stderr
        )
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        yard = small.Yard(Path(scratch))
        wrong = small.accounts(yard, seconds=min(options.seconds, 4))
        shared = small.shares(yard)
        print(f"connections of two workers: {' and '.join(f'{share} %' for share in shared)}")
        if len(shared) != 2 or shared[0] < 40:
            wrong.append(f"two workers share the connections unevenly: {shared}")
        rows = [] if options.accounts else _rows(yard, options)
    if rows:
        text = f"{goals.goal_table(rows)}\n\n{goals.cost_table(rows)}\n"
        print("\n" + text)
        if options.write:
            _write(text)
        outcomes = [goals.outcome(goal, rows) for goal in goals.GOALS]
        wrong += [f"missed: {ratio.goal.name}" for ratio in outcomes if ratio is not None and not ratio.met]
    for line in wrong:
        print(f"!! {line}", file=sys.stderr)
    return 1 if wrong else 0


def _rows(yard: small.Yard, options: argparse.Namespace) -> list[goals.Row]:
    harness = None if options.small else outside.find()
    if harness is None:
        print("no outside harness: measuring with the small runner")
        return small.rounds(yard, count=options.rounds, seconds=options.seconds)
    results = yard.folder / "results"
    results.mkdir()
    return outside.measure(
        harness, results, rounds=options.rounds, seconds=options.seconds, connections=small.CONNECTIONS
    )


def _write(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
