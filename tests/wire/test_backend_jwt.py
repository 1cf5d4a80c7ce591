"""The token that tells a backend who calls, at a running gateway (case 14, weakness 17)."""

from __future__ import annotations

import base64
import hashlib
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from harness.credentials import ISSUER, bearer, mint, private_pem, public_pem, self_signed, signing_key
from harness.descriptions import describe
from harness.waiting import wait_until

API = describe(["/a"], base="/shop", secured=True, title="Shop: über & co.")
OPEN = describe(["/b"], base="/open", title="Open")
DIALECT = "http://wso2.org/claims/"
CALLER = {
    "sub": "alice",
    "email": "alice@example.com",
    "application": {"name": "App", "id": 7, "uuid": "u-7", "owner": "bob@tenant.example", "tier": "Large"},
    "subscribedAPIs": [{"name": "Shop: über & co.", "version": "1.0.0", "subscriptionTier": "Gold"}],
}


def _settings(folder, extra="", caching=""):
    key = signing_key()
    (folder / "own.key").write_bytes(private_pem(key))
    (folder / "own.crt").write_bytes(self_signed(key, "gateway"))
    return (
        f'[jwtGeneratorConfig]\njwtGeneratorEnabled = true\nprivateKeyFile = "{folder}/own.key"\n'
        f'certificateFile = "{folder}/own.crt"\naudience = ["backends"]\nrestrictedClaims = ["secret"]\n{extra}\n'
        f"[jwtGeneratorConfig.jwtGeneratorCaching]\n{caching}\n"
    )


def _decode(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _fetch(running, backend, headers, path="/shop/a"):
    """The answer, and the values of our header that the backend has seen."""
    before = len(backend.requests)
    with running.connect() as client:
        answer = client.get(path, *headers)
    seen = backend.requests[before:]
    values = [value for request in seen for name, value in request.headers if name.lower() == "x-jwt-assertion"]
    return answer, values


def test_a_backend_learns_who_calls(gateway, backend, tmp_path):
    running = gateway(API, settings=_settings(tmp_path))
    answer, values = _fetch(running, backend, [bearer(**CALLER, secret="x", scope="read")])
    assert answer.status == 200
    (token,) = values
    head, payload, signature = token.split(".")
    claims = _decode(payload)
    assert claims["exp"] - claims["iat"] == 900
    assert abs(claims["iat"] - time.time()) < 60
    del claims["exp"], claims["iat"]
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": "wso2.org/products/am",
        "sub": "alice",
        "aud": "backends",
        "email": "alice@example.com",
        "scope": "read",
        **{
            DIALECT + name: value
            for name, value in {
                "enduser": "alice",
                "applicationid": "7",
                "applicationUUId": "u-7",
                "subscriber": "bob@tenant.example",
                "applicationname": "App",
                "applicationtier": "Large",
                "apiname": "Shop: über & co.",
                "apicontext": "/shop",
                "version": "1.0.0",
                "tier": "Gold",
                "enduserTenantDomain": "tenant.example",
                "keytype": "PRODUCTION",
                "usertype": "Application_User",
            }.items()
        },
    }
    _verify(running, head, payload, signature)
    header = _decode(head)
    encoded = x509.load_pem_x509_certificate((tmp_path / "own.crt").read_bytes()).public_bytes(
        serialization.Encoding.DER
    )
    digest = base64.urlsafe_b64encode(hashlib.sha1(encoded).digest()).rstrip(b"=").decode()
    assert header["x5t"] == digest, "weakness 17: of the digest, not of its hexadecimal text"


def _verify(running, head, payload, signature):
    """With the key set that the gateway publishes, as a backend would."""
    with running.connect() as client:
        answer = client.get("/.well-known/microgate/jwks.json")
        assert client.request("POST", "/.well-known/microgate/jwks.json").status == 405
    assert answer.header("content-type") == "application/jwk-set+json"
    (member,) = json.loads(answer.body)["keys"]
    assert member["kid"] == _decode(head)["kid"]
    assert set(member) == {"kty", "n", "e", "alg", "use", "kid", "x5t", "x5t#S256"}
    numbers = [
        int.from_bytes(base64.urlsafe_b64decode(member[name] + "=" * (-len(member[name]) % 4)), "big") for name in "en"
    ]
    key = rsa.RSAPublicNumbers(*numbers).public_key()
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.verify(raw, f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())


def test_case_14_what_the_client_sends_under_that_name_is_dropped(gateway, backend, tmp_path):
    forged = [("X-JWT-Assertion", "forged"), ("x-jwt-assertion", "forged"), ("X_JWT_Assertion", "forged")]
    running = gateway(API, OPEN, settings=_settings(tmp_path))
    _, values = _fetch(running, backend, [bearer(), *forged])
    assert len(values) == 1
    assert values[0].count(".") == 2
    answer, values = _fetch(running, backend, forged, "/open/b")
    assert (answer.status, values) == (200, [])
    assert all(value != "forged" for request in backend.requests for _, value in request.headers)


