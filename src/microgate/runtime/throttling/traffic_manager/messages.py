"""What a message of the topic `throttleData` says (WSO2 §11.3): that a key is throttled, a key template, or a block.

Anybody's bytes may come: what cannot be read is None, and nothing here raises. `following.py` takes what is said.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from microgate.runtime.messaging.maps import read_members

MAX_KEY = 4_096
MAX_CONDITIONS = 65_536
MAX_VALUE = 4_096
_LATEST_MS = 1 << 50


class Decision(NamedTuple):
    """`until` is in milliseconds since 1970; `conditions` is as it came, "" for none."""

    key: str
    throttled: bool
    until: int
    conditions: str


class Template(NamedTuple):
    """A key template that is added or removed; `timestamp` is the sender's, 0 where it gives none."""

    template: str
    added: bool
    timestamp: int


class Blocked(NamedTuple):
    """A blocking condition that is set or lifted. `identity` names it, "" where the sender does not."""

    kind: str
    value: str
    active: bool
    identity: str
    tenant: str


Said: TypeAlias = Decision | Template | Blocked


def read(body: bytes, headers: dict[str, object]) -> Said | None:
    """A JMS map, a JSON object, or headers without a body."""
    members = read_members(body, headers)
    if members is None:
        return None
    if "throttleKey" in members:
        return _decision(members)
    if "keyTemplateValue" in members:
        return _template(members)
    if "blockingCondition" in members:
        return _blocked(members)
    return None


def _decision(members: dict[str, object]) -> Decision | None:
    key, throttled = _text(members.get("throttleKey"), MAX_KEY), _truth(members.get("isThrottled"))
    until = _number(members.get("expiryTimeStamp"))
    conditions = _text(members.get("evaluatedConditions") or "", MAX_CONDITIONS)
    if not key or throttled is None or conditions is None or (throttled and until <= 0):
        return None
    return Decision(key, throttled, until, conditions)


def _template(members: dict[str, object]) -> Template | None:
    template, state = _text(members.get("keyTemplateValue"), MAX_KEY), members.get("keyTemplateState")
    if not template or not isinstance(state, str):
        return None
    return Template(template, state == "add", _number(members.get("timestamp")))


def _blocked(members: dict[str, object]) -> Blocked | None:
    kind, value = members.get("blockingCondition"), members.get("conditionValue")
    active = _truth(members.get("state"))
    if isinstance(value, dict):
        value = msgspec.json.encode(value).decode()
    value = _text(value, MAX_VALUE)
    if not isinstance(kind, str) or not value or active is None:
        return None
    identity, tenant = members.get("id"), members.get("tenantDomain")
    name = str(identity)[:MAX_VALUE] if isinstance(identity, str | int) else ""
    return Blocked(kind.strip().upper(), value, active, name, tenant if isinstance(tenant, str) else "")


def _text(value: object, longest: int) -> str | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) and len(value) <= longest else None


def _truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return value.strip().lower() == "true" if isinstance(value, str) else None


def _number(value: object) -> int:
    """A moment in milliseconds; 0 for what is none."""
    if isinstance(value, str):
        try:
            value = int(value[:20])
        except ValueError:
            return 0
    if isinstance(value, float):
        value = int(value) if abs(value) < _LATEST_MS else 0
    return min(value, _LATEST_MS) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
