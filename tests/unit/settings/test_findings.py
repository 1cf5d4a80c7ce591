"""What is wrong with settings is said at its place, in words that help, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from microgate.settings.catalogue import CATALOGUE

KEY = 'jwksURL = "https://id.example/jwks"'
ISSUER = f'[[jwtTokenConfig]]\nissuer = "https://id.example"\n{KEY}\n'

# Text of a file, the line and code of the one error in it, what it says, and what the hint says.
FOUND = "[[jwtTokenConfig]]\nissuer = 'https://a/t'\ndiscovery = true\n"
PAGES = "[corsConfiguration]\ncorsConfigurationEnabled = true\n"
STORE = "[throttlingConfig.store]\n"
WRONG = [
    (f"{STORE}urls = ['http://:hush@a']\n", 2, "MG512", "has what is no `redis://` or `rediss://` address", ""),
    (f"{STORE}urls = ['redis://']\n", 2, "MG512", "has what is no `redis://` or `rediss://` address", ""),
    (f"{STORE}urls = ['redis://a', 'rediss://b']\n", 2, "MG507", "addresses with TLS and without", "for all"),
    (f"{STORE}waitMillis = 0\n", 2, "MG504", "waitMillis", ""),
    (
        "[[mutualSSLConfig.api.certificates]]\nname = 'T'\nversion = '1'\nsubjects = ['me']\n",
        4,
        "MG504",
        "`me`, which is no subject",
        "CN=shop",
    ),
    ("[apikey.tokenConfigs]\nissuer = ''\n", 2, "MG504", "so no key is its", "default"),
    (f"[[jwtTokenConfig]]\nissuer = 'https://id.example '\n{KEY}\n", 2, "MG504", "ends with a blank", "remove"),
    (f"{ISSUER}jwksFile = 'x.json'\n", 4, "MG507", "`jwtTokenConfig[0].jwksFile` has no effect beside", "keep one"),
    (
        "[[jwtTokenConfig]]\nissuer = 'https://a'\njwksUrl = 'https://a/k'\n",
        3,
        "MG502",
        "`jwtTokenConfig[0].jwksUrl`",
        "jwksURL",
    ),
    ("[b7a.users]\nann = 'secret'\n", 2, "MG502", "`b7a.users.ann`", "`[b7a.users.NAME]` with `password`"),
    ("[b7a.users.ann]\nscope = 'a'\n", 2, "MG502", "`b7a.users.ann.scope`", "`b7a.users.ann.scopes`"),
    ("[mutualSSLConfig]\nenabled = true\n", 2, "MG502", "`mutualSSLConfig.enabled`", "keys of `mutualSSLConfig`: "),
    ("[basicAuthConfig]\nmaxGuesses = 1\n", 2, "MG502", "`basicAuthConfig.maxGuesses`", "failuresPerUser, "),
    (
        f"{PAGES}accessControlAllowOrigins = ['https://a.test/']\n",
        3,
        "MG512",
        "`https://a.test/`, which is no",
        "slash",
    ),
    (f"{PAGES}accessControlAllowOrigins = ['a.test']\n", 3, "MG512", "`a.test`, which is no origin", ""),
    (f"{PAGES}accessControlAllowHeaders = ['X Y']\n", 3, "MG504", "`X Y`, which is no name of a header", ""),
    (f"{PAGES}accessControlAllowMethods = ['GET POST']\n", 3, "MG504", "`GET POST`, which is no method", ""),
    (
        f"{PAGES}accessControlAllowCredentials = true\n",
        3,
        "MG507",
        "any origin is refused by browsers",
        "list the origins",
    ),
    (f"{PAGES}accessControlAllowOrigin = ['*']\n", 3, "MG502", "unknown key", "accessControlAllowOrigins"),
    (f"{ISSUER}audience = ['']\n", 4, "MG504", "`jwtTokenConfig[0].audience` has an empty name", "remove"),
    (
        "[dpopConfig]\norigins = ['https://a.test/']\n",
        2,
        "MG512",
        "`https://a.test/`, which is no origin",
        "final slash",
    ),
    ("[dpopConfig]\norigins = ['a.test']\n", 2, "MG512", "`a.test`, which is no origin", "https://"),
    ("[dpopConfig]\norigins = ['https://']\n", 2, "MG512", "which is no origin", ""),
    ("[listenerConfig\n", 1, "MG501", "a table without its closing `]`", ""),
    ("a = 1\nb = \n", 2, "MG501", "no value where one belongs", "stands in quotes"),
    ("a = 1\na = 2\n", 2, "MG501", "a key that is set already", ""),
    ("a = 1\nb = [1,\nc = 2\n", 3, "MG501", "no value where one belongs", ""),
    ("a = 1\nb = [1, 2\n\n\n", 2, "MG501", "an array without its closing `]`", ""),
    ('a = 1\nb = """x\ny\n', 2, "MG501", "a string without its closing quote", ""),
    ("a = 'x\n", 1, "MG501", "a string without its closing quote", ""),
    ("[a.b]\n[c]\n[a.b]\n", 3, "MG501", "the table `a.b` is there already", "under one header"),
    ("a = " + "[" * 20_000, 0, "MG501", "nested too deeply", ""),
    ("a = " + "9" * 5_000, 0, "MG501", "a number or date", ""),
    ("[listenerConfig]\nhttpPrt = 1\n", 2, "MG502", "`listenerConfig.httpPrt`", "`listenerConfig.httpPort`"),
    ("[listenerConfg]\nhttpPort = 1\n", 2, "MG502", "`listenerConfg.httpPort`", "`listenerConfig.httpPort`"),
    ("[runtimeConfig]\nmaxUriLength = 1\n", 2, "MG502", "`runtimeConfig.maxUriLength`", "listenerConfig.maxUriLength"),
    ("[b7a.log]\nadminConfig.port = 1\n", 2, "MG502", "`b7a.log.adminConfig.port`", "belongs to that table"),
    ("[unheardOf]\n", 1, "MG502", "`unheardOf`", ""),
    (
        f'[[jwtTokenConfig]]\nissuer = "a"\n{KEY}\naudienc = "b"\n',
        4,
        "MG502",
        "`jwtTokenConfig[0].audienc`",
        "audience",
    ),
    ('[b7a.users.admin]\npasword = "x"\n', 2, "MG502", "`b7a.users.admin.pasword`", ""),
    ('[listenerConfig]\nhttpPort = "8080"\n', 2, "MG503", 'must be an integer, not the string "8080"', ""),
    ("[listenerConfig]\nhttpPort = 80.5\n", 2, "MG503", "must be an integer, not the number 80.5", ""),
    ("[listenerConfig]\nhttpPort = true\n", 2, "MG503", "must be an integer, not true", ""),
    ("[listenerConfig]\nhost = 1\n", 2, "MG503", "must be a string, not the number 1", ""),
    ("[listenerConfig]\nhost = 2020-01-01\n", 2, "MG503", "must be a string, not a date or time", ""),
    ("[listenerConfig]\nhalfClose = 'yes'\n", 2, "MG503", 'must be true or false, not the string "yes"', ""),
    ("[listenerConfig]\ntrustedProxies = [1]\n", 2, "MG503", "must be an array of strings, not an array", ""),
    ("listenerConfig = 5\n", 1, "MG503", "`listenerConfig` must be a table", ""),
    ("jwtTokenConfig = [1]\n", 1, "MG503", "`jwtTokenConfig` must be an array of tables", ""),
    ("[caching]\ntokenCacheEvictionFactor = inf\n", 2, "MG503", "must be a number", ""),
    ("[listenerConfig]\nhttpPort = 65536\n", 2, "MG504", "must be between -1 and 65535, not the number 65536", ""),
    ("[listenerConfig]\nhttpPort = -2\n", 2, "MG504", "must be between -1 and 65535", ""),
    ("[listenerConfig]\nmaxUriLength = 0\n", 2, "MG504", "must be at least 1", ""),
    (f"[listenerConfig]\nmaxUriLength = {2**64}\n", 2, "MG504", "must fit 64 bits", ""),
    ("[listenerConfig]\nkeepAlive = 'SOMETIMES'\n", 2, "MG504", "must be one of `AUTO`, `ALWAYS`, `NEVER`", ""),
    ("[accessLogConfig]\npath = 'a\\nb'\nformat = \"x\\u0000\"\n", 3, "MG504", "must not contain control", ""),
    ("[authConfig]\nauthorizationHeader = 'X Y'\n", 2, "MG504", "no name of a header: `X Y`", ""),
    ("[authConfig]\nauthorizationHeader = ''\n", 2, "MG504", "no name of a header", ""),
    ("[[server.headerConf]]\nheaderName = 'X Y'\n", 2, "MG504", "no name of a header: `X Y`", ""),
    ("[[server.headerConf]]\nheaderName = 'Content-Length'\n", 2, "MG504", "cannot be overridden", ""),
    ("[[server.headerConf]]\nheaderName = 'X'\noverrideValue = \"a\\u0000\"\n", 3, "MG504", "not contain control", ""),
    (f"[listenerConfig]\nunixSocket = '/{'a' * 107}'\n", 2, "MG504", "longer than 107 bytes", ""),
    ("[adminConfig]\nhost = '${env:NOWHERE}'\n", 2, "MG505", "`NOWHERE` is not set", "${env:NOWHERE:-default}"),
    ("[adminConfig]\nhost = '${file:/no/such}'\n", 2, "MG505", "cannot read `/no/such`: no such file", ""),
    ("[adminConfig]\nhost = '${unknown:x}'\n", 2, "MG505", "unknown placeholder `${unknown:x}`", "${file:PATH}"),
    ("[adminConfig]\nhost = '${env:X'\n", 2, "MG505", "no closing brace", ""),
    ("[adminConfig]\nhost = '${mgw-runtime.home}/x'\n", 2, "MG505", "needs the environment variable `MGW_HOME`", ""),
    ("[listenerConfig]\nkeyStorePassword = '@encrypted:{aGk=}'\n", 2, "MG506", "is encrypted", "${file:PATH}"),
    ("[listenerConfig]\ncertificateFile = 'a'\n", 2, "MG507", "without `listenerConfig.privateKeyFile`", "add"),
    ("[listenerConfig]\nprivateKeyFile = 'a'\n", 2, "MG507", "without `listenerConfig.certificateFile`", "add"),
    (
        "[listenerConfig]\ncertificateFile = 'a'\nprivateKeyFile = 'b'\nkeyStorePath = 'c'\n",
        4,
        "MG507",
        "both name the server's certificate",
        "keep one",
    ),
    ("[listenerConfig]\nhttpPort = -1\nhttpsPort = -1\n", 2, "MG507", "nothing is served", ""),
    ("[listenerConfig]\nhttpPort = 9095\n", 2, "MG507", "are the same port 9095", ""),
    ("[listenerConfig]\nproxyProtocol = true\n", 2, "MG507", "needs `listenerConfig.trustedProxies`", "networks"),
    (f"[[jwtTokenConfig]]\n{KEY}\n", 1, "MG507", "`jwtTokenConfig[0]` has no `issuer`", "add `issuer`"),
    (f'[[jwtTokenConfig]]\nissuer = ""\n{KEY}\n', 2, "MG507", "`jwtTokenConfig[0].issuer` is empty", ""),
    (
        "[[listenerConfig.certificates]]\ncertificateFile = 'a'\n",
        1,
        "MG507",
        "`listenerConfig.certificates[0]` has no `privateKeyFile`",
        "",
    ),
    ('[[jwtTokenConfig]]\nissuer = "a"\n', 1, "MG508", "the issuer `a` has no key", "certificateFile"),
    ('[jwtTokenConfig]\nissuer = "a"\n', 2, "MG508", "the issuer `a` has no key", "certificateFile"),
    ('[[jwtTokenConfig]]\nissuer = "a"\njwksURL = ""\n', 1, "MG508", "the issuer `a` has no key", ""),
    ('[[jwtTokenConfig]]\nissuer = "a"\njwksURL = "file:///x"\n', 3, "MG512", "no http or https address", ""),
    ("[listenerConfig]\ntrustedProxies = ['10.0.0.1/8']\n", 2, "MG512", "no network", "did you mean `10.0.0.0/8`?"),
    ("[listenerConfig]\ntrustedProxies = ['proxy']\n", 2, "MG512", "`proxy`, which is no network", "10.0.0.0/8"),
    ("[security]\nallowedAddresses = ['office']\n", 2, "MG512", "`office`, which is no network", "10.0.0.0/8"),
    ("[security]\ndeniedAddresses = ['10.1.1.1/8']\n", 2, "MG512", "no network", "did you mean `10.0.0.0/8`?"),
    (f"{FOUND}jwksURL = 'https://a/k'\n", 3, "MG507", "both say where the keys are", "keep one"),
    (FOUND.replace("https", "http"), 3, "MG512", "needs an issuer that is an https address", "jwksURL"),
    (FOUND.replace("/t", "/t?x=1"), 3, "MG512", "without a query", "jwksURL"),
    (f"{FOUND}accessTokensOnly = true\n", 4, "MG507", "needs `jwtTokenConfig[0].audience`", "add `audience`"),
    ("[forwardingConfig]\nidentityHeaders = ['X-User', 'Host']\n", 2, "MG504", "without which no request", ""),
    ("[forwardingConfig]\nidentityHeaders = ['authorization']\n", 2, "MG504", "without which no request", ""),
    ("[forwardingConfig]\nidentityHeaders = ['X User']\n", 2, "MG504", "which is no name of a header", ""),
    *(
        (
            f"[resolver]\nnameServers = ['192.0.2.1', '{server}']\n",
            2,
            "MG512",
            f"`{server}`, which is no address",
            "192.0.2.1:5353",
        )
        for server in ("dns.example", "", "192.0.2.1:", "192.0.2.1:65536", "[::1", "[::1]53", "[::1]:0", "fe80::1%lo")
    ),
    ("[listenerConfig]\nhost = 'http://x'\n", 2, "MG512", "no host", ""),
    ("store_prod_endpoint_0 = 'backend:80'\n", 1, "MG512", "does not begin with `http://`", "http://host"),
    ("store_prod_endpoint_0 = 'http://backend:99999'\n", 1, "MG512", "port out of range", "http://host"),
    ("store_prod_endpoint_0 = 'http://backend:http'\n", 1, "MG512", "is no address of a backend", "http://host"),
    ("store_prod_endpoint_0 = 'http://[::1'\n", 1, "MG512", "is no address of a backend", "http://host"),
    ("store_prod_endpoint_0 = 'http://a b'\n", 1, "MG512", "holds a blank", "http://host"),
    ("store_prod_endpoint_0 = 'http://me:secret@a'\n", 1, "MG512", "carries a user name or password", "not supported"),
    ("store_prod_endpoint_0 = 5\n", 1, "MG503", "must be a string", ""),
    ("stor_prod_endpoint_0 = 'http://x'\n", 1, "MG502", "`stor_prod_endpoint_0`", "`store_prod_endpoint_0`"),
]

