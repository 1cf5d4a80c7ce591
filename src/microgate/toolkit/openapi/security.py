"""Security schemes and requirements of plain OpenAPI, as they are written. What they mean for an operation is decided in the
compiler (resolving security), since WSO2's extensions take part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microgate.plan.model import KeyPlace
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean, nearest
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import FIELD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Cursor, Spot
    from microgate.toolkit.openapi.references import References

TOKENS, BASIC, API_KEY, MUTUAL_TLS = "oauth2", "basic", "api_key", "mutual_tls"
LITERAL, WSO2 = "literal", "wso2"
READINGS = (LITERAL, WSO2)  # of `security`: an OR of ANDs as OpenAPI means it, or one flat list as 3.x had it
_TYPE_NAMES = ("oauth2", "openIdConnect", "http", "apiKey", "mutualTLS", "basic")
SCHEME_TYPES = {name.lower(): name for name in _TYPE_NAMES}
_TOKEN_SCHEMES = ("bearer", "jwt", "dpop")
# Of IANA's registry, and of Microsoft: nobody means another word by them.
_FOREIGN_SCHEMES = frozenset(
    {"concealed", "digest", "gnap", "hmac", "hoba", "mutual", "negotiate", "ntlm", "oauth", "privatetoken"}
    | {"scram-sha-1", "scram-sha-256", "vapid"}
)


@dataclass(frozen=True)
class SchemeDefinition:
    """How one scheme is checked. `kind` is as in `plan.model.Security.schemes`, "" where nobody can check it."""

    kind: str
    key_place: KeyPlace | None = None  # of an API key
    is_dpop: bool = False  # tokens of their holder alone (RFC 9449)
    is_malformed: bool = False


NOT_CHECKED = SchemeDefinition("")
MALFORMED = SchemeDefinition("", is_malformed=True)


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
    def asked(self) -> str:
        """What asks for nothing, as one writes it."""
        return "`{}` in `security`" if self.alternatives else "`security: []`"

    @property
    def allows_nobody_known(self) -> bool:
        """Plain OpenAPI would let anybody in."""
        return not self.alternatives or any(not alternative for alternative in self.alternatives)


def read_schemes(root: Cursor, references: References, report: Report) -> dict[str, SchemeDefinition]:
    """The schemes that a description defines, by their names."""
    components = root.get("components")
    schemes = root.get("securityDefinitions") or (components.get("securitySchemes") if components else None)
    if schemes is None and components is not None:
        _report_misspelt_schemes(components, report)
    found: dict[str, SchemeDefinition] = {}
    if schemes is None:
        return found
    if not schemes.is_mapping:
        message = f"`{schemes.key}` must be a mapping, not {schemes.kind}"
        report.add(schemes.spot.diagnostic(catalogue.WRONG_TYPE, message))
    for name, member in schemes.members():
        scheme = references.follow(member)
        found[name] = NOT_CHECKED if scheme is None else _definition(name, scheme, report)
    return found


def _report_misspelt_schemes(components: Cursor, report: Report) -> None:
    for key, member in components.members():
        if nearest(key, ("securitySchemes",)):
            hint = "did you mean `securitySchemes`?"
            message = f"unknown key `{shown(key)}`"
            report.add(member.key_spot.diagnostic(catalogue.MISSPELT_KEY, message, hint))


def _definition(name: str, scheme: Cursor, report: Report) -> SchemeDefinition:
    kind = scheme.get("type")
    word = kind.text.lower() if kind is not None and kind.text else ""
    if word not in SCHEME_TYPES:
        at = scheme if kind is None else kind
        message = f"the security scheme `{shown(name)}` has no known type"
        hint = did_you_mean(word, SCHEME_TYPES.values(), f"types are {', '.join(SCHEME_TYPES.values())}")
        report.add(at.spot.diagnostic(catalogue.WRONG_TYPE, message, hint))
        return MALFORMED
    if word in ("oauth2", "openidconnect"):
        return SchemeDefinition(TOKENS)
    if word == "http":
        return _http_definition(name, scheme, report)
    if word == "apikey":
        return _key_definition(name, scheme, report)
    return {"basic": SchemeDefinition(BASIC), "mutualtls": SchemeDefinition(MUTUAL_TLS)}.get(word, NOT_CHECKED)


def _http_definition(name: str, scheme: Cursor, report: Report) -> SchemeDefinition:
    """A scheme of the Authorization field; those that others may check pass."""
    member = scheme.get("scheme")
    if member is None:
        message = f"`scheme` is missing in the security scheme `{shown(name)}`"
        hint = "write `scheme: bearer` or `scheme: basic`"
        report.add(scheme.spot.diagnostic(catalogue.PROPERTY_MISSING, message, hint))
        return MALFORMED
    word = (member.text or "").lower()
    if word in _TOKEN_SCHEMES:
        return SchemeDefinition(TOKENS, is_dpop=word == "dpop")
    if word == "basic":
        return SchemeDefinition(BASIC)
    meant = "" if word in _FOREIGN_SCHEMES else nearest(word, ("basic", *_TOKEN_SCHEMES))
    if member.text and not meant:
        return NOT_CHECKED
    found = f"`{shown(member.text)}`" if member.text else member.kind
    hint = f"did you mean `{meant}`?" if meant else "write `scheme: bearer` or `scheme: basic`"
    message = f"`scheme` of `{shown(name)}` is no HTTP scheme: {found}"
    report.add(member.spot.diagnostic(catalogue.WRONG_TYPE, message, hint))
    return MALFORMED


def _key_definition(name: str, scheme: Cursor, report: Report) -> SchemeDefinition:
    """An API key in a header or query parameter; cookies carry none here."""
    texts: list[str] = []
    for key in ("in", "name"):
        member = scheme.get(key)
        if member is None:
            message = f"`{key}` is missing in the security scheme `{shown(name)}`"
            report.add(scheme.spot.diagnostic(catalogue.PROPERTY_MISSING, message, "a key has `in` and `name`"))
        elif not member.text or not member.text.isprintable():
            message = f"`{key}` must be a text, not {member.kind}"
            report.add(member.spot.diagnostic(catalogue.WRONG_TYPE, message))
        else:
            texts.append(member.text)
            at = member
    if len(texts) < 2:
        return MALFORMED
    location, parameter = texts[0].lower(), texts[1]
    if location not in ("header", "query", "cookie"):
        message = f"`in: {shown(texts[0])}` is no place for a key"
        hint = did_you_mean(location, ("header", "query"), "write `in: header` or `in: query`")
        report.add(scheme.spot.diagnostic(catalogue.WRONG_TYPE, message, hint))
    elif location == "header" and not FIELD_NAME.fullmatch(parameter):
        report.add(at.spot.diagnostic(catalogue.WRONG_TYPE, f"`{shown(parameter)}` is not the name of a header"))
    elif location == "cookie":
        return NOT_CHECKED
    else:
        return SchemeDefinition(API_KEY, KeyPlace(location, parameter))
    return MALFORMED


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
    items = list(security.items())
    for item in items:
        if not item.is_mapping:
            message = f"a security requirement must be a mapping of a scheme to its scopes, not {item.kind}"
            report.add(item.spot.diagnostic(catalogue.WRONG_TYPE, message, f"write `{shown(item.text or 'name')}: []`"))
            continue
        alternatives.append(tuple(_named(name, member, report) for name, member in item.members()))
    # A list of nothing but mistakes is not one that names nothing.
    return Requirements(tuple(alternatives), security.spot) if alternatives or not items else None


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
