"""Which line of the configuration an error of the start is about."""

from __future__ import annotations

import pytest

from microgate.cli.places import place_of
from microgate.errors import MicrogateError, about
from microgate.settings.reader import Value

VALUES = (
    Value("listenerConfig.host", '"0.0.0.0"', "default"),
    Value("listenerConfig.httpPort", "9090", "command line"),
    Value("listenerConfig.certificateFile", '"tls.pem"', "micro-gw.conf:4"),
    Value("listenerConfig.privateKeyFile", '"tls.key"', "micro-gw.conf:5"),
    Value("listenerConfig.keyStorePassword", "***", "micro-gw.conf:6"),
    Value("jwtTokenConfig[0].issuer", '"https://id.example"', "micro-gw.conf:9"),
    Value("jwtTokenConfig[0].certificateFile", '"id.pem"', "micro-gw.conf:10"),
    Value("accessLogConfig.format", '"{nope}"', "environment variable accessLogConfig_format"),
)


@pytest.mark.parametrize(
    ("message", "hint", "place"),
    [
        ("cannot read the certificate `tls.pem`: no such file or directory", "", "micro-gw.conf:4"),
        ("issuer `https://id.example` cannot use `id.pem`: it is empty", "", "micro-gw.conf:10"),
        ("issuer `https://id.example` has no key", "", "micro-gw.conf:9"),
        ("`accessLogConfig.format`: unknown field `nope`", "", "environment variable accessLogConfig_format"),
        (
            "cannot listen on 0.0.0.0:9090 (http): taken",
            "use another: --set listenerConfig.httpPort=PORT",
            "command line",
        ),
        ("cannot listen on 0.0.0.0:9090 (http): not permitted", "check `listenerConfig.host`", ""),
        ("cannot use `***`", "", ""),
        ("cannot start a worker: no memory", "check the limits on processes and memory", ""),
    ],
)
def test_the_setting_that_a_message_is_about_is_found(message, hint, place):
    assert place_of(MicrogateError(message, hint), VALUES) == place


SHARED = (
    Value("listenerConfig.certificateFile", '"one.pem"', "micro-gw.conf:2"),
    Value("listenerConfig.privateKeyFile", '"one.pem"', "micro-gw.conf:3"),
    Value("jwtTokenConfig[0].issuer", '"https://a.example"', "micro-gw.conf:5"),
    Value("jwtTokenConfig[0].certificateFile", '"one.pem"', "micro-gw.conf:6"),
    Value("jwtTokenConfig[1].issuer", '"https://b.example"', "micro-gw.conf:8"),
    Value("jwtTokenConfig[1].certificateFile", '"two.pem"', "micro-gw.conf:9"),
    Value("jwtTokenConfig[1].jwksFile", '"one.pem"', "micro-gw.conf:10"),
    Value("userStore.file", '"two.pem"', "micro-gw.conf:12"),
)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (("jwtTokenConfig[0].certificateFile",), "micro-gw.conf:6"),
        (("jwtTokenConfig[0]",), "micro-gw.conf:6"),
        (("jwtTokenConfig[1]",), "micro-gw.conf:10"),
        (("listenerConfig.certificateFile", "listenerConfig.privateKeyFile"), "micro-gw.conf:2"),
        (("userStore[0]",), "micro-gw.conf:12"),
        ((), ""),
        (("backend",), ""),
    ],
)
def test_a_value_that_several_settings_have_leads_to_the_one_that_is_meant(settings, place):
    with pytest.raises(MicrogateError) as raised, about(*settings):
        raise MicrogateError("cannot read `one.pem`: no such file or directory")
    assert place_of(raised.value, SHARED) == place


def test_a_key_of_one_table_of_an_array_may_be_named_without_its_number():
    message = "`jwtTokenConfig.certificateFile` cannot be used; nor can `jwtTokenConfig.jwksFile`"
    assert place_of(MicrogateError(message), SHARED) == "micro-gw.conf:6"
    assert place_of(MicrogateError("`jwtTokenConfig.jwksFile` cannot be used"), SHARED) == "micro-gw.conf:10"


def test_who_knows_more_is_not_overruled():
    with pytest.raises(MicrogateError) as raised, about("jwtTokenConfig[0]"), about("userStore[0]"):
        raise MicrogateError("cannot read `one.pem`")
    assert place_of(raised.value, SHARED) == "micro-gw.conf:12"
