"""Placeholders: filled only where written, once, and never more than they say."""

from __future__ import annotations

import pytest

from microgate.settings.interpolation import PlaceholderError, fill
from microgate.settings.listener import SHIPPED_KEY_STORE

ENVIRONMENT = {"NAME": "value", "EMPTY": "", "NESTED": "${env:NAME}", "MGW_HOME": "/opt/mgw"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain $NAME $(x) {y}", "plain $NAME $(x) {y}"),
        ("${env:NAME}", "value"),
        ("a-${env:NAME}-${env:NAME}-b", "a-value-value-b"),
        ("${env:MISSING:-some:default-}", "some:default-"),
        ("${env:EMPTY:-default}", "default"),
        ("${env:EMPTY}", ""),
        ("${env:MISSING:-}", ""),
        ("${env:NESTED}", "${env:NAME}"),
        ("${mgw-runtime.home}/x.p12", "/opt/mgw/x.p12"),
        ("${ballerina.home}/bre/x.p12", "/opt/mgw/runtime/bre/x.p12"),
    ],
)
def test_a_placeholder_is_filled_once(text, filled):
    assert fill(text, ENVIRONMENT).text == filled


def test_a_secret_comes_from_its_file_without_the_final_line_end(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"geheim \n\n")
    assert fill(f"${{file:{secret}}}", {}) == ("geheim \n", True, True)
    secret.write_bytes(b"x\r\n")
    assert fill(f"${{file:{secret}}}", {}).text == "x"


@pytest.mark.parametrize(
    "text", ["${", "${}", "${env:}", "${file:}", "${env:MISSING}", "${NAME}", "${file:a\0b}", "${x:y}"]
)
def test_what_cannot_be_filled_is_refused(text):
    with pytest.raises(PlaceholderError):
        fill(text, {})


def test_a_secret_file_is_bounded_and_text(tmp_path):
    secret = tmp_path / "secret"
    for content, reason in ((b"x" * 65_537, "larger"), (b"\xff", "no text")):
        secret.write_bytes(content)
        with pytest.raises(PlaceholderError, match=reason):
            fill(f"${{file:{secret}}}", {})
    with pytest.raises(PlaceholderError, match="is a directory"):
        fill(f"${{file:{tmp_path}}}", {})


def test_the_shipped_store_keeps_its_placeholder_where_there_is_none(tmp_path):
    assert fill(SHIPPED_KEY_STORE, {}).text == SHIPPED_KEY_STORE
    home = {"MGW_HOME": str(tmp_path)}
    assert fill(SHIPPED_KEY_STORE, home).text == SHIPPED_KEY_STORE
    store = tmp_path / "runtime/bre/security/ballerinaKeystore.p12"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"x")
    assert fill(SHIPPED_KEY_STORE, home).text == str(store)


def test_numbers_and_arrays_may_come_through_placeholders(configure):
    text = "[listenerConfig]\nhttpPort = '${env:PORT:-8080}'\ntrustedProxies = ['${env:NET:-10.0.0.0/8}']\n"
    assert configure(text).listener.http_port == 8080
    outcome = configure(text, environ={"PORT": "1", "NET": "::1"})
    assert (outcome.listener.http_port, outcome.listener.trusted_proxies) == (1, ("::1",))
    # Nothing but the file is filled.
    assert configure(environ={"accessLogConfig_path": "${env:PORT}", "PORT": "1"}).access_log.path == "${env:PORT}"