RESTRICTIONS = [
    "[validationConfig]\nenableRequestValidation = true\n",
    "[validationConfig]\nenableResponseValidation = true\n",
    "[mutualSSLConfig]\nprotocolVersions = 'TLSv1.3'\n",
    "[httpClients.proxy]\nenable = true\n",
    "[httpClients.sslConfig]\ntrustStorePath = 'x.p12'\n",
]


@pytest.mark.parametrize(("text", "line", "code", "message", "hint"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_one_error_with_its_place(configure, text, line, code, message, hint):
    outcome = configure(text, names={"store"})
    assert [(one.code, one.line) for one in outcome.errors] == [(code, line)]
    error = outcome.errors[0]
    assert message in error.message
    assert hint in error.hint
    assert error.file.endswith("micro-gw.conf")


@pytest.mark.parametrize("text", RESTRICTIONS)
def test_a_restriction_without_a_home_refuses_the_start(configure, text):
    outcome = configure(text)
    assert [one.code for one in outcome.errors] == ["MG509"]
    assert "not supported yet" in outcome.errors[0].message
    # The same holds under `gateway`, which is lenient in names only.
    assert [one.code for one in configure(text, strict=False).errors] == ["MG509"]


@pytest.mark.parametrize(
    ("text", "message", "ours"),
    [
        (
            '[[jwtTokenConfig]]\nissuer = "a"\ncertificateAlias="x"\nclaimMapperClassName = "org.example.Mapper"\n',
            "`org.example.Mapper`, which cannot run here",
            "`claimMapper`",
        ),
        ("[jwtGeneratorConfig]\ngeneratorImpl = 'org.example.Mine'\n", "`org.example.Mine`", "`generator`"),
        (
            "[jwtGeneratorConfig.claimRetrieval]\nretrieverImpl = 'org.example.Mine'\n",
            "`org.example.Mine`",
            "`claimRetrieval.retriever`",
        ),
    ],
)
def test_a_java_class_refuses_the_start_and_names_what_takes_its_place(configure, text, message, ours):
    (error,) = configure(text, strict=False).errors
    assert error.code == "MG509"
    assert message in error.message
    assert ours in error.hint
    assert error.line


def test_a_registered_claim_cannot_be_renamed(configure):
    text = '[[jwtTokenConfig]]\nissuer = "a"\ncertificateAlias="x"\nclaims = [{ remoteClaim = "user", localClaim = "sub" }]\n'
    (error,) = configure(text).errors
    assert (error.code, "`sub`" in error.message) == ("MG504", True)


def test_all_findings_are_shown_at_once_in_the_order_of_the_file(configure):
    text = "[listenerConfig]\nhttpPrt = 1\nhttpsPort = 'x'\ntrustedProxies = ['x']\n"
    text += "[validationConfig]\nenableRequestValidation = true\n"
    outcome = configure(text, overrides={"no.such": "1"}, environ={"listenerConfig_maxConnection": "5"})
    assert [(one.code, one.file.rpartition("/")[2], one.line) for one in outcome.errors] == [
        ("MG502", "micro-gw.conf", 2),
        ("MG503", "micro-gw.conf", 3),
        ("MG509", "micro-gw.conf", 6),
        ("MG502", "command line", 0),
        ("MG502", "environment variable listenerConfig_maxConnection", 0),
    ]
    assert outcome.errors[-1].hint == "did you mean `listenerConfig_maxConnections`?"


@pytest.mark.parametrize(
    ("environ", "overrides", "code", "message", "hint"),
    [
        ({"listenerConfig_httpPort": "x"}, {}, "MG503", '`listenerConfig.httpPort` must be an integer, not "x"', ""),
        ({"listenerConfig_httpPort": ""}, {}, "MG503", 'must be an integer, not ""', ""),
        ({"listenerConfig_httpPort": "9" * 40}, {}, "MG503", "must be an integer", ""),
        ({"listenerConfig_httpPort": "1e3"}, {}, "MG503", "must be an integer", ""),
        ({}, {"listenerConfig.halfClose": "1"}, "MG503", "must be true or false", ""),
        ({"keyManager_external": "maybe"}, {}, "MG503", "`keyManager.external` must be true or false", ""),
        ({}, {"b7a.log.level": "loud"}, "MG504", "must be one of `DEBUG`", ""),
        ({}, {"jwtTokenConfig": "[]"}, "MG513", "only the file can hold", "configuration file"),
        ({"listenerConfig_certificates": "x"}, {}, "MG502", "`listenerConfig_certificates`", ""),
        ({}, {"listenerConfig": "x"}, "MG503", "`listenerConfig` must be a table", ""),
        ({}, {"httpPort": "1"}, "MG502", "`httpPort`", "`listenerConfig.httpPort`"),
        (
            {"MICROGATE_LISTENER_CONFIG_HTTP_PRT": "1"},
            {},
            "MG502",
            "`MICROGATE_LISTENER_CONFIG_HTTP_PRT`",
            "`MICROGATE_LISTENERCONFIG_HTTPPORT`",
        ),
        ({"b7a_log_levl": "INFO"}, {}, "MG502", "`b7a_log_levl`", "`b7a_log_level`"),
    ],
)
def test_mistakes_outside_the_file_name_their_variable_or_key(configure, environ, overrides, code, message, hint):
    outcome = configure(environ=environ, overrides=overrides)
    assert [one.code for one in outcome.errors] == [code]
    assert message in outcome.errors[0].message
    assert hint in outcome.errors[0].hint


def test_an_array_of_tables_in_the_file_is_not_changed_from_outside(configure):
    outcome = configure(ISSUER, environ={"jwtTokenConfig_audience": "x"})
    assert [one.code for one in outcome.errors] == ["MG513"]


def test_a_file_that_is_not_there_a_folder_or_no_text_is_one_error(configure, tmp_path):
    from microgate.errors import Findings
    from microgate.settings.load import Sources, load

    for path, reason in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "is a directory"),
        (Path("a\0b"), "usable path"),
    ):
        with pytest.raises(Findings) as raised:
            load(Sources(file=path))
        assert [one.code for one in raised.value.diagnostics] == ["MG501"]
        assert reason in raised.value.diagnostics[0].message
    outcome = configure(b"a = 1\nb = '\xff'\n")
    assert [(one.code, one.line, "not UTF-8" in one.message) for one in outcome.findings] == [("MG501", 2, True)]
    outcome = configure("#" * 300_000)
    assert "larger than" in outcome.findings[0].message


