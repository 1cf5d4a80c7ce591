"""How the gateway authenticates at the key manager: what is sent where, and when a token is asked for anew."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
import pytest

from harness.backend import Backend, respond
from harness.contexts import context_of, run
from microgate.runtime.security.calls import ServiceError
from microgate.runtime.security.opaque import service_credentials
from microgate.settings.key_manager import (
    BasicCredentials,
    ClientCredential,
    DirectToken,
    KeyManagerSecurity,
    OAuthCredentials,
    PasswordGrant,
    RefreshGrant,
)
from microgate.settings.model import Settings

if TYPE_CHECKING:
    from harness.backend import Script
    from microgate.runtime.security.opaque.service_credentials import Credentials

CLIENT = ClientCredential(enabled=True, client_id="a:b", client_secret="c+d", scopes="one, two,")
PASSWORD = PasswordGrant(enabled=True, client_id="id", client_secret="secret", username="ann", password="pass")


def credentials(security: KeyManagerSecurity) -> Credentials:
    return service_credentials.of(security, context_of(Settings()).service)


def oauth(server: Backend, **more: object) -> Credentials:
    settings = OAuthCredentials(enabled=True, token_url=f"{server.url}/token", **more)
    return credentials(KeyManagerSecurity(basic=BasicCredentials(enabled=False), oauth2=settings))


def given(token: str = "t1", **members: object) -> Script:
    return respond(json.dumps({"access_token": token, "token_type": "Bearer"} | members).encode())


def form(server: Backend, number: int = -1) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(server.requests[number].body.decode()).items()}


def header(server: Backend, name: str, number: int = -1) -> str:
    return dict(server.requests[number].headers).get(name, "")


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {token}"),)


def test_basic_comes_first_and_nothing_is_nothing() -> None:
    async def main() -> None:
        security = KeyManagerSecurity(basic=BasicCredentials(username="grün", password="a:b"))
        (field,) = await credentials(security).fields()
        assert base64.b64decode(field[1].removeprefix("Basic ")).decode() == "grün:a:b"
        assert not credentials(security).refused((field,))
        off = msgspec.structs.replace(security, basic=BasicCredentials(enabled=False))
        assert await credentials(off).fields() == ()

    run(main())


@pytest.mark.parametrize("bearer_form", ["AUTH_HEADER_BEARER", "POST_BODY_BEARER", "NO_BEARER"])
def test_the_clients_credentials_go_where_the_settings_say(bearer_form) -> None:
    async def main() -> None:
        assert await oauth(server, client_credential=CLIENT, credential_bearer=bearer_form).fields() == bearer("t1")

    with Backend(given()) as server:
        run(main())
        sent = form(server)
        authorization = header(server, "Authorization")
    assert (sent["grant_type"], sent["scope"]) == ("client_credentials", "one two")
    expected = "Basic " + base64.b64encode(b"a%3Ab:c%2Bd").decode()
    assert authorization == (expected if bearer_form == "AUTH_HEADER_BEARER" else "")
    in_body = (sent.get("client_id"), sent.get("client_secret"))
    assert in_body == (("a:b", "c+d") if bearer_form == "POST_BODY_BEARER" else (None, None))


def test_one_token_for_many_until_shortly_before_its_end(monkeypatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(service_credentials, "monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        held = oauth(server, client_credential=CLIENT)
        assert await asyncio.gather(*(held.fields() for _ in range(50))) == [bearer("t1")] * 50
        assert len(server.requests) == 1
        server.script = given("t2")
        now += 569.9
        assert await held.fields() == bearer("t1")
        now += 0.2
        assert await held.fields() == bearer("t2")

    with Backend(given(expires_in=600)) as server:
        run(main())


def test_the_password_grant_is_renewed_and_begun_anew(monkeypatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(service_credentials, "monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        refresh = RefreshGrant(enabled=True, refresh_url=f"{server.url}/renew", client_id="id", client_secret="secret")
        held = oauth(server, password=PASSWORD, refresh=refresh)
        assert await held.fields() == bearer("t1")
        assert form(server) == {"grant_type": "password", "username": "ann", "password": "pass"}
        server.script = given("t2", expires_in=10)
        now += 10
        assert await held.fields() == bearer("t2")
        assert server.requests[-1].target == "/renew"
        assert form(server) == {"grant_type": "refresh_token", "refresh_token": "r1"}
        server.scripts["/renew"] = respond(b"{}", status="400 Bad Request")
        server.script = given("t3")
        now += 10
        assert await held.fields() == bearer("t3")
        assert form(server)["grant_type"] == "password"

    with Backend(given(expires_in=10, refresh_token="r1")) as server:
        run(main())


def test_a_token_that_is_not_taken_is_replaced_once(monkeypatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(service_credentials, "monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        held = oauth(server, client_credential=CLIENT)
        old = await held.fields()
        assert not held.refused(old)  # it is fresh: another one would not be taken either
        now += 6
        server.script = given("t2")
        assert held.refused(old)
        assert await held.fields() == bearer("t2")
        assert held.refused(old)  # told late, about the one before
        assert await held.fields() == bearer("t2")
        assert len(server.requests) == 2

    with Backend(given()) as server:
        run(main())


def test_a_fixed_token_without_a_refresh_stays(caplog) -> None:
    async def main() -> None:
        held = oauth(server, direct_token=DirectToken(enabled=True, access_token="fixed"))
        assert await held.fields() == bearer("fixed")
        assert not held.refused(bearer("fixed"))

    with Backend(given()) as server:
        run(main())
        assert server.bytes == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"access_token": ""}',
        b'{"access_token": 5}',
        b'{"access_token": "a b"}',
        b'{"access_token": "a\\r\\nX-Evil: 1"}',
        b'{"access_token": "\\u00e4"}',
        b"[" * 100_000,
    ],
)
def test_an_answer_without_a_token_is_an_error(answer) -> None:
    async def main() -> None:
        with pytest.raises(ServiceError, match="gives the gateway no token"):
            await oauth(server, client_credential=CLIENT).fields()

    with Backend(respond(answer)) as server:
        run(main())


@pytest.mark.parametrize("expires", [None, "600", 0, -5, True, 1e400, [], 2**60])
def test_an_odd_life_is_the_usual_one(expires) -> None:
    assert service_credentials._life(expires) == service_credentials.DEFAULT_LIFE_SECONDS
