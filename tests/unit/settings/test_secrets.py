"""Case 57: secrets are never shown, neither in messages nor by --print-config."""

from __future__ import annotations

import pytest

SECRET = "hunter2"


def everything(outcome) -> str:
    rows = outcome.configuration.values if outcome.configuration else ()
    return repr(outcome.findings) + repr(rows)


@pytest.mark.parametrize(
    "text",
    [
        f"[listenerConfig]\nkeyStorePassword = '{SECRET}'\n",
        f"[listenerConfig]\nkeyStorePasswrd = '{SECRET}'\n",
        f"[listenerConfig]\nkeyStorePassword = ['{SECRET}']\n",
        f"[listenerConfig]\nkeyStorePassword = '{SECRET}\n",
        f"[listenerConfig]\nkeyStorePassword = '@encrypted:{SECRET}'\n",
        f'[listenerConfig]\nkeyStorePassword = "{SECRET}\\u0000"\n',
        f"[b7a.users.admin]\npassword = '{SECRET}'\n",
        f"[b7a.users.admin]\npassword = {{x = '{SECRET}'}}\n",
        f"[jwtGeneratorConfig.claimRetrieval.configuration]\npassword = '{SECRET}'\n",
        f"[tokenRevocationConfig.realtime]\njmsConnectionProviderUrl = 'amqp://a:{SECRET}@b'\n",
        f"store_prod_basic_password = '{SECRET}'\n",
        f"store_prod_endpoint_0 = 'http://user:{SECRET}@host/'\n",
        f"store_prod_endpoint_0 = 'user:{SECRET}@host'\n",
        "[listenerConfig]\nkeyStorePassword = '${env:PASSWORD}'\n",
        "[listenerConfig]\nhttpPort = '${env:PASSWORD}'\n",
        "[listenerConfig]\nkeepAlive = '${env:PASSWORD}'\n",
        f"[listenerConfig]\nkeyStorePassword = '${{unknown}}{SECRET}'\n",
    ],
)
def test_a_secret_is_never_shown(configure, text):
    assert SECRET not in everything(configure(text, names={"store"}, environ={"PASSWORD": SECRET}))


def test_a_value_from_a_file_of_its_own_is_taken_for_a_secret(configure, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    text = f"[accessLogConfig]\nformat = '${{file:{tmp_path}/secret}}'\n"
    outcome = configure(text)
    assert outcome.access_log.format == SECRET
    assert outcome.row("accessLogConfig.format")[0] == "***"
    assert SECRET not in everything(outcome)


def test_a_secret_from_outside_the_file_is_not_shown_either(configure):
    outcome = configure(environ={"listenerConfig_keyStorePassword": SECRET}, overrides={"etcdpassword": SECRET})
    assert outcome.listener.key_store_password == SECRET
    assert SECRET not in everything(outcome)
    assert outcome.row("listenerConfig.keyStorePassword")[0] == "***"
    assert outcome.row("keyManager.security.oauth2.refresh.clientSecret") == ('""', "default")
