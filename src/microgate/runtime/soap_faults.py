"""Faults as callers of SOAP services read them: 1.1 for requests with a SOAPAction field, 1.2 for `application/soap+xml`.

The status stays what it is in the other forms, because Retry-After, caches and alerts depend on it (docs/decisions/0013).
faults.py has the table; exchange.py asks which form a request wants.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange


class Version(NamedTuple):
    """One version of SOAP. `envelope` takes whose fault it is, the message and our facts."""

    content_type: bytes
    envelope: str
    callers: str  # what a fault of the caller is called
    ours: str

    def body(self, status: int, code: int, message: str, description: str) -> bytes:
        """The envelope with the fault."""
        who = self.callers if status < 500 else self.ours
        reason = _text(message)
        facts = _FACTS % (code, reason, _text(description))
        return (self.envelope % (who, reason, facts)).encode()


_FACTS = '<fault xmlns="urn:microgate:fault"><code>%d</code><message>%s</message><description>%s</description></fault>'

SOAP_1_1 = Version(
    b"text/xml; charset=utf-8",
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault>'
    "<faultcode>soap:%s</faultcode><faultstring>%s</faultstring><detail>%s</detail>"
    "</soap:Fault></soap:Body></soap:Envelope>",
    "Client",
    "Server",
)
SOAP_1_2 = Version(
    b"application/soap+xml; charset=utf-8",
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><soap:Fault>'
    '<soap:Code><soap:Value>soap:%s</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="en">%s</soap:Text></soap:Reason>'
    "<soap:Detail>%s</soap:Detail></soap:Fault></soap:Body></soap:Envelope>",
    "Sender",
    "Receiver",
)


# Characters that no XML document may hold, however they are written (XML 1.0 §2.2).
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def version_of(exchange: Exchange) -> Version | None:
    """The version of SOAP that a request speaks. Both send messages by POST, so no other method is looked at twice."""
    if exchange.method != "POST":
        return None
    types = exchange.values(b"content-type")
    if len(types) != 1:
        return None
    media_type = types[0].partition(b";")[0].rstrip(b" \t").lower()
    if media_type == b"application/soap+xml":
        return SOAP_1_2
    if media_type == b"text/xml" and exchange.values(b"soapaction"):
        return SOAP_1_1
    return None


def _text(value: str) -> str:
    # What the standard library has for this takes its HTTP client along into every process.
    plain = _FORBIDDEN.sub("?", value)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