def test_a_token_is_kept_for_the_same_caller_and_no_other(gateway, backend, tmp_path):
    running = gateway(API, settings=_settings(tmp_path))
    one, other = mint(sub="alice"), mint(sub="bob")
    tokens = [_fetch(running, backend, [("Authorization", f"Bearer {token}")])[1][0] for token in (one, one, other)]
    assert tokens[0] == tokens[1] != tokens[2]
    assert _decode(tokens[2].split(".")[1])["sub"] == "bob"


def test_without_a_cache_each_request_has_its_own(gateway, backend, tmp_path):
    running = gateway(API, settings=_settings(tmp_path, "tokenExpiry = 60000", "tokenCacheEnable = false"))
    token = bearer()
    tokens = [_fetch(running, backend, [token])[1][0] for _ in range(2)]
    assert tokens[0] != tokens[1]
    claims = _decode(tokens[0].split(".")[1])
    assert claims["exp"] - claims["iat"] == 60


def test_the_issuers_own_token_goes_on_as_it_is(gateway, backend):
    running = gateway(API)
    _, values = _fetch(running, backend, [bearer(backendJwt="a.b.c")])
    assert values == ["a.b.c"]
    answer, values = _fetch(running, backend, [bearer(backendJwt="a\r\nX-Admin: yes")])
    assert (answer.status, values) == (401, [])
    with running.connect() as client:
        assert client.get("/.well-known/microgate/jwks.json").status == 404


def test_without_a_signature_there_are_two_parts(gateway, backend, tmp_path):
    settings = "[jwtGeneratorConfig]\njwtGeneratorEnabled = true\nsigningAlgorithm = 'NONE'\n"
    running = gateway(API, settings=settings)
    _, (token,) = _fetch(running, backend, [bearer(sub="alice")])
    head, payload, signature = token.split(".")
    assert (_decode(head), signature) == ({"typ": "JWT", "alg": "none"}, "")
    assert _decode(payload)["sub"] == "alice"


EXTENSIONS = {
    "extensions/mine.py": """
def generate(claims, about):
    if claims["sub"] == "broken":
        raise ValueError(about["token"])
    if claims["sub"] == "odd":
        return {"odd": object()}
    if claims["sub"] == "whole":
        return "my.own.token"
    if claims["sub"] == "header":
        return "two words"
    return {**claims, "made": about["api"], "iss": "mine"}


def retrieve(about):
    return {"mail": about["username"] + "@example.com", "sub": "nobody"}


def rename(claims):
    if "fail" in claims:
        return 1 / 0
    if "none" in claims:
        return None
    return {**claims, "scope": " ".join(claims.pop("rights", [])), "sub": "root"}
"""
}


def test_weakness_17_what_cannot_be_made_is_a_fault_and_a_line_in_the_log(gateway, backend, tmp_path):
    running = gateway(API, settings=_settings(tmp_path, 'generator = "mine:generate"'), files=EXTENSIONS)
    _, (token,) = _fetch(running, backend, [bearer(sub="alice")])
    claims = _decode(token.split(".")[1])
    assert (claims["made"], claims["iss"]) == ("Shop: über & co.", "mine")
    assert _fetch(running, backend, [bearer(sub="whole")])[1] == ["my.own.token"]
    for name in ("broken", "odd", "header"):
        answer, values = _fetch(running, backend, [bearer(sub=name, note="hush")])
        assert (answer.status, answer.fault, values) == (503, 900900, [])
    wait_until(
        lambda: "a token for a backend cannot be made: the generator failed: ValueError" in running.output, "log"
    )
    assert "hush" not in running.output


def test_weakness_17_a_setting_lets_requests_pass_without(gateway, backend, tmp_path):
    settings = _settings(tmp_path, 'generator = "mine:generate"\nfailOpen = true')
    running = gateway(API, settings=settings, files=EXTENSIONS)
    answer, values = _fetch(running, backend, [bearer(sub="broken")])
    assert (answer.status, values) == (200, [])


def _issuer(folder, more):
    (folder / "issuer.pem").write_bytes(public_pem())
    return f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{folder}/issuer.pem"\n{more}\n'


def test_user_claims_come_from_the_project(gateway, backend, tmp_path):
    settings = _settings(tmp_path, 'claimRetrieval.retriever = "mine:retrieve"')
    settings += _issuer(tmp_path, "remoteUserClaimRetrievalEnabled = true")
    running = gateway(API, settings=settings, files=EXTENSIONS)
    _, (token,) = _fetch(running, backend, [bearer(sub="alice")])
    claims = _decode(token.split(".")[1])
    assert (claims["mail"], claims["sub"]) == ("alice@example.com", "alice")