def test_one_broken_value_starts_no_chain_of_errors(configure):
    text = "[listenerConfig]\ncertificateFile = '${env:NOWHERE}'\nprivateKeyFile = 'k'\n"
    assert [one.code for one in configure(text).errors] == ["MG505"]
    text = "[[jwtTokenConfig]]\nissuer = 'a'\ncertificateFile = 5\n"
    assert [one.code for one in configure(text).errors] == ["MG503"]


def test_what_has_no_effect_yet_is_a_warning_only_where_it_was_changed(configure):
    text = ISSUER + "[caching]\ntokenCacheCapacity = 5\ntokenCacheEvictionFactor = 0.5\n"
    outcome = configure(text)
    assert [(one.code, one.line) for one in outcome.findings] == [("MG510", 6)]
    assert outcome.errors == []


def test_a_switched_off_table_needs_no_warnings(configure):
    keys = "username = 'u'\nendpointX = 1\n".replace("endpointX = 1\n", "rotatingPeriod = 5\n")
    off = configure(ISSUER + "[analytics.fileUpload]\nenable = false\n" + keys)
    assert off.findings == []
    on = configure(ISSUER + "[analytics.fileUpload]\nenable = true\n" + keys)
    assert on.codes == ["MG510", "MG510", "MG510"]


