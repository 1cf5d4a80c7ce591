"""The authenticate stage: scheme choice, challenges, the verdict cache, issuers and their keys."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from cryptography.x509.oid import NameOID

from harness.minting import (
    ALGORITHMS,
    ISSUER,
    NOW,
    Gate,
    Signer,
    challenge,
    good_claims,
    key_set,
    settings_of,
)
from microgate.errors import KeyMaterialError
from microgate.plan.model import Api, Operation, Plan, Security
from microgate.runtime.security import authenticate, refusals
from microgate.runtime.security.context import SecurityContext, prove
from microgate.settings.model import Auth, Caching, Compatibility, JwtIssuer, Listener, Server


@pytest.mark.parametrize("name", ALGORITHMS)
def test_r9_a_good_token_of_every_algorithm_is_accepted(name, gate, signers) -> None:
    exchange = gate.judge(b"Bearer " + signers[name].token())
    assert exchange.fault is None
    assert exchange.consumer is not None
    assert exchange.consumer.name == "alice"
    assert exchange.consumer.credential == "jwt"


@pytest.mark.parametrize(
    ("value", "code", "reason", "answer"),
    [
        (b"", 900902, "auth.missing", 'Bearer realm="microgate"'),
        (b"Basic YTpi", 900917, "auth.scheme", 'Bearer realm="microgate"'),
        (b"Digest a.b.c", 900917, "auth.scheme", 'Bearer realm="microgate"'),
        (b"Basic bearer.a.b", 900917, "auth.scheme", 'Bearer realm="microgate"'),
        (b"DPoP a.b.c", 900917, "auth.scheme", 'Bearer realm="microgate"'),
        (b"a.b.c", 900901, "auth.no_scheme", "the credential names no scheme"),
        (b"Bearer", 900901, "auth.opaque.unknown", "the access token is not known"),
        (b"Bearer opaque-token", 900901, "auth.opaque.unknown", "the access token is not known"),
        (b"Bearer  ", 900901, "auth.opaque.unknown", "the access token is not known"),
        (b"bearer a.b", 900901, "auth.jwt.malformed", "the access token is malformed"),
        (b"BEARER a.b.c.d", 900901, "auth.jwt.malformed", "the access token is malformed"),
        (b"Bearer a.b.c", 900901, "auth.jwt.malformed", "the access token is malformed"),
        (b"Bearer \xff.\xff.\xff", 900901, "auth.jwt.malformed", "the access token is malformed"),
    ],
)
def test_case_07_every_bad_credential_has_its_code_and_a_true_challenge(value, code, reason, answer, gate) -> None:
    exchange = gate.judge(value)
    assert exchange.fault.kind.status == 401
    assert (exchange.fault.kind.code, exchange.fault.reason) == (code, reason)
    expected = answer if answer.startswith("Bearer") else f'error_description="{answer}"'
    assert challenge(exchange).endswith(expected)
    assert "expired" not in challenge(exchange)


def test_case_07_the_challenge_says_expired_when_it_is(gate, signers) -> None:
    exchange = gate.judge(b"Bearer " + signers["RS256"].token(good_claims(exp=NOW - 31)))
    assert challenge(exchange) == (
        'Bearer realm="microgate", error="invalid_token", error_description="the access token expired"'
    )


@pytest.mark.parametrize("word", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
@pytest.mark.parametrize("blanks", [b" ", b"   "])
def test_the_scheme_word_has_no_case(word, blanks, gate, signers) -> None:
    assert gate.judge(word + blanks + signers["ES256"].token()).fault is None


def test_case_05_a_tampered_token_after_a_good_one_is_refused(gate, signers) -> None:
    token = signers["ES256"].token()
    assert gate.reason(token) == ""
    start = token.rindex(b".") + 1
    for position in range(start, len(token) - 1):
        other = b"A" if token[position : position + 1] != b"A" else b"B"
        assert gate.reason(token[:position] + other + token[position + 1 :]) == refusals.SIGNATURE
        assert gate.reason(token) == ""


def test_case_05_an_expired_token_after_a_good_one_is_refused(gate, signers, clock) -> None:
    token = signers["RS256"].token(good_claims(exp=NOW + 60))
    for moment, expected in ((0, ""), (60, ""), (89.9, ""), (90, refusals.EXPIRED), (1_000, refusals.EXPIRED)):
        clock.now = NOW + moment
        assert gate.reason(token) == expected


@pytest.mark.parametrize(
    ("skew_ms", "late", "expected"), [(0, 0, "expired"), (0, -1, ""), (5_000, 4, ""), (5_000, 5, "expired")]
)
def test_case_29_the_leeway_is_a_setting(skew_ms, late, expected, key_set_file, signers, clock) -> None:
    issuer = JwtIssuer(issuer=ISSUER, jwks_file=key_set_file)
    gate = Gate(SecurityContext(settings_of(issuer, server=Server(timestamp_skew=skew_ms)), None, clock=clock))
    reason = gate.reason(signers["RS256"].token(good_claims(exp=NOW - late)))
    assert reason == (f"auth.jwt.{expected}" if expected else "")


def test_the_life_of_a_verdict_is_a_setting(key_set_file, signers, clock) -> None:
    settings = settings_of(
        JwtIssuer(issuer=ISSUER, jwks_file=key_set_file), caching=Caching(token_cache_expiry_time=10)
    )
    context = SecurityContext(settings, None, clock=clock)
    gate = Gate(context)
    value = b"Bearer " + signers["RS256"].token()
    assert gate.judge(value).fault is None
    first = context.verdicts.find(value)
    clock.now = NOW + 10
    assert gate.judge(value).fault is None
    assert context.verdicts.find(value) is not first


def two_issuers(tmp_path, clock) -> tuple[Gate, Signer, Signer]:
    """Each issuer has its own key, under the same key id."""
    first, second = Signer("RS256", "same"), Signer("ES256", "same")
    entries = []
    for name, signer in (("one", first), ("two", second)):
        (tmp_path / name).write_bytes(key_set(signer.jwk()))
        entries.append(JwtIssuer(issuer=f"https://{name}", jwks_file=str(tmp_path / name), audience=(name,)))
    return Gate(SecurityContext(settings_of(*entries), None, clock=clock)), first, second


def test_case_06_verdicts_do_not_cross_issuers(tmp_path, clock) -> None:
    gate, first, second = two_issuers(tmp_path, clock)
    assert gate.reason(first.token(good_claims(iss="https://one", aud="one"))) == ""
    assert gate.reason(second.token(good_claims(iss="https://two", aud="two"))) == ""
    assert gate.reason(first.token(good_claims(iss="https://two", aud="two"))) == refusals.ALGORITHM
    assert gate.reason(first.token(good_claims(iss="https://two", aud="two"), alg="ES256")) == refusals.SIGNATURE
    assert gate.reason(second.token(good_claims(iss="https://two", aud="one"))) == refusals.AUDIENCE
    assert gate.reason(second.token(good_claims(iss="https://three", aud="two"))) == refusals.ISSUER


def test_case_06_verdicts_do_not_reach_an_operation_of_another_scheme(context, gate, signers) -> None:
    value = b"Bearer " + signers["RS256"].token()
    assert gate.judge(value).fault is None
    for schemes in (("basic",), ("api_key",), ("oauth2",), ()):
        exchange = Gate(context, schemes=schemes).judge(value)
        assert exchange.consumer is None
        assert exchange.fault.kind.code == 900917


def test_entries_of_one_issuer_are_tried_in_order(tmp_path, signers, clock) -> None:
    entries = []
    for name, audience in (("RS256", "a"), ("ES256", "b"), ("EdDSA", "")):
        (tmp_path / name).write_bytes(signers[name].pem)
        entries.append(
            JwtIssuer(issuer=ISSUER, certificate_file=str(tmp_path / name), audience=(audience,) if audience else ())
        )
    gate = Gate(SecurityContext(settings_of(*entries), None, clock=clock))
    assert gate.reason(signers["RS256"].token(good_claims(aud="a"))) == ""
    assert gate.reason(signers["ES256"].token(good_claims(aud="b"))) == ""
    assert gate.reason(signers["EdDSA"].token(good_claims(aud="anything"))) == ""
    assert gate.reason(signers["RS256"].token(good_claims(aud="b"))) == refusals.AUDIENCE


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER.upper(), " " + ISSUER, "", None, 1, [ISSUER], {"a": ISSUER}])
def test_the_issuer_must_be_the_same_to_the_letter(issuer, gate, signers) -> None:
    assert gate.reason(signers["RS256"].token(good_claims() | {"iss": issuer})) == refusals.ISSUER


def test_an_open_operation_has_no_stage(context) -> None:
    operation = Operation(id="op", method="GET", path="/", security=Security(opened_by="x-auth-type at a.yaml:3"))
    api = Api(id="a", name="a", version="1", base_path="/a", file="a.yaml", operations=(operation,))
    assert authenticate.link(context, api, operation) is None


def test_without_issuers_every_token_is_refused(signers) -> None:
    gate = Gate(SecurityContext(settings_of(), None))
    assert gate.reason(signers["RS256"].token()) == refusals.ISSUER
    assert gate.judge().fault.reason == refusals.MISSING


@pytest.mark.parametrize("where", ["api", "settings"])
def test_the_credential_may_come_in_another_field(where, key_set_file, signers, clock) -> None:
    settings = settings_of(JwtIssuer(issuer=ISSUER, jwks_file=key_set_file))
    if where == "settings":
        settings = settings_of(*settings.issuers, auth=Auth(authorization_header="X-Auth"))
    gate = Gate(SecurityContext(settings, None, clock=clock), auth_header="X-Auth" if where == "api" else "")
    value = b"Bearer " + signers["RS256"].token()
    for name in (b"X-Auth", b"x-auth", b"X-AUTH"):
        for _ in range(2):
            assert gate.judge(lines=[b"Host: a", name + b": " + value]).consumer.name == "alice"
    assert gate.judge(value).fault.reason == refusals.MISSING
    twice = gate.judge(lines=[b"X-Auth: " + value, b"x-auth: " + value])
    assert (twice.fault.kind.status, twice.fault.reason) == (401, refusals.REPEATED)


def test_the_old_challenge_can_be_had(key_set_file, clock) -> None:
    settings = settings_of(
        JwtIssuer(issuer=ISSUER, jwks_file=key_set_file), compatibility=Compatibility(statuses="wso2")
    )
    context = SecurityContext(settings, None, clock=clock)
    text = ', error="invalid token" , error_description="The access token expired"'
    bearer = 'OAuth2 realm="WSO2 API Microgateway"'
    assert challenge(Gate(context).judge()) == bearer + text
    both = Gate(context, schemes=("oauth2", "jwt", "basic"))
    assert challenge(both.judge()) == f'{bearer} Basic Auth realm="WSO2 API Microgateway"{text}'


def issue_certificate(signer: Signer, days: tuple[int, int]) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    start, end = (dt.datetime.fromtimestamp(NOW, dt.UTC) + dt.timedelta(days=day) for day in days)
    builder = x509.CertificateBuilder(name, name, signer.private.public_key(), x509.random_serial_number(), start, end)
    return builder.sign(signer.private, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("days", "expected"), [((-1, 1), ""), ((-2, -1), refusals.KEY_EXPIRED), ((1, 2), refusals.KEY_EXPIRED)]
)
def test_a_certificate_outside_its_dates_vouches_for_nothing(days, expected, tmp_path, signers, clock) -> None:
    file = tmp_path / "issuer.pem"
    file.write_bytes(issue_certificate(signers["RS256"], days))
    gate = Gate(SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, certificate_file=str(file))), None, clock=clock))
    assert gate.reason(signers["RS256"].token()) == expected


def test_a_verdict_does_not_outlive_the_certificate(tmp_path, signers, clock) -> None:
    file = tmp_path / "issuer.pem"
    file.write_bytes(issue_certificate(signers["RS256"], (-1, 1)))
    gate = Gate(SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, certificate_file=str(file))), None, clock=clock))
    token = signers["RS256"].token(good_claims(exp=None))
    assert gate.reason(token) == ""
    clock.now = NOW + 86_400
    assert gate.reason(token) == refusals.KEY_EXPIRED


def test_a_certificate_ignores_key_ids_unless_there_is_a_key_set(tmp_path, signers, key_set_file, clock) -> None:
    file = tmp_path / "key.pem"
    fixed = Signer("ES256", "unheard-of")
    file.write_bytes(fixed.pem)
    alone = JwtIssuer(issuer=ISSUER, certificate_file=str(file))
    beside = JwtIssuer(issuer=ISSUER, certificate_file=str(file), jwks_file=key_set_file)
    gate = Gate(SecurityContext(settings_of(alone), None, clock=clock))
    assert gate.reason(fixed.token()) == ""
    gate = Gate(SecurityContext(settings_of(beside), None, clock=clock))
    assert gate.reason(fixed.token()) == refusals.KEY_UNKNOWN
    assert gate.reason(fixed.token(kid=None)) == ""
    assert gate.reason(signers["RS256"].token()) == ""


def test_a_token_without_key_id_is_held_against_the_fitting_keys(gate, signers) -> None:
    assert gate.reason(signers["ES256"].token(kid=None)) == ""
    assert gate.reason(Signer("ES256", None).token()) == refusals.SIGNATURE


def test_keys_with_the_same_id_are_all_tried(tmp_path, clock) -> None:
    pair = [Signer("ES256", "same"), Signer("ES256", "same")]
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(*(signer.jwk() for signer in pair)))
    gate = Gate(SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, jwks_file=str(file))), None, clock=clock))
    assert [gate.reason(signer.token()) for signer in pair] == ["", ""]


@pytest.mark.parametrize(
    ("entry", "content", "message"),
    [
        ({}, None, f"issuer `{ISSUER}` has no key, so none of its tokens can be verified"),
        ({"certificate_file": "FILE"}, None, "cannot read `FILE`: no such file or directory"),
        (
            {"certificate_file": "FILE"},
            b"x",
            f"issuer `{ISSUER}` cannot use `FILE`: it holds neither a PEM certificate nor a PEM public key",
        ),
        ({"jwks_file": "FILE"}, None, "cannot read `FILE`: no such file or directory"),
        ({"jwks_file": "FILE"}, b"<html>", "the key set `FILE` is not JSON"),
        ({"jwks_file": "FILE"}, b'{"keys":[{"kty":"RSA"}]}', "the key set `FILE` has no key that can verify a token"),
    ],
)
def test_weakness_1_and_case_08_no_key_material_stops_the_start(entry, content, message, tmp_path) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    values = {name: str(file) for name in entry}
    with pytest.raises(KeyMaterialError) as caught:
        prove(settings_of(JwtIssuer(issuer=ISSUER, **values)), Plan(project="", engine="", apis=(), upstreams=()))
    assert str(caught.value) == message.replace("FILE", str(file))


def test_the_code_that_verifies_is_imported_for_issuers_alone(run_python) -> None:
    run_python(
        """
        import sys
        from microgate.runtime.security import authenticate, authorise, context
        from microgate.settings.model import Settings
        context.SecurityContext(Settings(), None)
        assert "cryptography" not in sys.modules
        assert "microgate.runtime.security.tokens.issuers" not in sys.modules
        """
    )


def trust_store(signer: Signer, alias: str, password: bytes) -> bytes:
    """A PKCS#12 store with one trusted certificate, as keytool makes it."""
    certificate = x509.load_pem_x509_certificate(issue_certificate(signer, (-1, 1)))
    entry = pkcs12.PKCS12Certificate(certificate, alias.encode())
    return pkcs12.serialize_java_truststore([entry], BestAvailableEncryption(password))


