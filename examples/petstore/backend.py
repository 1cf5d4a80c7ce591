"""The backend of the example: a real HTTP server that keeps pets in memory. It knows nothing of gateways or tokens."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY_BYTES = 65_536


class PetStore(ThreadingHTTPServer):
    """Listens on a loopback port; 0 lets the system choose."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lock = threading.Lock()
        self.ids = itertools.count(3)
        self.pets: dict[int, dict[str, Any]] = {
            1: {"id": 1, "name": "Rex", "tag": "dog"},
            2: {"id": 2, "name": "Tom", "tag": "cat"},
        }

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: PetStore
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.lock:
            if self.path == "/pets":
                self._answer(200, list(self.server.pets.values()))
            elif (pet := self._pet()) is None:
                self._answer(404, {"error": "there is no such pet"})
            else:
                self._answer(200, pet)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        try:
            asked = json.loads(self.rfile.read(min(length, MAX_BODY_BYTES)))
            name = str(asked["name"])
        except (ValueError, KeyError, TypeError):
            self._answer(400, {"error": "a pet needs a name"})
            return
        with self.server.lock:
            pet = {"id": next(self.server.ids), "name": name, "tag": str(asked.get("tag", ""))}
            self.server.pets[pet["id"]] = pet
        self._answer(201, pet)

    def do_DELETE(self) -> None:
        with self.server.lock:
            pet = self._pet()
            if pet is None:
                self._answer(404, {"error": "there is no such pet"})
                return
            del self.server.pets[pet["id"]]
        self.send_response(204)
        self.end_headers()

    def _pet(self) -> dict[str, Any] | None:
        number = self.path.removeprefix("/pets/")
        return self.server.pets.get(int(number)) if number.isascii() and number.isdigit() else None

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Silent: the gateway's access log is what the example shows."""


if __name__ == "__main__":
    with PetStore(int(sys.argv[1]) if len(sys.argv) > 1 else 8080) as store:
        sys.stderr.write(f"the pet store listens on http://127.0.0.1:{store.port}\n")
        try:
            store.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)
