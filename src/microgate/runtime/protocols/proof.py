"""The proof that bytes are one request by llhttp's grammar (httptools), by a parser that all connections of a worker share.

What it accepts was whole; what it does not accept, a connection's own parser looks at (`http1_input.py`).
"""

from __future__ import annotations

from itertools import count

import httptools


class Proof:
    """Proves that bytes are exactly one request of llhttp's grammar. The callbacks are C functions, so it costs little.

    A message begins once and is complete once, else the parser is in a state that must not meet another message.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        begun = count()
        self._open: list[bool] = []
        self.on_message_begin = begun.__next__
        self.on_message_complete = self._open.clear
        self._expected = 0
        self._parser = httptools.HttpRequestParser(self)

    def accepts(self, message: bytes) -> bool:
        self._open.append(True)
        try:
            self._parser.feed_data(message)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.renew()
            return False
        self._expected += 1
        if self._open or self.on_message_begin() != self._expected:
            self.renew()
            return False
        self._expected += 1
        return True
