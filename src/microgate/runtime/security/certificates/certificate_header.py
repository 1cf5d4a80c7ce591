"""The certificate that a proxy passes on in a header: URL-encoded PEM (WSO2 §6.6), or a byte sequence of RFC 9440.

What comes out is read, no more: client_certificates.py proves it, and only asks for headers of trusted proxies.
"""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

from cryptography import x509

from microgate.runtime.security.refusals import Reason, TokenError

MALFORMED = Reason("auth.mutual_tls.malformed")
MAX_CERTIFICATES = 8

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_BYTE_SEQUENCE = re.compile(rb":([A-Za-z0-9+/=]*):")


def read_header(value: bytes, chain: bytes) -> list[x509.Certificate]:
    """The client's certificate and those that lead from it to an authority; `chain` is a list of RFC 9440.

    Raises TokenError.
    """
    try:
        encoded = [_one_sequence(value)] if value.startswith(b":") else _from_pem(value)
        encoded += _sequences(chain)
        encoded = encoded[:MAX_CERTIFICATES]
        return [x509.load_der_x509_certificate(binascii.a2b_base64(one, strict_mode=True)) for one in encoded]
    except (ValueError, x509.InvalidVersion):
        raise TokenError(MALFORMED) from None


def _from_pem(value: bytes) -> list[bytes]:
    """Proxies write the ends of lines in their own ways, and some leave the armour out."""
    if b"BEGIN+CERTIFICATE" in value:
        value = value.replace(b"+", b" ")  # a form's encoding, where "+" itself is %2B
    text = unquote_to_bytes(value) if b"%" in value else value
    if b"-----" not in text:
        return [b"".join(part.split()) for part in text.split(b",")]
    if _PEM.sub(b"", text).strip(b" \t\r\n,"):
        raise ValueError("something stands beside the certificates")
    return [b"".join(part.split()) for part in _PEM.findall(text)]


def _one_sequence(value: bytes) -> bytes:
    found = _BYTE_SEQUENCE.fullmatch(value)
    if found is None:
        raise ValueError("no byte sequence")
    return found[1]


def _sequences(chain: bytes) -> list[bytes]:
    return [_one_sequence(part.strip(b" \t")) for part in chain.split(b",")] if chain else []
