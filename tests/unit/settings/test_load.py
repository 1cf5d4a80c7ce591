"""Where settings come from and which source wins."""

from __future__ import annotations

import pytest

ISSUER = '[[jwtTokenConfig]]\nissuer = "https://id.example"\njwksURL = "https://id.example/jwks"\n'


def test_without_any_source_everything_is_at_its_default_and_no_issuer_is_trusted(configure):
    outcome = configure()
    assert outcome.listener.http_port == 9090
    assert outcome.listener.max_uri_length == 4096
    assert outcome.issuers == ()
    assert outcome.codes == ["MG511"]
    assert "[[jwtTokenConfig]]" in outcome.findings[0].hint


PORT = "listenerConfig.httpPort"


@pytest.mark.parametrize(
    ("text", "environ", "overrides", "port", "origin"),
    [
        ("", {}, {}, 9090, "default"),
        ("[listenerConfig]\nhttpPort = 1", {}, {}, 1, "micro-gw.conf:2"),
        ("[listenerConfig]\nhttpPort = 1", {"listenerConfig_httpPort": "2"}, {}, 2, "variable listenerConfig_httpPort"),
        ("listenerConfig.httpPort = 1", {"listenerConfig_httpPort": "2"}, {PORT: "3"}, 3, "command line"),
        (
            "",
            {"listenerConfig_httpPort": "2", "MICROGATE_LISTENERCONFIG_HTTPPORT": "4"},
            {},
            4,
            "variable MICROGATE_LISTENERCONFIG_HTTPPORT",
        ),
        ("", {"MICROGATE_LISTENER_CONFIG_HTTP_PORT": " 5 "}, {}, 5, "variable MICROGATE_LISTENER_CONFIG_HTTP_PORT"),
        ("", {}, {PORT: "-1"}, -1, "command line"),
    ],
)
def test_case_57_command_line_over_environment_over_file_over_default(
    configure, text, environ, overrides, port, origin
):
    outcome = configure(text + "\n" + ISSUER, environ=environ, overrides=overrides)
    assert outcome.findings == []
    assert outcome.listener.http_port == port
    shown, place = outcome.row(PORT)
    assert shown == str(port)
    assert place.endswith(origin)


def test_every_kind_of_value_can_come_from_the_environment(configure):
    outcome = configure(
        ISSUER,
        environ={
            "b7a_log_level": "debug",
            "listenerConfig_halfClose": "TRUE",
            "listenerConfig_trustedProxies": "10.0.0.0/8, fd00::/8",
            "accessLogConfig_format": "combined",
            "httpClients_poolConfig_maxIdleConnections": "7",
        },
    )
    assert outcome.findings == []
    assert outcome.b7a.log.level == "DEBUG"
    assert outcome.listener.half_close is True
    assert outcome.listener.trusted_proxies == ("10.0.0.0/8", "fd00::/8")
    assert outcome.access_log.format == "combined"
    assert outcome.backend.max_idle_connections == 7


def test_variables_of_other_programs_are_left_alone(configure):
    environ = {"PATH": "/bin", "server_name": "x", "caching_dir": "y", "MICROGATE": "/opt/bin", "api_key": "z"}
    assert configure(ISSUER, environ=environ).findings == []


def test_tables_may_be_written_dotted_inline_or_as_headers(configure):
    for text in (
        "[httpClients.poolConfig]\nwaitTimeInMillis = 5",
        "httpClients.poolConfig.waitTimeInMillis = 5",
        "httpClients = {poolConfig = {waitTimeInMillis = 5}}",
        "[httpClients]\npoolConfig.waitTimeInMillis = 5",
    ):
        assert configure(text).backend.wait_time_in_millis == 5


def test_issuers_keep_their_order_and_may_be_written_as_one_table_as_before(configure):
    several = configure(ISSUER + '[[jwtTokenConfig]]\nissuer = "b"\ncertificateAlias = "x"\n')
    assert [one.issuer for one in several.issuers] == ["https://id.example", "b"]
    single = configure(
        '[jwtTokenConfig]\nissuer = "b"\ncertificateAlias = "x"\n', environ={"jwtTokenConfig_audience": "a"}
    )
    assert [(one.issuer, one.certificate_alias, one.audience) for one in single.issuers] == [("b", "x", ("a",))]
    assert single.findings == []


def test_a_table_may_be_written_as_an_array_of_one_as_some_pages_of_3x_do(configure):
    assert configure('[[apikey.tokenConfigs]]\nissuer = "x"\n').api_key.token_configs.issuer == "x"


