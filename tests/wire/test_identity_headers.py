"""R12 and case 14: in no spelling can a client set a field that tells backends who calls, and no credential goes further."""

from __future__ import annotations

import base64
import itertools

import pytest

from harness.backend import Backend, respond
from harness.credentials import ISSUER, bearer, mint, private_pem, public_pem, self_signed, signing_key
from harness.descriptions import describe

FORGED = "forged-by-client"
NAMES = (
    "X-JWT-Assertion",  # the backend's token, set by the gateway
    "X-WSO2-CLIENT-CERTIFICATE",  # only trusted proxies may send it
    "X-User",  # taken from the service that decides
    "X-Tenant-Id",  # named by the settings
    "X_Legacy_Group",  # named by the settings, with the other separator
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "Forwarded",
    "X-Real-IP",
    "Client-Cert",
    "X-Request-Id",
)
OPEN = describe(["/a"], base="/open", title="open")
SECURED = describe({"/a": ["get", "post"]}, base="/secured", title="secured", secured=True)


def _spellings(name):
    """Every mix of `-` and `_`, in three casings."""
    words = name.replace("_", "-").split("-")
    for separators in itertools.product("-_", repeat=len(words) - 1):
        spelt = words[0] + "".join(separator + word for separator, word in zip(separators, words[1:], strict=True))
        yield from (spelt, spelt.lower(), spelt.upper())


def _variants(name):
    """Lists of fields that try to bring a value in under this name."""
    for spelt in dict.fromkeys(_spellings(name)):
        yield [(spelt, FORGED)]
    yield [(name, FORGED), (name.lower(), FORGED)]
    yield [(name, ""), (name.replace("-", "_"), FORGED)]
    yield [("Connection", name), (name, FORGED)]
    yield [("Connection", f"close, {name.lower()}")]
    yield [("Connection", f"keep-alive, {name.replace('-', '_')}"), (name.replace("-", "_"), FORGED)]
    yield [(name, f"\t{FORGED}\t")]


@pytest.fixture
def world(gateway, backend, tmp_path):
    key = signing_key()
    (tmp_path / "own.key").write_bytes(private_pem(key))
    (tmp_path / "own.crt").write_bytes(self_signed(key, "gateway"))
    settings = (
        f'[jwtGeneratorConfig]\njwtGeneratorEnabled = true\nprivateKeyFile = "{tmp_path}/own.key"\n'
        f'certificateFile = "{tmp_path}/own.crt"\n'
        '[forwardingConfig]\nidentityHeaders = ["X-Tenant-Id", "X_Legacy_Group"]\n'
    )
    with Backend() as service:
        service.script = respond(b"", headers=(("X-User", "alice"),))
        decides = {"url": f"{service.url}/check", "take-headers": ["x-user"]}
        forward = describe(["/a"], base="/forward", title="forward", secured=True, x_microgate_forward_auth=decides)
        yield gateway(OPEN, SECURED, forward, settings=settings), backend


def _values(request, name):
    wanted = name.lower().replace("_", "-")
    return [value for field, value in request.headers if field.lower().replace("_", "-") == wanted]


def test_r12_case_14_no_variant_sets_an_identity_header(world):
    running, backend = world
    sent = 0
    for name in NAMES:
        for variant in _variants(name):
            for path, more in (("/open/a", []), ("/secured/a", [bearer()]), ("/forward/a", [])):
                with running.connect() as client:
                    answer = client.get(path, *variant, *more)
                assert answer.status == 200, (variant, path)
                sent += 1
                request = backend.requests[-1]
                assert FORGED not in "".join(value for _, value in request.headers), (variant, request.headers)
                assertions = [value.count(".") for value in _values(request, "X-JWT-Assertion")]
                assert assertions == ([2] if path == "/secured/a" else []), (variant, path)
                assert _values(request, "X-User") == (["alice"] if path == "/forward/a" else []), variant
    assert len(backend.requests) == sent


def test_r12_no_trailer_brings_an_identity(world):
    running, backend = world
    for name in NAMES:
        for spelt in dict.fromkeys(_spellings(name)):
            with running.connect() as client:
                field = ": ".join(bearer())
                client.send(
                    f"POST /secured/a HTTP/1.1\r\nHost: a\r\n{field}\r\nTransfer-Encoding: chunked\r\nTrailer: {spelt}\r\n\r\n"
                    f"2\r\nhi\r\n0\r\n{spelt}: {FORGED}\r\nX-Plain: 1\r\n\r\n"
                )
                assert client.answer("POST").status == 200
            request = backend.requests[-1]
            assert FORGED not in "".join(value for _, value in [*request.headers, *request.trailers]), spelt


def test_case_14_a_caller_without_a_name_is_nobody_else(world):
    running, backend = world
    with running.connect() as client:
        assert client.get("/secured/a", bearer(sub=""), ("X-User", FORGED)).status == 200
    assert _values(backend.requests[-1], "X-User") == []


PLACES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "basic": {"type": "http", "scheme": "basic"},
}


def test_case_15_no_credential_goes_further(gateway, backend, tmp_path):
    (tmp_path / "key.pem").write_bytes(public_pem())
    (tmp_path / "issuer.pem").write_bytes(public_pem())
    settings = (
        f'[apikey.tokenConfigs]\ncertificateFile = "{tmp_path}/key.pem"\n'
        '[b7a.users.alice]\npassword = "@sha256:{2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90}"\n'
        f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{tmp_path}/issuer.pem"\n'
    )
    keyed = describe(
        {"/a": ["get"]},
        base="/keyed",
        title="keyed",
        secured=True,
        components={"securitySchemes": PLACES},
        security=[{"header": []}, {"query": []}, {"basic": []}],
    )
    own = describe(["/a"], base="/own", title="own", secured=True, x_wso2_auth_header="X-Token")
    running = gateway(keyed, SECURED, own, OPEN, settings=settings)
    key = mint(iss="https://localhost:9095/apikey", exp=None, keytype="PRODUCTION")
    basic = "Basic " + base64.b64encode(b"alice:alice").decode()
    calls = [
        ("/keyed/a", ("X-API-Key", key), key),
        (f"/keyed/a?a=1&key={key}&b=2", ("X-A", "1"), key),
        ("/keyed/a", ("Authorization", basic), basic[6:]),
        ("/secured/a", bearer(), bearer()[1][7:40]),
        ("/own/a", ("X-Token", bearer()[1]), bearer()[1][7:40]),
        ("/open/a", ("Authorization", "Bearer secret-of-open"), "secret-of-open"),
        ("/open/a", ("Proxy-Authorization", "Basic secret-of-proxy"), "secret-of-proxy"),
    ]
    for path, field, secret in calls:
        with running.connect() as client:
            answer = client.get(path, field)
        assert answer.status == 200, (path, answer.body)
        request = backend.requests[-1]
        assert secret not in request.start + "".join(value for _, value in request.headers), path
        assert secret not in running.access_log.read_text() + running.output, path
