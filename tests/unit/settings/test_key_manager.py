"""Settings of the key manager: old spellings, addresses that cannot be asked, and credentials that contradict each other."""

from __future__ import annotations

import pytest

BASE = "[keyManager]\nserverUrl = 'https://id.example.com'\n"
NO_BASIC = "[keyManager.security.basic]\nenabled = false\n"
OAUTH = f"{BASE}{NO_BASIC}[keyManager.security.oauth2]\nenabled = true\n"


def test_weakness_13_both_spellings_of_the_client_are_read(configure):
    for grant in ("clientCredential", "password", "refresh"):
        for spelling in ("clientId", "client_id"):
            text = f"{NO_BASIC}[keymanager.security.oauth2.{grant}]\nenabled = true\n{spelling} = 'me'\n"
            oauth = configure(text.replace("keyManager", "keymanager")).key_manager.security.oauth2
            chosen = {"clientCredential": oauth.client_credential, "password": oauth.password, "refresh": oauth.refresh}
            assert chosen[grant].client_id == "me"


def test_nothing_is_asked_unless_an_address_is_given(configure):
    manager = configure("").key_manager
    assert (manager.server_url, manager.introspection_url) == ("", "")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("[keyManager]\nserverUrl = 'id.example.com'\n", "MG512", "no address that can be asked"),
        ("[keyManager]\nserverUrl = 'ftp://id.example.com'\n", "MG512", "no address that can be asked"),
        ("[keyManager]\nintrospectionURL = 'https://a b/'\n", "MG512", "holds a blank"),
        ("[keyManager]\nintrospectionURL = 'https://me:secret@a/'\n", "MG512", "holds credentials"),
        ("[keyManager]\nintrospectionURL = 'unix:/x'\n", "MG512", "does not begin with"),
        ("[keyManager]\nenableLegacyMode = true\n", "MG507", "needs `keyManager.serverUrl`"),
        (f"{BASE}introspectionAnswer = 'jwt'\n", "MG507", "demands signed answers"),
        (f"{BASE}[keyManager.security.oauth2]\nenabled = true\n", "MG507", "has no effect while"),
        (OAUTH, "MG507", "has none"),
        (
            f"{OAUTH}clientCredential.enabled = true\npassword.enabled = true\n",
            "MG507",
            "clientCredential` and `keyManager.security.oauth2.password`",
        ),
        (f"{OAUTH}clientCredential.enabled = true\n", "MG507", "needs `keyManager.security.oauth2.tokenUrl`"),
        (f"{OAUTH}directToken.enabled = true\n", "MG507", "accessToken` is empty"),
        (
            f"{OAUTH}directToken = {{enabled = true, accessToken = 'x'}}\nrefresh.enabled = true\n",
            "MG507",
            "refreshUrl",
        ),
        (f"{OAUTH}credentialBearer = 'HEADER'\n", "MG504", "credentialBearer"),
        ("[keyManager]\ntimeoutInMillis = 0\n", "MG504", "timeoutInMillis"),
        ("[keyManager]\nintrospectionUrl = 'https://a'\n", "MG502", "introspectionUrl"),
    ],
)
def test_a_mistake_stops_the_start(configure, text, code, message):
    outcome = configure(text)
    assert code in outcome.codes
    assert any(message in error.message for error in outcome.errors), outcome.errors
    assert "secret" not in str(outcome.errors)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[keyManager]\nserverUrl = 'http://id.example.com'\n", "in the clear"),
        (f"{BASE}{NO_BASIC}", "does not authenticate at the key manager"),
    ],
)
def test_what_is_weak_is_said(configure, text, message):
    outcome = configure(text)
    assert outcome.errors == []
    assert any(message in warning.message for warning in outcome.findings)