def test_more_certificates_are_an_array_of_tables(configure):
    text = ISSUER + '[[listenerConfig.certificates]]\ncertificateFile = "a.crt"\nprivateKeyFile = "a.key"\n'
    outcome = configure(text)
    assert [one.private_key_file for one in outcome.listener.certificates] == ["a.key"]
    assert outcome.row("listenerConfig.certificates[0].certificateFile") == (
        '"a.crt"',
        outcome.row("listenerConfig.certificates[0].privateKeyFile")[1].replace(":6", ":5"),
    )


@pytest.mark.parametrize(
    ("old", "section", "attribute", "expected"),
    [
        ('keymanager.serverUrl = "https://k"', "key_manager", "server_url", "https://k"),
        ("keyManager = {external = false, serverUrl = 'https://k'}", "key_manager", "enable_legacy_mode", True),
        ("keyManager.external = true", "key_manager", "enable_legacy_mode", False),
        ("keyManager.timestampSkew = 7000", "server", "timestamp_skew", 7000),
        ("httpClients.sslConfig.verifyHostname = false", "backend", "verify_hostname", False),
        ("analytics.username = 'u'", "analytics", "file_upload.username", "u"),
        ("tokenRevocationConfig.persistent.hostname = 'h'", "revocation", "persistent.endpoint_url", "h"),
        ("apim.eventHub.service_url = 'h'", "apim", "event_hub.service_url", "h"),
        ("keyManager.username = 'u'", "key_manager", "security.basic.username", "u"),
        ("keymanager.security.basic.username = 'u'", "key_manager", "security.basic.username", "u"),
        (
            "keymanager.security.oauth2.refresh.client_id = 'c'",
            "key_manager",
            "security.oauth2.refresh.client_id",
            "c",
        ),
    ],
)
def test_old_names_are_understood(configure, old, section, attribute, expected):
    value = getattr(configure(old), section)
    for name in attribute.split("."):
        value = getattr(value, name)
    assert value == expected


def test_todays_name_beats_the_old_one_in_one_source_but_not_across_sources(configure):
    both = "[keyManager]\ntimestampSkew = 7000\n[server]\ntimestampSkew = 1\n"
    assert configure(both).server.timestamp_skew == 1
    outcome = configure(both, environ={"keyManager_timestampSkew": "2"})
    assert outcome.server.timestamp_skew == 2


def test_addresses_of_upstreams_are_kept_under_their_own_names(configure):
    outcome = configure(
        '"pet.store_sand_endpoint_1" = "http://b:2"\n' + ISSUER,
        environ={"pet_store_prod_endpoint_0": "http://a:1/base", "other_prod_endpoint_0": "http://ignored"},
        overrides={"pet.store_prod_endpoint_1": "unix:/run/backend.sock:/base"},
        names={"pet.store"},
    )
    assert outcome.findings == []
    assert outcome.raw == {
        "pet.store_prod_endpoint_0": "http://a:1/base",
        "pet.store_prod_endpoint_1": "unix:/run/backend.sock:/base",
        "pet.store_sand_endpoint_1": "http://b:2",
    }
    assert outcome.row("pet.store_prod_endpoint_0")[0] == '"http://a:1/base"'


def test_quoted_numbers_are_taken_only_where_old_files_are_taken_as_they_are(configure):
    text = ISSUER + '[listenerConfig]\nhttpPort = "8080"\n'
    assert configure(text).codes == ["MG503"]
    assert configure(text, strict=False).listener.http_port == 8080


def test_unknown_keys_are_warnings_where_old_files_are_taken_as_they_are(configure):
    text = ISSUER + "[listenerConfig]\nhttpPrt = 1\n[unheardOf]\nkey = 1\n"
    outcome = configure(text, strict=False)
    assert outcome.codes == ["MG502", "MG502"]
    assert outcome.errors == []
    assert len(configure(text).errors) == 2


def test_users_may_come_from_the_environment(configure):
    outcome = configure(environ={"b7a_users_jane_doe_password": "0" * 40, "b7a_users_jane_doe_scopes": "a,b"})
    assert outcome.errors == []
    assert {name: user.scopes for name, user in outcome.b7a.users.items()} == {"jane_doe": "a,b"}


def test_what_only_seems_to_contradict_is_fine(configure):
    store = "keyStorePath = '${mgw-runtime.home}/runtime/bre/security/ballerinaKeystore.p12'\n"
    assert configure(f"[listenerConfig]\n{store}certificateFile = 'a'\nprivateKeyFile = 'b'\n").errors == []
    assert configure("[listenerConfig]\nhost = '10.0.0.1'\nhttpPort = 9901\n").errors == []
    assert configure("[listenerConfig]\nhttpPort = -1\nhttpsPort = -1\nunixSocket = '/run/gateway.sock'\n").errors == []
    assert configure("[listenerConfig]\nhttpPort = 0\nhttpsPort = 0\n").errors == []
    assert configure("[analytics]\n[b7a.users]\n[apikey.issuer]\n").errors == []