class _Answers:
    def __init__(self, body):
        self.body = body
        self.asked = []

    def __call__(self, talk):
        self.asked.append((talk.request.method, json.loads(talk.read_body()), dict(talk.request.headers)))
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self.body), self.body))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"list": [{"uri": "http://wso2.org/claims/role", "value": "admin"}]}', 200),
        (b'{"list": 7}', 503),
        (b"[[[[", 503),
        (b'{"list": [{"uri": {}}]}', 503),
    ],
)
def test_user_claims_come_from_the_supplied_retriever(gateway, backend, tmp_path, body, status):
    answers = _Answers(body)
    backend.scripts["/km/keymanager-operations/user-info/claims/generate"] = answers
    settings = _settings(tmp_path, 'claimRetrieval.retrieverImpl = "org.wso2.carbon.MGWClaimRetrieverImpl"')
    settings += f'[jwtGeneratorConfig.claimRetrieval.configuration]\nserverUrl = "{backend.url}/km"\n'
    settings += _issuer(tmp_path, "remoteUserClaimRetrievalEnabled = true")
    running = gateway(API, settings=settings)
    token = mint(sub="alice@carbon.super")
    for _ in range(2):
        answer, values = _fetch(running, backend, [("Authorization", f"Bearer {token}")])
        assert answer.status == status
    assert answers.asked[0][:2] == ("POST", {"username": "alice"})
    assert len(answers.asked) == 1  # a failure is remembered for a moment too
    if status == 200:
        assert _decode(values[0].split(".")[1])["http://wso2.org/claims/role"] == "admin"


def test_claims_are_renamed_and_changed_before_they_are_judged(gateway, backend, tmp_path):
    api = describe({"/a": {"get": {"x-scope": "read"}}}, base="/shop", secured=True, title="Shop")
    more = 'claimMapper = "mine:rename"\nclaims = [{ remoteClaim = "permissions", localClaim = "rights" }]'
    running = gateway(api, settings=_settings(tmp_path) + _issuer(tmp_path, more), files=EXTENSIONS)
    answer, (token,) = _fetch(running, backend, [bearer(sub="alice", permissions=["read", "write"])])
    assert answer.status == 200
    assert _decode(token.split(".")[1])["sub"] == "alice"
    assert _fetch(running, backend, [bearer(permissions=["write"])])[0].fault == 900910
    for broken in ("fail", "none"):
        assert _fetch(running, backend, [bearer(**{broken: 1})])[0].fault == 900901
    wait_until(lambda: "failed: ZeroDivisionError at extensions/mine.py:" in running.output, "the log says so")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"realm_access": {"roles": ["read"]}}, 200),
        ({"realm_access": {"roles": "write,read"}}, 200),
        ({"realm_access.roles": "read"}, 200),
        ({"realm_access": {"roles": ["write"]}, "scope": "read"}, 403),
        ({"realm_access": "roles"}, 403),
        ({}, 403),
    ],
)
def test_case_12_scopes_of_a_nested_claim(shared_pair, tmp_path_factory, claims, status):
    folder = tmp_path_factory.getbasetemp() / "case-12"
    folder.mkdir(exist_ok=True)
    api = describe({"/a": {"get": {"x-scope": "read"}}}, base="/shop", secured=True, title="Shop")
    pair = shared_pair((api,), _issuer(folder, 'scopeClaim = "realm_access.roles"'))
    with pair.gateway.connect() as client:
        assert client.get("/shop/a", bearer(**claims)).status == status


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('generator = "nowhere:generate"', "`jwtGeneratorConfig.generator`: the artefact has no extensions/nowhere.py"),
        ('generator = "mine"', "`jwtGeneratorConfig.generator`: `mine` names no function"),
        ('generator = "mine:nothing"', "extensions/mine.py has no function `nothing`"),
        ('generator = "bad:f"', "extensions/bad.py:2: ZeroDivisionError"),
        ('claimRetrieval.retriever = "mine:nothing"', "extensions/mine.py has no function `nothing`"),
    ],
)
def test_a_function_that_cannot_be_had_stops_the_start(gateway, tmp_path, more, message):
    files = {**EXTENSIONS, "extensions/bad.py": "def f(): ...\nx = 1 / 0\n"}
    with pytest.raises(AssertionError) as failure:
        gateway(API, settings=_settings(tmp_path, more), files=files)
    assert message in str(failure.value)
    assert "Traceback" not in str(failure.value)


def test_a_claim_mapper_that_is_async_stops_the_start(gateway, tmp_path):
    files = {"extensions/mine.py": "async def change(claims):\n    return claims\n"}
    with pytest.raises(AssertionError, match="must not be async"):
        gateway(API, settings=_issuer(tmp_path, 'claimMapper = "mine:change"'), files=files)