def test_pages_without_their_switch_are_warned_of(configure):
    found = configure(ISSUER + "[corsConfiguration]\naccessControlAllowOrigins = ['https://a.test']\n")
    assert found.codes == ["MG510"]
    off = ISSUER + "[corsConfiguration]\ncorsConfigurationEnabled = false\naccessControlAllowOrigins = ['*']\n"
    assert configure(off).findings == []


def test_weak_choices_are_warned_of(configure):
    for text in (
        "[httpClients]\ndisableSslVerification = true\n",
        "[httpClients]\nverifyHostname = false\n",
        ISSUER + "audience = []\n",
        ISSUER + "audience = ''\n",
        ISSUER.replace("https://id.example/jwks", "http://id.example/jwks"),
    ):
        assert "MG514" in configure(text).codes
    assert configure(ISSUER.replace("https://id.example/jwks", "http://127.0.0.1:1/jwks")).findings == []


def test_every_code_has_a_page_and_every_page_a_code():
    folder = Path(__file__).parents[3] / "docs" / "diagnostics"
    pages = {path.stem: path.read_text() for path in folder.glob("MG5*.md")}
    assert set(pages) == set(CATALOGUE)
    for code, (_, title) in CATALOGUE.items():
        assert pages[code].startswith(f"# {code}: {title}\n")


