"""Opaque tokens of an authorization server that is not ours: introspection, revocation, outages, and keys that change."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING

import pytest

from harness.descriptions import describe
from harness.services.authorization_server import SECRET, AuthorizationServer
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

API = describe(
    {
        "/a": ["get"],
        "/write": {"get": {"security": [{"oauth": ["write"]}]}},
    },
    secured=True,
    components={
        "securitySchemes": {
            "oauth": {
                "type": "oauth2",
                "flows": {
                    "clientCredentials": {
                        "tokenUrl": "https://id.example.com/token",
                        "scopes": {"read": "", "write": ""},
                    }
                },
            }
        }
    },
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthorizationServer]:
    with AuthorizationServer(tmp_path_factory.mktemp("authorization")) as running:
        yield running


def basic(server: AuthorizationServer) -> str:
    """Introspection with Basic, which django-oauth-toolkit wants encoded as OAuth has it."""
    return f"""
[keyManager]
introspectionURL = "{server.introspection_url}"
[keyManager.security.basic]
username = "opaque"
password = "s3cret%2Bof%2Fa%3Aclient%25"
"""


def granted(server: AuthorizationServer, bearer: str, more: str) -> str:
    return f"""
[keyManager]
introspectionURL = "{server.introspection_url}"
[keyManager.security.basic]
enabled = false
[keyManager.security.oauth2]
enabled = true
credentialBearer = "{bearer}"
tokenUrl = "{server.token_url}"
{more}
"""


def _get(client, token, path="/a"):
    answer = client.get(path, ("Authorization", f"Bearer {token}"))
    return answer.status, answer.fault


def test_an_opaque_token_is_asked_about_once_and_its_scopes_count(gateway, backend, server):
    running = gateway(API, settings=basic(server))
    token, writer = server.token(scope="read"), server.token(scope="read write")
    asked = server.asked()
    with running.connect() as client:
        assert [_get(client, token) for _ in range(5)] == [(200, None)] * 5
        assert _get(client, token, "/write") == (403, 900910)
        assert _get(client, writer, "/write") == (200, None)
        assert _get(client, "made-up") == (401, 900901)
        assert _get(client, "made-up") == (401, 900901)
    wait_until(lambda: server.asked() == asked + 3, "three tokens are asked about")
    assert all("authorization" not in {name.lower() for name, _ in one.headers} for one in backend.requests)
    line = running.log_lines(9)[0]
    assert token not in str(running.log_lines(9)) + running.output
    assert "opaque" in str(line)  # the application that the token was given to
    assert "made-up" not in str(running.log_lines(9))


def test_self_contained_tokens_of_the_same_server_pass_beside_opaque_ones(gateway, server):
    settings = f'{basic(server)}\n[[jwtTokenConfig]]\nissuer = "https://issuer.test"\njwksURL = "{server.jwks_url}"\n'
    running = gateway(API, settings=settings)
    with running.connect() as client:
        assert _get(client, server.token("jwt")) == (200, None)
        assert _get(client, server.token("opaque")) == (200, None)
        assert _get(client, server.token("jwt", "read write"), "/write") == (200, None)


def test_a_revoked_token_is_refused_once_its_verdict_has_ended(gateway, server):
    running = gateway(API, settings=basic(server) + "[caching]\ntokenCacheExpiryTime = 1\n")
    token = server.token()
    with running.connect() as client:
        assert _get(client, token) == (200, None)
        server.revoke(token)
        wait_until(lambda: _get(client, token) == (401, 900901), "the token is asked about again")


CLIENT = """
[keyManager.security.oauth2.clientCredential]
enabled = true
clientId = "gateway"
clientSecret = "SECRET"
scopes = "introspection"
"""
PERSON = """
[keyManager.security.oauth2.password]
enabled = true
clientId = "person"
clientSecret = "SECRET"
username = "alice"
password = "wonderland"
scopes = "introspection, read"
"""
CREDENTIALS = {
    "in the header": ("AUTH_HEADER_BEARER", CLIENT),
    "in the body, the other spelling": ("POST_BODY_BEARER", CLIENT.replace("clientId", "client_id")),
    "the password grant": ("AUTH_HEADER_BEARER", PERSON),
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_weakness_13_every_credential_of_the_gateway_reaches_the_server(name, gateway, server):
    bearer, more = CREDENTIALS[name]
    running = gateway(API, settings=granted(server, bearer, more.replace("SECRET", SECRET)))
    with running.connect() as client:
        assert _get(client, server.token()) == (200, None)
        assert _get(client, "made-up") == (401, 900901)
    assert SECRET not in running.output


def test_a_fixed_token_is_renewed_when_it_is_not_taken(gateway, server):
    first = server.login("introspection")
    more = f"""
[keyManager.security.oauth2.directToken]
enabled = true
accessToken = "long-gone"
[keyManager.security.oauth2.refresh]
enabled = true
refreshUrl = "{server.token_url}"
refreshToken = "{first["refresh_token"]}"
clientId = "person"
clientSecret = "{SECRET}"
"""
    running = gateway(API, settings=granted(server, "AUTH_HEADER_BEARER", more))
    with running.connect() as client:
        assert _get(client, server.token()) == (200, None)
        assert _get(client, server.token()) == (200, None)


def test_wrong_credentials_of_the_gateway_are_its_own_fault(gateway, server):
    running = gateway(API, settings=basic(server).replace("%25", "%26"))
    with running.connect() as client:
        assert _get(client, server.token()) == (503, 900900)
    assert "does not take the gateway's credentials" in running.output


def test_r14_tokens_that_are_known_outlive_the_server(gateway, tmp_path):
    with AuthorizationServer(tmp_path / "authorization") as own:
        running = gateway(API, settings=basic(own))
        known, unseen = own.token(), own.token()
        with running.connect() as client:
            assert _get(client, known) == (200, None)
            own.stop()
            for _ in range(20):
                assert _get(client, known) == (200, None)
                answer = client.get("/a", ("Authorization", f"Bearer {unseen}"))
                assert (answer.status, answer.fault) == (503, 900900)
                assert answer.header("retry-after") == "1"
            own.start()
            wait_until(lambda: _get(client, unseen) == (200, None), "the server is asked again")
    assert running.output.count("introspection service does not answer") == 1
    assert "introspection service answers again" in running.output


def test_case_26_a_key_of_a_rotated_set_works_from_its_first_token_on(gateway, server):
    settings = f'[[jwtTokenConfig]]\nissuer = "https://issuer.test"\njwksURL = "{server.jwks_url}"\n'
    running = gateway(API, settings=settings)
    old = server.token("jwt")
    with running.connect() as client:
        assert _get(client, old) == (200, None)
        server.rotate()
        assert _get(client, server.token("jwt")) == (200, None)
        assert _get(client, old) == (200, None)


def test_case_27_many_requests_with_one_new_token_are_one_question(gateway, server):
    running = gateway(API, settings=basic(server))
    token = server.token()
    asked = server.asked()

    def ask(_: int) -> int:
        with running.connect() as client:
            return int(_get(client, token)[0])

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, range(64))) == [200] * 64
    assert server.asked() == asked + 1


def test_nothing_is_dialled_without_a_key_manager(gateway, backend):
    running = gateway(API)
    with running.connect() as client:
        assert _get(client, "opaque-token") == (401, 900901)
    assert backend.bytes == 0
    assert "microgate_service_calls_total 0" in running.metrics()
