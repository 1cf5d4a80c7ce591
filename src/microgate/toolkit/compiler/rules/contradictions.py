"""Security settings that cannot be meant together: each is clear on its own, and one of the two would be without effect."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.compiler.security_readings import TOKEN_SCHEMES
from microgate.toolkit.openapi.access_rules import NOBODY_DECIDES, OFF
from microgate.toolkit.openapi.security import MUTUAL_TLS
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.plan.model import IpRules
    from microgate.toolkit.compiler.model import ResolvedApi, ResolvedOperation, ResolvedProject
    from microgate.toolkit.openapi.cursor import Located, Spot
    from microgate.toolkit.openapi.extensions import Extensions


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        _check_transports(api, report)
        _check_cors(api, report)
        for extensions in _all(api):
            _check_optional(api, extensions, report)
            if extensions.ip is not None:
                _check_ip(extensions.ip, report)
        for operation in api.operations:
            _check_operation(api, operation, report)
        _check_root(api, report)


def _all(api: ResolvedApi) -> Iterator[Extensions]:
    yield api.source.extensions
    for operation in api.source.operations:
        yield operation.extensions


def _say(at: Spot, message: str, hint: str, report: Report) -> None:
    report.add(at.diagnostic(catalogue.CONTRADICTION, message, hint))


def _offers_https(api: ResolvedApi) -> bool:
    transports = api.source.extensions.transports
    return transports is None or "https" in transports.value


def _check_transports(api: ResolvedApi, report: Report) -> None:
    """Client certificates come with HTTPS only."""
    extensions = api.source.extensions
    mutual, transports, bound = extensions.mutual_ssl, extensions.transports, extensions.bound_tokens
    hint = "add `https` to `x-wso2-transports`"
    if mutual is not None and not _offers_https(api):
        _say(mutual.at, "`x-wso2-mutual-ssl` needs HTTPS, which `x-wso2-transports` does not offer", hint, report)
    elif mutual is not None and mutual.value == "mandatory" and transports is not None and "http" in transports.value:
        message = "`http` has no effect: certificates of clients are mandatory, and come with HTTPS only"
        report.add(transports.at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove `http`"))
    if bound is not None and bound.value == "certificate" and not _offers_https(api):
        message = "tokens bound to certificates need HTTPS, which `x-wso2-transports` does not offer"
        _say(bound.at, message, hint, report)


def _check_cors(api: ResolvedApi, report: Report) -> None:
    cors, additions = api.source.extensions.cors, api.source.extensions.cors_additions
    if cors is None:
        if additions is not None:
            message = "`x-microgate-cors` adds to `x-wso2-cors`, which is not there"
            _say(additions.at, message, "add `x-wso2-cors`", report)
        return
    if cors.value.credentials and (cors.value.origins is None or "*" in cors.value.origins):
        message = "credentials for every origin would let any page act as its visitor"
        _say(cors.at, message, "list the origins instead of `*`, or do not allow credentials", report)


def _check_optional(api: ResolvedApi, extensions: Extensions, report: Report) -> None:
    found, mutual = extensions.application_security, api.source.extensions.mutual_ssl
    if found is not None and found.value.optional and (mutual is None or mutual.value != "mandatory"):
        message = "application security is optional, but `x-wso2-mutual-ssl` is not mandatory"
        hint = "remove `optional: true`; nobody would have to show a credential"
        report.add(found.at.diagnostic(catalogue.OPTIONAL_SECURITY, message, hint))


def _check_ip(rules: Located[IpRules], report: Report) -> None:
    """An allowed network that lies within a denied one lets nobody in."""
    denied = [ipaddress.ip_network(text) for text in rules.value.deny]
    for text in rules.value.allow:
        allowed = ipaddress.ip_network(text)
        for network in denied:
            if allowed[0] in network and allowed[-1] in network:
                message = f"`{text}` is allowed and, with `{network}`, denied"
                _say(rules.at, message, "remove one of the two; what is denied is never let in", report)
                break


def _check_operation(api: ResolvedApi, operation: ResolvedOperation, report: Report) -> None:
    """What an operation says itself, against what became of it."""
    extensions, security = operation.source.extensions, operation.security
    name = f"`{shown(operation.id)}`"
    forward, bound, scopes = extensions.forward_auth, extensions.bound_tokens, extensions.all_scopes
    if security.opened_by:
        hint = "remove it, or what opens the operation"
        for key, found in (
            ("x-microgate-forward-auth", forward),
            ("x-microgate-bound-tokens", bound),
            ("x-microgate-scopes", scopes),
        ):
            if found is not None:
                _say(found.at, f"`{key}` on an open operation: {security.opened_by}", hint, report)
        return
    if bound is not None and bound.value != OFF and not set(security.schemes) & set(TOKEN_SCHEMES):
        message = f"{name} takes no tokens, so they cannot be bound"
        _say(bound.at, message, "remove it, or name a scheme with tokens", report)
    if bound is not None and bound.value == "certificate" and not _offers_https(api):
        message = "tokens bound to certificates need HTTPS, which `x-wso2-transports` does not offer"
        _say(bound.at, message, "add `https` to `x-wso2-transports`", report)
    if set(security.schemes) == {MUTUAL_TLS} and not _offers_https(api):
        message = f"{name} takes certificates only, which need HTTPS, and `x-wso2-transports` does not offer it"
        _say(operation.source.at, message, "add `https` to `x-wso2-transports`", report)


def _check_root(api: ResolvedApi, report: Report) -> None:
    """What the root says of all operations, where there is none that it could be about."""
    forward, bound = api.source.extensions.forward_auth, api.source.extensions.bound_tokens
    closed = [operation for operation in api.operations if not operation.security.opened_by]
    for key, off in (
        ("x-microgate-forward-auth", forward if forward is not None and forward.value == NOBODY_DECIDES else None),
        ("x-microgate-bound-tokens", bound if bound is not None and bound.value == OFF else None),
    ):
        if off is not None:
            _say(
                off.at, f"`{key}: {OFF}` at the root switches nothing off", "remove it, or say it in operations", report
            )
            return
    if forward is not None and api.operations and not closed:
        message = "`x-microgate-forward-auth` has nothing to decide: every operation is open"
        _say(forward.at, message, "remove it, or what opens the operations", report)
    if bound is not None and api.operations and not any(_binds(operation) for operation in closed):
        message = "no operation takes tokens, so they cannot be bound"
        _say(bound.at, message, "remove it, or name a scheme with tokens", report)


def _binds(operation: ResolvedOperation) -> bool:
    """Whether tokens are bound here, or would be if the operation had not been left out."""
    return bool(operation.security.bound_tokens) or "x-microgate-bound-tokens" in operation.security.waived
