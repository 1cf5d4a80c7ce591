"""What the keys of `[keyManager]` must be together: addresses that can be asked, and one way to authenticate there."""

from typing import TYPE_CHECKING

from microgate.backend_urls import carries_credentials, url_problem
from microgate.settings import catalogue

if TYPE_CHECKING:
    from microgate.settings.key_manager import KeyManager, OAuthCredentials
    from microgate.settings.model import Settings
    from microgate.settings.rules import Finder

_OAUTH = "keyManager.security.oauth2"


def key_manager(settings: "Settings", finder: "Finder") -> None:
    """A key manager that is configured can be asked; nothing is said about one that is not."""
    manager = settings.key_manager
    oauth = manager.security.oauth2
    for key, url in (
        ("keyManager.serverUrl", manager.server_url),
        ("keyManager.introspectionURL", manager.introspection_url),
        (f"{_OAUTH}.tokenUrl", oauth.token_url),
        (f"{_OAUTH}.refresh.refreshUrl", oauth.refresh.refresh_url),
    ):
        if url:
            _address(key, url, finder)
    if manager.enable_legacy_mode and not manager.server_url:
        key = "keyManager.enableLegacyMode"
        message = f"`{key}` needs `keyManager.serverUrl`"
        finder.found(catalogue.CONTRADICTION, key, message, "set it to the address of the API Manager")
    if not manager.server_url and not manager.introspection_url:
        return
    _credentials(manager, finder)
    name = manager.introspection_issuer or manager.issuer
    if manager.introspection_answer == "jwt" and all(entry.issuer != name for entry in settings.issuers):
        key = "keyManager.introspectionAnswer"
        message = f"`{key}` demands signed answers, and no issuer `{name}` has keys for them"
        hint = "add [[jwtTokenConfig]] for it, or name one of them in `keyManager.introspectionIssuer`"
        finder.found(catalogue.CONTRADICTION, key, message, hint)


def _address(key: str, url: str, finder: "Finder") -> None:
    problem = url_problem(url)
    if not problem and carries_credentials(url):
        problem = "it holds credentials, which have keys of their own"
    if not problem and not url.startswith(("http://", "https://")):
        problem = "it does not begin with `http://` or `https://`"
    if problem:
        finder.found(catalogue.ADDRESS, key, f"`{key}` is no address that can be asked: {problem}")
    elif url.startswith("http://"):
        host = url.partition("://")[2].partition("/")[0]
        if not host.startswith(("127.", "localhost", "[::1]")):
            message = f"`{key}` sends tokens in the clear, so who is on the way can use them"
            finder.found(catalogue.WEAK, key, message, "use https")


def _credentials(manager: "KeyManager", finder: "Finder") -> None:
    basic, oauth = manager.security.basic, manager.security.oauth2
    if not oauth.enabled:
        if not basic.enabled:
            key = "keyManager.security.basic.enabled"
            message = "the gateway does not authenticate at the key manager: Basic and OAuth are both off"
            finder.found(catalogue.WEAK, key, message, f"set `{key}` or `{_OAUTH}.enabled`")
        return
    if basic.enabled:
        key = f"{_OAUTH}.enabled"
        message = f"`{key}` has no effect while `keyManager.security.basic.enabled` is true"
        finder.found(catalogue.CONTRADICTION, key, message, "switch one of them off")
        return
    _grants(oauth, finder)


def _grants(oauth: "OAuthCredentials", finder: "Finder") -> None:
    """Exactly one grant, and an address to ask for it."""
    grants = {
        "clientCredential": oauth.client_credential.enabled,
        "password": oauth.password.enabled,
        "directToken": oauth.direct_token.enabled,
    }
    chosen = [f"`{_OAUTH}.{name}`" for name, is_enabled in grants.items() if is_enabled]
    key = f"{_OAUTH}.enabled"
    if len(chosen) != 1:
        message = f"`{key}` needs one way to a token, and has {' and '.join(chosen) or 'none'}"
        finder.found(catalogue.CONTRADICTION, key, message, "enable one of clientCredential, password and directToken")
    elif not oauth.direct_token.enabled and not oauth.token_url:
        finder.found(
            catalogue.CONTRADICTION, key, f"{chosen[0]} needs `{_OAUTH}.tokenUrl`", "say where tokens are given"
        )
    if oauth.direct_token.enabled and not oauth.direct_token.access_token and not oauth.refresh.enabled:
        key = f"{_OAUTH}.directToken.accessToken"
        finder.found(catalogue.CONTRADICTION, key, f"`{key}` is empty", "say which token")
    if oauth.refresh.enabled and not (oauth.refresh.refresh_url or oauth.token_url):
        key = f"{_OAUTH}.refresh.refreshUrl"
        finder.found(catalogue.CONTRADICTION, key, f"`{key}` is empty", "say where tokens are renewed")
