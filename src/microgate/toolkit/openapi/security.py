"""Security schemes and requirements of plain OpenAPI, as they are written. What they mean for an operation is decided in the
compiler (resolving security), since WSO2's extensions take part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Cursor, Spot
    from microgate.toolkit.openapi.references import References

TOKENS, BASIC, API_KEY, MUTUAL_TLS = "oauth2", "basic", "api_key", "mutual_tls"
_TYPE_NAMES = ("oauth2", "openIdConnect", "http", "apiKey", "mutualTLS", "basic")
SCHEME_TYPES = {name.lower(): name for name in _TYPE_NAMES}
_TOKEN_SCHEMES = ("bearer", "jwt", "dpop")


@dataclass(frozen=True)
class Named:
    """One scheme named by a requirement, with its scopes."""

    scheme: str
    scopes: tuple[str, ...]
    at: Spot


@dataclass(frozen=True)
class Requirements:
    """A `security` list: alternatives, each of schemes that go together. Empty alternatives ask for nothing."""

    alternatives: tuple[tuple[Named, ...], ...]
    at: Spot

    def named(self) -> Iterator[Named]:
        for alternative in self.alternatives:
            yield from alternative

    @property
    def allows_nobody_known(self) -> bool:
        """Plain OpenAPI would let anybody in."""
        return not self.alternatives or any(not alternative for alternative in self.alternatives)


def read_schemes(root: Cursor, references: References, report: Report) -> dict[str, str]:
    """The kind of each scheme by its name: one of oauth2, basic, api_key, mutual_tls, or "" for one nobody knows."""
    components = root.get("components")
    schemes = root.get("securityDefinitions") or (components.get("securitySchemes") if components else None)
    found: dict[str, str] = {}
    if schemes is None:
        return found
    if not schemes.is_mapping:
        message = f"`{schemes.key}` must be a mapping, not {schemes.kind}"
        report.add(schemes.spot.diagnostic(catalogue.WRONG_TYPE, message))
    for name, member in schemes.members():
        scheme = references.follow(member)
        found[name] = "" if scheme is None else _kind(name, scheme, report)
    return found


def _kind(name: str, scheme: Cursor, report: Report) -> str:
    kind = scheme.get("type")
    word = kind.text.lower() if kind is not None and kind.text else ""
    if word not in SCHEME_TYPES:
        at = scheme if kind is None else kind
        message = f"the security scheme `{shown(name)}` has no known type"
        hint = did_you_mean(word, SCHEME_TYPES.values(), f"types are {', '.join(SCHEME_TYPES.values())}")
        report.add(at.spot.diagnostic(catalogue.WRONG_TYPE, message, hint))
    if word in ("oauth2", "openidconnect"):
        return TOKENS
    if word == "http":
        http_scheme = scheme.get("scheme")
        http = http_scheme.text.lower() if http_scheme is not None and http_scheme.text else ""
        return TOKENS if http in _TOKEN_SCHEMES else BASIC if http == "basic" else ""
    return {"basic": BASIC, "apikey": API_KEY, "mutualtls": MUTUAL_TLS}.get(word, "")


def read_requirements(parent: Cursor, report: Report) -> Requirements | None:
    """`security` of a document or an operation; None where there is none."""
    security = parent.get("security")
    if security is None:
        return None
    if not security.is_list:
        message = f"`security` must be a list of requirements, not {security.kind}"
        report.add(security.spot.diagnostic(catalogue.WRONG_TYPE, message, "write `security: [{name: [scopes]}]`"))
        return None
    alternatives: list[tuple[Named, ...]] = []
    for item in security.items():
        if not item.is_mapping:
            message = f"a security requirement must be a mapping of a scheme to its scopes, not {item.kind}"
            report.add(item.spot.diagnostic(catalogue.WRONG_TYPE, message, f"write `{shown(item.text or 'name')}: []`"))
            continue
        alternatives.append(tuple(_named(name, member, report) for name, member in item.members()))
    return Requirements(tuple(alternatives), security.spot)


def _named(name: str, member: Cursor, report: Report) -> Named:
    scopes: list[str] = []
    if not member.is_list:
        message = f"the scopes of `{shown(name)}` must be a list, not {member.kind}"
        report.add(member.spot.diagnostic(catalogue.WRONG_TYPE, message, f"write `{shown(name)}: []` for no scopes"))
    for item in member.items():
        if item.text:
            scopes.append(item.text)
        else:
            report.add(item.spot.diagnostic(catalogue.WRONG_TYPE, f"a scope must be a text, not {item.kind}"))
    return Named(name, tuple(scopes), member.key_spot)
