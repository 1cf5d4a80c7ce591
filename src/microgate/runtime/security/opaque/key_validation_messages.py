"""The messages of 3.x's key-validation service: the SOAP 1.1 question, and its answer read without any trust (WSO2 §6.3).

A document type ends the reading, so there are neither entities to expand nor addresses to follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

from microgate.runtime.exchange import Consumer

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation

MAX_ANSWER_BYTES = 65_536
MAX_DEPTH = 32
FIELDS = (("Content-Type", "text/xml; charset=UTF-8"), ("SOAPAction", '"urn:validateKey"'), ("Accept", "text/xml"))

_LONG_AGO_SECONDS = 1 << 53


class ResultError(Exception):
    """The answer is none; the message says why, to follow "its answer "."""


class Resource(NamedTuple):
    """What the service is asked about beside the token."""

    context: str
    version: str
    template: str
    method: str
    tenant: str


def resource_of(api: Api, operation: Operation) -> Resource:
    """The context has the version behind it, unless the base path holds it already."""
    base = "" if api.base_path == "/" else api.base_path
    context = base if api.version in base else f"{base}/{api.version}"
    parts = base.split("/")
    tenant = parts[2] if len(parts) > 2 and parts[1] == "t" else "carbon.super"
    return Resource(context, api.version, operation.path, operation.method, tenant)


def question(resource: Resource, token: str) -> bytes:
    members = {
        "context": resource.context,
        "version": resource.version,
        "accessToken": token,
        "requiredAuthenticationLevel": "Any",
        "clientDomain": "*",
        "matchingResource": resource.template,
        "httpVerb": resource.method,
        "tenantDomain": resource.tenant,
        "keyManagers": "all",
    }
    inner = "".join(f"<xsd:{name}>{escape(value)}</xsd:{name}>" for name, value in members.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsd="http://org.apache.axis2/xsd"><soapenv:Header/><soapenv:Body>'
        f"<xsd:validateKey>{inner}</xsd:validateKey></soapenv:Body></soapenv:Envelope>"
    ).encode()


def read(document: bytes) -> dict[str, str]:
    """The members of `return`, lists joined by blanks; raises ResultError for anything but a plain answer."""
    if len(document) > MAX_ANSWER_BYTES:
        raise ResultError(f"is larger than {MAX_ANSWER_BYTES} bytes")
    reading = _Reading()
    try:
        reading.parser.Parse(document, True)
    except (expat.ExpatError, UnicodeError, LookupError):
        raise ResultError("is no XML") from None
    if reading.returns != 1 or reading.members.get("authorized") not in ("true", "false"):
        raise ResultError("has no one `return` that says whether the token is `authorized`")
    return reading.members


class _Reading:
    """The parser's callbacks: the texts of the elements right below `return`."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.members: dict[str, str] = {}
        self.returns = 0
        self._path: list[str] = []
        self._content: list[str] = []

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2])
        if len(self._path) > MAX_DEPTH:
            raise ResultError("is nested too deeply")
        self.returns += self._path[-1] == "return"
        self._content = []

    def _text(self, text: str) -> None:
        self._content.append(text)

    def _end(self, _name: str) -> None:
        member = self._path.pop()
        if self._path and self._path[-1] == "return":
            text = "".join(self._content).strip()
            earlier = self.members.get(member)
            if earlier is not None and not member.startswith("scopes"):
                raise ResultError(f"has `{member}` twice")
            self.members[member] = f"{earlier} {text}" if earlier else text
        self._content = []

    @staticmethod
    def _doctype(*_: object) -> None:
        raise ResultError("has a document type")


def consumer_of(result: dict[str, str], now: float) -> Consumer:
    """Who calls. Times are milliseconds; a validity period that is no positive number does not end."""
    consumer = Consumer(
        result.get("endUserName", "") or result.get("subscriber", ""),
        "oauth2",
        key_type=result.get("type", "") or "PRODUCTION",
        scopes=frozenset(result.get("scopes", "").split()),
    )
    consumer.application = result.get("applicationName", "") or result.get("consumerKey", "")
    consumer.consumer_key = result.get("consumerKey", "")
    consumer.claims = {name: value for name, value in result.items() if value}
    issued, validity = _number(result.get("issuedTime", "")), _number(result.get("validityPeriod", ""))
    if 0 < validity < _LONG_AGO_SECONDS:
        consumer.until = ((issued if issued > 0 else now * 1000) + validity) / 1000
    return consumer


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else 0