def test_the_example_on_each_page_gives_its_finding(configure):
    folder = Path(__file__).parents[3] / "docs" / "diagnostics"
    for code in CATALOGUE:
        examples = re.findall(r"```toml\n(.*?)```", (folder / f"{code}.md").read_text(), re.DOTALL)
        if examples:
            assert code in configure(examples[0]).codes, code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[listenerConfig]\nhttpPort = 65536\n", "MG504"),
        ('[listenerConfig]\nhttpPort = "no"\n', "MG503"),
        ("[authConfig]\nauthorizationHeader = 'X Y'\n", "MG504"),
        ("[listenerConfig]\ntrustedProxies = ['nonsense']\n", "MG512"),
        ("[listenerConfig]\nkeyStorePassword = '@encrypted:{abc}'\n", "MG506"),
    ],
)
def test_a_wrong_value_in_the_file_is_wrong_whoever_overrides_it(configure, text, code):
    table, key, _ = re.match(r"\[(.*)\]\n(\w+) (.*)", text).groups()
    good = {"httpPort": "8080", "authorizationHeader": "X", "trustedProxies": "10.0.0.0/8", "keyStorePassword": "x"}
    for source in ({"overrides": {f"{table}.{key}": good[key]}}, {"environ": {f"{table}_{key}": good[key]}}):
        outcome = configure(text, **source)
        assert [(one.code, one.line) for one in outcome.errors] == [(code, 2)]


def test_what_is_overridden_is_judged_for_itself_alone(configure):
    text = f"{ISSUER}[listenerConfig]\nhttpPort = 80\ncertificateFile = 'a.pem'\nprivateKeyFile = 'a.key'\n"
    outcome = configure(text, overrides={"listenerConfig.httpPort": "81", "listenerConfig.certificateFile": "b.pem"})
    assert outcome.findings == []
    assert outcome.listener.http_port == 81


def test_what_is_wrong_in_both_places_is_said_of_both(configure):
    outcome = configure("[listenerConfig]\nhttpPort = 65536\n", overrides={"listenerConfig.httpPort": "no"})
    assert {(one.code, one.file.rpartition("/")[2]) for one in outcome.errors} == {
        ("MG504", "micro-gw.conf"),
        ("MG503", "command line"),
    }
