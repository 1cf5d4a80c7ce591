"""The settings that are read once, when the gateway starts: a reload that changes one of them says so instead of ignoring it.

They shape what outlives generations: sockets, TLS contexts, worker slots, the log's level. Supervisor and one_process.py ask.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.supervisor")

# As the settings file names them, and where they are found.
FIXED = {
    "listenerConfig.host": ("listener", "host"),
    "listenerConfig.httpPort": ("listener", "http_port"),
    "listenerConfig.httpsPort": ("listener", "https_port"),
    "listenerConfig.tokenListenerPort": ("listener", "token_listener_port"),
    "listenerConfig.unixSocket": ("listener", "unix_socket"),
    "listenerConfig.keyStorePath": ("listener", "key_store_path"),
    "listenerConfig.keyStorePassword": ("listener", "key_store_password"),
    "listenerConfig.certificateFile": ("listener", "certificate_file"),
    "listenerConfig.privateKeyFile": ("listener", "private_key_file"),
    "listenerConfig.certificates": ("listener", "certificates"),
    "listenerConfig.maxConnections": ("listener", "max_connections"),
    "adminConfig.host": ("admin", "host"),
    "adminConfig.port": ("admin", "port"),
    "runtimeConfig.workers": ("runtime", "workers"),
    "throttlingConfig.maxKeys": ("throttling", "max_keys"),
    "throttlingConfig.enabledGlobalTMEventPublishing": ("throttling", "enabled_global_tm_event_publishing"),
    "throttlingConfig.stateFile": ("throttling", "state_file"),
    "tokenRevocationConfig.capacity": ("revocation", "capacity"),
    "b7a.log.level": ("b7a", "log", "level"),
}


def _value(settings: object, path: tuple[str, ...]) -> object:
    for name in path:
        settings = getattr(settings, name)
    return settings


class FixedSettings:
    """What was in force at the start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: list[str] = []

    def compare(self, settings: Settings) -> None:
        """Warn in one line of the keys that differ by now; once, until they are others."""
        differing = [key for key, path in FIXED.items() if _value(settings, path) != _value(self._settings, path)]
        if differing and differing != self._told:
            log.warning("changed settings that only a restart brings into force: %s", ", ".join(differing))
        self._told = differing
