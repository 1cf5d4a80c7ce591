"""A stand-in for curl on machines without one: the few options that our pages use, so that their lines still run there.

`install_curl` makes the command; the file is also the program.
"""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request
from pathlib import Path


def install_curl(command: Path) -> None:
    """Make `command` a program that takes curl's options."""
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    command.chmod(0o755)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", default="GET")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-o", default="")
    parser.add_argument("-w", default="")
    asked = parser.parse_args(arguments)
    fields = dict(field.split(": ", 1) for field in asked.H)
    try:
        answer = urllib.request.urlopen(urllib.request.Request(asked.url, headers=fields, method=asked.X), timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    head = f"HTTP/1.1 {answer.status} {answer.reason}\r\n{answer.headers}\r\n" if asked.i else ""
    output = head.encode() + answer.read()
    if asked.o:
        Path(asked.o).write_bytes(output)
    else:
        sys.stdout.buffer.write(output)
    sys.stdout.write(asked.w.replace("%{http_code}", str(answer.status)))


if __name__ == "__main__":
    main(sys.argv[1:])
