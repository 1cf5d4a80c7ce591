"""Sizes of projects (case 53): how long the compiler takes, how much memory, and whether time grows in line with size.

`python benchmarks/compile.py` prints a table; each row is a process of its own, so that memory is that of the row alone.
The processor's own speed stands in the first row: libyaml's events of the 10 MB document, without microgate.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from microgate.diagnostics import Report
from microgate.plan.model import encode
from microgate.toolkit.compiler import compile_project

LARGEST_SECONDS = 5.0
LARGEST_MB = 300
LINEAR_WITHIN = 1.6  # time per byte of the largest to that of a tenth of it


def describe(title: str, paths: int, size_bytes: int = 0) -> str:
    """A description with so many paths, filled up with schemas to about so many bytes."""
    lines = ["openapi: 3.0.3", f"info: {{title: {title}, version: '1'}}", f"x-wso2-basePath: /{title}"]
    lines += ["servers: [{url: 'https://backend.example/v1'}]", "paths:"]
    for number in range(paths):
        lines += [
            f"  /things{number}/{{id}}:",
            "    get:",
            f"      operationId: getThing{number}",
            "      summary: Returns one thing, with all that belongs to it",
            "      parameters:",
            "        - {name: id, in: path, required: true, schema: {type: string, maxLength: 40}}",
            "      responses:",
            "        '200':",
            "          description: the thing",
            "          content: {application/json: {schema: {$ref: '#/components/schemas/Thing0'}}}",
        ]
    lines += ["components:", "  schemas:"]
    written = sum(map(len, lines)) + len(lines)
    number = 0
    while number == 0 or written < size_bytes:
        schema = [
            f"    Thing{number}:",
            "      type: object",
            "      description: One of the many things that this API returns, described at some length for its readers",
            "      required: [name, size]",
            "      properties:",
            "        name: {type: string, minLength: 1, example: a name}",
            "        size: {type: integer, minimum: 0}",
            f"        next: {{$ref: '#/components/schemas/Thing{number}'}}",
        ]
        lines += schema
        written += sum(map(len, schema)) + len(schema)
        number += 1
    return "\n".join(lines) + "\n"


PROJECTS: dict[str, list[tuple[str, int, int]]] = {
    "1 description, 20 paths": [("a", 20, 0)],
    "30 descriptions": [(f"a{number}", 20, 0) for number in range(30)],
    "300 descriptions": [(f"a{number}", 20, 0) for number in range(300)],
    "1 description, 100 paths": [("a", 100, 0)],
    "1 description, 1,000 paths": [("a", 1_000, 0)],
    "1 description, 1 MB": [("a", 100, 1_000_000)],
    "1 description, 10 MB": [("a", 1_000, 10_000_000)],
    "300, one with 1,000 paths, one of 10 MB": [
        *((f"a{number}", 20, 0) for number in range(298)),
        ("many", 1_000, 0),
        ("large", 1_000, 10_000_000),
    ],
}
PAIRS = (
    ("30 descriptions", "300 descriptions"),
    ("1 description, 100 paths", "1 description, 1,000 paths"),
    ("1 description, 1 MB", "1 description, 10 MB"),
)


def measure(name: str) -> dict[str, float]:
    """Compile one of the projects in this process."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "project"
        (folder / "api_definitions").mkdir(parents=True)
        size = 0
        for title, paths, size_bytes in PROJECTS[name]:
            text = describe(title, paths, size_bytes)
            size += len(text)
            (folder / "api_definitions" / f"{title}.yaml").write_text(text, encoding="utf-8")
        report = Report()
        started, processor = time.perf_counter(), time.process_time()
        plan = compile_project(folder, report)
        elapsed, processor = time.perf_counter() - started, time.process_time() - processor
        assert plan is not None, report.diagnostics
        return {
            "bytes": size,
            "seconds": elapsed,
            "processor": processor,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "plan_bytes": len(encode(plan)),
            "operations": sum(len(api.operations) for api in plan.apis),
        }


def libyaml_alone() -> float:
    """Seconds that libyaml needs for the events of the 10 MB document."""
    text = describe(*PROJECTS["1 description, 10 MB"][0])
    started = time.process_time()
    parser = yaml.CLoader(text)
    while parser.get_event() is not None:
        pass
    return time.process_time() - started


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--row", help=argparse.SUPPRESS)
    row = options.parse_args().row
    if row:
        print(json.dumps(measure(row)))
        return 0
    print(f"libyaml's events of the 10 MB document alone: {libyaml_alone():.2f} s\n")
    print("| project | MB | operations | seconds | CPU seconds | peak MB | plan KB |\n|---|---|---|---|---|---|---|")
    found = {}
    for name in PROJECTS:
        done = subprocess.run([sys.executable, __file__, "--row", name], capture_output=True, text=True, check=True)
        found[name] = figures = json.loads(done.stdout)
        print(
            f"| {name} | {figures['bytes'] / 1e6:.1f} | {figures['operations']:,} | {figures['seconds']:.2f} "
            f"| {figures['processor']:.2f} | {figures['peak_mb']:.0f} | {figures['plan_bytes'] / 1000:,.0f} |"
        )
    return verdict(found)


def verdict(found: dict[str, dict[str, float]]) -> int:
    """Whether the goals are met; linearity is CPU time per byte against that of a tenth of the size."""
    met = True
    for small, large in PAIRS:
        per_byte = [found[name]["processor"] / found[name]["bytes"] for name in (small, large)]
        ratio = per_byte[1] / per_byte[0]
        met &= ratio <= LINEAR_WITHIN
        print(f"{large} against {small}: {ratio:.2f} times the CPU per byte (at most {LINEAR_WITHIN})")
    largest = found["1 description, 10 MB"]
    met &= largest["processor"] <= LARGEST_SECONDS and largest["peak_mb"] <= LARGEST_MB
    print(
        f"largest: {largest['processor']:.2f} CPU seconds (at most {LARGEST_SECONDS}), "
        f"{largest['peak_mb']:.0f} MB (at most {LARGEST_MB}): {'met' if met else 'NOT met'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
