"""A gateway that asks clients for certificates, the authority that it trusts, and calls with certificates of all kinds."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from harness.authority import authority
from harness.client import Client
from harness.descriptions import describe
from harness.messages import Ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.authority import Identity
    from harness.credentials import ServerIdentity
    from harness.process import GatewayProcess

Outcome = tuple[int, int | None] | str
ALERT = "alert"  # TLS refuses the client


class Certified:
    """`start` begins the gateway; what is to be trusted stands in `trusted` by then."""

    def __init__(self, gateway: Callable[..., GatewayProcess], folder: Path, identity: ServerIdentity) -> None:
        self._gateway = gateway
        self._folder = folder
        self._identity = identity
        self.root = authority("root")
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(self.root.pem + authority("second root").pem)

    def start(
        self, *descriptions: str, listener: str = "", mutual: str = "", settings: str = "", **root: Any
    ) -> GatewayProcess:
        """Serve descriptions, or one API `Shop` 1.0.0 with `/a` and these keys at its root."""
        texts = descriptions or (describe(["/a"], title="Shop", **{"secured": True, **root}),)
        trusted = "" if "trustedCertificatesFile" in mutual else f'trustedCertificatesFile = "{self.trusted}"'
        self.running = self._gateway(
            *texts,
            settings=f"""
{settings}
[listenerConfig]
httpsPort = 0
certificateFile = "{self._identity.certificate_file}"
privateKeyFile = "{self._identity.private_key_file}"
{listener}
[mutualSSLConfig]
{trusted}
{mutual}
""",
        )
        return self.running

    def tls(self, client: Identity | None = None, *, tls12: bool = False) -> ssl.SSLContext:
        if client is not None:
            return client.context(self._folder, self._identity.certificate_file, tls12=tls12)
        return ssl.create_default_context(cafile=str(self._identity.certificate_file))

    def call(
        self, client: Identity | None, *headers: tuple[str, str], path: str = "/a", tls12: bool = False
    ) -> Outcome:
        """(status, code) of a call over TLS, or ALERT."""
        try:
            with Client(self.running.https, tls=self.tls(client, tls12=tls12)) as connection:
                answer = connection.get(path, *headers)
                return answer.status, answer.fault
        except (ssl.SSLError, Ended) as error:
            if "ALERT" not in str(error.__cause__ or error).upper():
                raise
            return ALERT


def listing(keys: str, *, name: str = "SHOP", version: str = "1.0.0") -> str:
    """The certificates of one API, for the settings."""
    return f'\n[[mutualSSLConfig.api.certificates]]\nname = "{name}"\nversion = "{version}"\n{keys}\n'
