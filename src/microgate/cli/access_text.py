"""Who may call an operation, as `microgate routes` tells it: on one line for people, as fields for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.plan.model import Api, KeyPlace, Operation, Requirement, Security

TOKENS = {"oauth2", "jwt"}
MANDATORY = "mandatory"


def text(api: Api, operation: Operation) -> str:
    """What a caller needs, parts that are all needed divided by commas."""
    security = operation.security
    parts: list[str] = []
    if api.mutual_tls:
        parts.append("mutual_tls" if api.mutual_tls == MANDATORY else "mutual_tls if shown")
    if security.opened_by:
        # A certificate that the API demands is demanded of those too who need nothing else.
        parts += [] if api.mutual_tls == MANDATORY else ["open"]
    else:
        parts.append(_alternatives(security) if security.alternatives else _schemes(security))
        if security.bound_tokens:
            parts.append(f"bound tokens: {security.bound_tokens}")
        parts += [f"{key.removeprefix('x-microgate-').replace('-', ' ')}: off" for key in security.waived]
    if operation.ip is not None:
        parts.append("addresses")
    return ", ".join(parts)


def _schemes(security: Security) -> str:
    shown = "|".join(_with_places(kind, security.key_places) for kind in security.schemes)
    if security.scopes:
        shown += f" ({('+' if security.all_scopes else '|').join(security.scopes)})"
    return f"{shown} or nothing" if security.optional else shown


def _with_places(kind: str, places: Iterable[KeyPlace]) -> str:
    named = " or ".join(f"{place.location} {place.name}" for place in places) if kind == "api_key" else ""
    return f"{kind} [{named}]" if named else kind


def _alternatives(security: Security) -> str:
    """The literal reading; a token's two forms, which are two alternatives in a plan, are one to a reader."""
    forms: dict[tuple[Any, ...], list[str]] = {}
    for alternative in security.alternatives:
        first = alternative[0] if alternative else None
        token = first.kind if first is not None and first.kind in TOKENS else ""
        bound = first.bound_tokens if first and first.bound_tokens != security.bound_tokens else ""
        key = (bool(token), (first.scopes, bound) if first else ((), ""), alternative[1:] if token else alternative)
        forms.setdefault(key, []).append(token)
    shown: list[str] = []
    for (is_token, (scopes, bound), others), kinds in forms.items():
        members = ["|".join(kinds) + (f" bound by {bound}" if bound else "") + _scopes(scopes)] if is_token else []
        members += [_with_places(member.kind, member.key_places) + _scopes(member.scopes) for member in others]
        shown.append(" + ".join(members) or "nothing")
    return " or ".join(shown)


def _scopes(scopes: tuple[str, ...]) -> str:
    return f" ({'+'.join(scopes)})" if scopes else ""


def facts(api: Api, operation: Operation) -> dict[str, Any]:
    """The same for machines. `alternatives` are null where `schemes` and `scopes` say it all."""
    security = operation.security
    return {
        "open": bool(security.opened_by) and api.mutual_tls != MANDATORY,
        "openedBy": security.opened_by,
        "schemes": security.schemes,
        "scopes": security.scopes,
        "allScopes": security.all_scopes,
        "keyPlaces": _places(security.key_places),
        "alternatives": [[_requirement(member) for member in members] for members in security.alternatives] or None,
        "optional": security.optional,
        "boundTokens": security.bound_tokens,
        "waived": security.waived,
        "mutualTls": api.mutual_tls,
        "transports": api.transports,
        "allow": operation.ip.allow if operation.ip else (),
        "deny": operation.ip.deny if operation.ip else (),
        "forwardAuth": operation.forward_auth.url if operation.forward_auth else "",
        "cors": api.cors is not None,
    }


def _places(places: Iterable[KeyPlace]) -> list[dict[str, str]]:
    return [{"in": place.location, "name": place.name} for place in places]


def _requirement(member: Requirement) -> dict[str, Any]:
    return {
        "scheme": member.kind,
        "scopes": member.scopes,
        "keyPlaces": _places(member.key_places),
        "boundTokens": member.bound_tokens,
    }