def test_the_certificate_of_an_alias_comes_from_the_trust_store(tmp_path, signers, clock) -> None:
    file = tmp_path / "trust.p12"
    file.write_bytes(trust_store(signers["RS256"], "wso2apim", b"secret"))
    listener = Listener(trust_store_path=str(file), trust_store_password="secret")
    settings = settings_of(JwtIssuer(issuer=ISSUER, certificate_alias="wso2apim"), listener=listener)
    gate = Gate(SecurityContext(settings, None, clock=clock))
    assert gate.reason(signers["RS256"].token()) == ""
    settings = settings_of(JwtIssuer(issuer=ISSUER, certificate_alias="other"), listener=listener)
    with pytest.raises(KeyMaterialError, match="has no certificate `other`") as caught:
        SecurityContext(settings, None)
    assert caught.value.hint.startswith("its certificates are: `wso2apim`; add it: keytool -importkeystore ")
    assert caught.value.hint.endswith(" -srcalias other")


ACCESS = {"aud": "shop", "client_id": "c", "jti": "1"}


@pytest.mark.parametrize(
    ("kind", "claims", "reason"),
    [
        ("at+jwt", {}, ""),
        ("AT+JWT", {}, ""),
        ("application/at+jwt", {}, ""),
        ("JWT", {}, refusals.TYPE),
        (None, {}, refusals.TYPE),
        ("at+jwt", {"client_id": None}, refusals.CLAIMS),
        ("at+jwt", {"jti": ""}, refusals.CLAIMS),
        ("at+jwt", {"sub": None}, refusals.CLAIMS),
        ("at+jwt", {"iat": None}, refusals.CLAIMS),
        ("at+jwt", {"exp": None}, refusals.CLAIMS),
        ("at+jwt", {"aud": None}, refusals.AUDIENCE),
        ("at+jwt", {"aud": "elsewhere"}, refusals.AUDIENCE),
    ],
)
def test_access_tokens_only_are_those_of_rfc_9068(kind, claims, reason, tmp_path, signers, clock) -> None:
    signer = signers["ES256"]
    (tmp_path / "key.pem").write_bytes(signer.pem)
    entry = JwtIssuer(
        issuer=ISSUER, certificate_file=str(tmp_path / "key.pem"), audience=("shop",), access_tokens_only=True
    )
    gate = Gate(SecurityContext(settings_of(entry), None, clock=clock))
    assert gate.reason(signer.token(good_claims(**(ACCESS | claims)), typ=kind)) == reason


@pytest.mark.parametrize("aud", ["a", "b", ["x", "b"], ["a", "b"]])
def test_one_of_several_audiences_suffices(aud, tmp_path, signers, clock) -> None:
    (tmp_path / "key.pem").write_bytes(signers["ES256"].pem)
    entry = JwtIssuer(issuer=ISSUER, certificate_file=str(tmp_path / "key.pem"), audience=("a", "b"))
    gate = Gate(SecurityContext(settings_of(entry), None, clock=clock))
    assert gate.reason(signers["ES256"].token(good_claims(aud=aud))) == ""
    for other in ("c", [], ["A"], None):
        assert gate.reason(signers["ES256"].token(good_claims(aud=other))) == refusals.AUDIENCE
