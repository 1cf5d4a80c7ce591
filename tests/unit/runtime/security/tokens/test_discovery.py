"""Key sets whose address the issuer publishes itself: real servers, and metadata that lies."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.backend import Backend, Talk, respond
from harness.minting import Signer, key_set
from microgate.runtime.security.fetch import Documents, FetchError
from microgate.runtime.security.tokens.discovery import Discovered, addresses, source_of
from microgate.settings.model import JwtIssuer, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = key_set(Signer("ES256").jwk())
OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


class Issuer:
    """An issuer's server: answers by target, 404 to everything else."""

    def __init__(self, server: Backend) -> None:
        self.server = server
        self.url = server.url
        self.pages: dict[str, Any] = {"/keys": KEYS}
        server.script = self._answer

    def _answer(self, talk: Talk) -> None:
        page = self.pages.get(talk.request.target)
        if page is None:
            respond(b"no", status="404 Not Found")(talk)
        else:
            respond(page if isinstance(page, bytes) else json.dumps(page).encode())(talk)

    @property
    def asked(self) -> list[str]:
        return [request.target for request in self.server.requests]

    def metadata(self, **more: Any) -> dict[str, Any]:
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | more


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Backend() as server:
        yield Issuer(server)


def ask(discovered: Discovered) -> bytes | None:
    return asyncio.run(discovered.ask())


def test_the_addresses_of_metadata() -> None:
    assert addresses("https://id.example") == (f"https://id.example{OPENID}", f"https://id.example{OAUTH}")
    assert addresses("https://id.example/") == (f"https://id.example{OPENID}", f"https://id.example{OAUTH}")
    assert addresses("https://id.example/t/a") == (f"https://id.example/t/a{OPENID}", f"https://id.example{OAUTH}/t/a")
    assert source_of(JwtIssuer(issuer="https://id.example/t", discovery=True)) == f"https://id.example/t{OPENID}"


@pytest.mark.parametrize("path", [OPENID, OAUTH])
def test_either_form_of_metadata_leads_to_the_keys(issuer: Issuer, path: str) -> None:
    issuer.pages[path] = issuer.metadata()
    assert ask(Discovered(issuer.url, Documents(Settings()))) == KEYS


def test_metadata_is_asked_for_again_after_an_hour_or_a_failure(issuer: Issuer) -> None:
    issuer.pages[OPENID] = issuer.metadata()
    now = [0.0]
    discovered = Discovered(issuer.url, Documents(Settings()), lambda: now[0])
    assert [ask(discovered) for _ in range(3)] == [KEYS] * 3
    assert issuer.asked == [OPENID, "/keys", "/keys", "/keys"]
    now[0] = 3_601.0
    issuer.pages[OPENID] = issuer.metadata(jwks_uri=f"{issuer.url}/moved")
    issuer.pages["/moved"] = KEYS
    assert ask(discovered) == KEYS
    assert issuer.asked[4:] == [OPENID, "/moved"]
    del issuer.pages["/moved"]
    issuer.pages[OPENID] = issuer.metadata()
    with pytest.raises(FetchError):
        ask(discovered)
    assert ask(discovered) == KEYS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"issuer": "https://other.example"}, "another issuer"),
        ({"issuer": None}, "does not say where"),
        ({"jwks_uri": "http://192.0.2.1/keys"}, "without TLS"),
        ({"jwks_uri": "file:///etc/passwd"}, "http or https"),
        ({"jwks_uri": "https://user:word@192.0.2.1/keys"}, "without credentials"),
        ({"jwks_uri": ["http://127.0.0.1"]}, "does not say where"),
    ],
)
def test_metadata_that_lies_leads_nowhere(issuer: Issuer, change: dict[str, Any], message: str) -> None:
    issuer.pages[OPENID] = issuer.metadata(**change)
    with pytest.raises(FetchError, match=message):
        ask(Discovered(issuer.url, Documents(Settings())))
    assert issuer.asked == [OPENID]


@pytest.mark.parametrize("page", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"issuer": 1}'])
def test_metadata_that_is_none(issuer: Issuer, page: bytes) -> None:
    issuer.pages[OPENID] = page
    with pytest.raises(FetchError):
        ask(Discovered(issuer.url, Documents(Settings())))


def test_an_issuer_that_is_down_says_so(issuer: Issuer) -> None:
    with pytest.raises(FetchError, match="its metadata cannot be had"):
        ask(Discovered(issuer.url, Documents(Settings())))
