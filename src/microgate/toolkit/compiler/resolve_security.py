"""Who may call an operation: WSO2's extensions and plain OpenAPI `security` become one answer per operation (WSO2 §3.7, §3.8).

Closed is the default; what opens an operation is in `Access.opened_by`. How `security` is read is in `security_readings.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from microgate.plan.model import KeyPlace, Requirement, Security
from microgate.toolkit import catalogue
from microgate.toolkit.compiler.security_readings import KINDS, TOKEN_SCHEMES, Readings, asked_for
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.access_rules import NOBODY_DECIDES, OFF
from microgate.toolkit.openapi.security import API_KEY, LITERAL, MUTUAL_TLS, TOKENS, WSO2
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.diagnostics import Report
    from microgate.plan.model import ForwardAuth
    from microgate.toolkit.openapi.cursor import Located, Spot
    from microgate.toolkit.openapi.description import Description, Operation
    from microgate.toolkit.openapi.extensions import ApplicationSecurity
    from microgate.toolkit.openapi.security import Requirements

AUTH_TYPES = ("None", "Any", "Application", "Application User", "Application & Application User")
OPENING_HINT = "to open it, add `x-wso2-disable-security: true`; to keep it closed, name a scheme"
# The words of `x-wso2-application-security` and the kinds of schemes that they stand for.
APPLICATION_KINDS = {
    "oauth2": TOKEN_SCHEMES,
    "jwt": ("jwt",),
    "basic_auth": ("basic",),
    "api_key": (API_KEY,),
    "mutual_ssl": (MUTUAL_TLS,),
}
# Where a key is looked for when only an extension asks for one (WSO2 §3.8).
DEFAULT_KEY_PLACES = (KeyPlace("header", "apikey"), KeyPlace("query", "apikey"))
FORWARD = "forward"
KEPT_HINT = "remove it to keep what the root demands"


class _Choice(NamedTuple):
    """The schemes of an operation, any of which suffices, or the alternatives of the literal reading."""

    schemes: tuple[str, ...]
    key_places: tuple[KeyPlace, ...] = ()
    alternatives: tuple[tuple[Requirement, ...], ...] = ()


class Access:
    """Decides for the operations of one API, and says each thing once. `default_reading` is the project's."""

    def __init__(self, description: Description, default_reading: str, report: Report) -> None:
        self._description = description
        self._extensions = description.extensions
        self._report = report
        self._said: set[tuple[str, ...]] = set()
        reading = description.extensions.reading
        self.reading = default_reading if reading is None else reading.value
        self._readings = Readings(description, report)
        if description.security is not None:
            self._readings.check_names(description.security)

    def of(self, operation: Operation) -> Security:
        """The answer for one operation."""
        own = operation.security
        if own is not None:
            self._readings.check_names(own)
        requirements = own if own is not None else self._description.security
        opened_by, kept_closed = self.opened_by(operation, requirements)
        if opened_by:
            return Security(opened_by=opened_by)
        if requirements is not None:
            self._readings.check_scopes(requirements, replaced=bool(operation.extensions.scope))
        if requirements is not None and requirements.allows_nobody_known and (self.reading == WSO2 or kept_closed):
            self._say_closed(requirements, operation, inherited=own is None)
        if self.reading == LITERAL and requirements is not None and not any(requirements.alternatives):
            requirements = self._description.security  # kept closed, so what the API asks for stands
        choice = self._choice(operation, requirements, kept_closed=kept_closed)
        application = self._application(operation)
        scope_rule = operation.extensions.all_scopes or self._extensions.all_scopes
        if (
            scope_rule is not None
            and not scope_rule.value
            and choice.alternatives
            and self._once(scope_rule.at.identity)
        ):
            message = "`x-microgate-scopes: any` has no effect: `security` is read literally"
            self._report.add(scope_rule.at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove it"))
        return Security(
            schemes=TOKEN_SCHEMES if choice.schemes == TOKEN_SCHEMES else choice.schemes,
            scopes=() if choice.alternatives else self._scopes(operation, requirements),
            all_scopes=scope_rule is not None and scope_rule.value and not choice.alternatives,
            key_places=choice.key_places,
            alternatives=choice.alternatives,
            optional=application is not None and application.value.optional,
            bound_tokens=self._bound_tokens(operation, requirements, choice),
            waived=self._waived(operation, requirements, choice),
        )

    def service(self, operation: Operation) -> ForwardAuth | None:
        """The service that decides on an operation's callers."""
        found = operation.extensions.forward_auth or self._extensions.forward_auth
        return None if found is None or found.value == NOBODY_DECIDES else found.value

    def opened_by(self, operation: Operation, requirements: Requirements | None) -> tuple[str, bool]:
        """What opens an operation, and where it stands, "" for a closed one; and whether the project says that it is closed."""
        root = self._extensions.disable_security
        own = operation.extensions.disable_security
        auth_type = operation.extensions.auth_type
        if auth_type is not None:
            self._check_auth_type(auth_type.value, auth_type.at)
        decisive = own if own is not None else root
        if decisive is not None:
            if auth_type is not None and auth_type.value == "None" and not decisive.value:
                message = "`x-auth-type: None` has no effect beside `x-wso2-disable-security: false`"
                self._report.add(auth_type.at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove one"))
            return (f"x-wso2-disable-security at {decisive.at.where}" if decisive.value else ""), not decisive.value
        if auth_type is not None and auth_type.value == "None":
            return f"x-auth-type at {auth_type.at.where}", False
        if self.reading == LITERAL and requirements is not None and not any(requirements.alternatives):
            return f"{requirements.asked} at {requirements.at.where}, read literally", False
        return "", False

    def _check_auth_type(self, value: str, at: Spot) -> None:
        if value not in AUTH_TYPES:
            message = f"`x-auth-type: {shown(value)}` has no effect: only `None` has one"
            hint = did_you_mean(value, AUTH_TYPES, "the operation stays closed")
            self._report.add(at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, hint))

    def _application(self, operation: Operation) -> Located[ApplicationSecurity] | None:
        return operation.extensions.application_security or self._extensions.application_security

    def _choice(self, operation: Operation, requirements: Requirements | None, *, kept_closed: bool) -> _Choice:
        """What `x-wso2-application-security` says, else `security`, else tokens; with the service that decides beside them."""
        application = self._application(operation)
        optional = application is not None and application.value.optional
        forwards = self.service(operation) is not None
        places = self._readings.key_places(requirements) or self._readings.key_places(self._description.security)
        named: tuple[str, ...] = ()
        if application is not None and application.value.types:
            self._check_literal(application, requirements)
            named = _ordered(kind for item in application.value.types for kind in APPLICATION_KINDS[item.value])
            places = places or DEFAULT_KEY_PLACES
        elif requirements is not None and self.reading == LITERAL and any(requirements.alternatives):
            scope = operation.extensions.scope
            says_bound = operation.extensions.bound_tokens or self._extensions.bound_tokens
            alternatives = self._readings.literal(
                requirements, scope.value if scope else "", derives_bound=says_bound is None
            )
            if kept_closed:
                alternatives = tuple(alternative for alternative in alternatives if alternative)
            alternatives += (((Requirement(FORWARD),),) if forwards else ()) + (
                ((Requirement(MUTUAL_TLS),),) if optional else ()
            )
            kinds = _ordered(member.kind for alternative in alternatives for member in alternative)
            return _Choice(kinds or TOKEN_SCHEMES, alternatives=alternatives)
        elif requirements is not None:
            named = self._readings.flattened(requirements)
        if forwards:
            named = (*named, FORWARD)
        elif not named:
            named = (MUTUAL_TLS,) if optional else TOKEN_SCHEMES
        return _Choice(named, places if API_KEY in named else ())

    def _check_literal(self, application: Located[ApplicationSecurity], requirements: Requirements | None) -> None:
        if self.reading == LITERAL and requirements is not None and self._once(application.at.identity):
            message = "`x-wso2-application-security` names schemes, and so does `security`, which is read literally"
            hint = f"remove `security-types`, or read it as 3.x does with `x-microgate-security: {WSO2}`"
            self._report.add(application.at.diagnostic(catalogue.CONTRADICTION, message, hint))

    def _scopes(self, operation: Operation, requirements: Requirements | None) -> tuple[str, ...]:
        """All scopes of all alternatives, as 3.x has it. An operation's own list never inherits the API's."""
        scope = operation.extensions.scope
        if scope is not None and scope.value:
            return (scope.value,)
        if requirements is None:
            return ()
        kind = self._readings.kind
        scopes = {scope for named in requirements.named() if kind(named.scheme) == TOKENS for scope in named.scopes}
        return tuple(sorted(scopes))

    def _bound_tokens(self, operation: Operation, requirements: Requirements | None, choice: _Choice) -> str:
        """What tokens must be bound to; a description whose only tokens are those of DPoP says it without an extension."""
        if not set(choice.schemes) & set(TOKEN_SCHEMES):
            return ""
        bound = operation.extensions.bound_tokens or self._extensions.bound_tokens
        if bound is not None:
            return "" if bound.value == OFF else bound.value
        return "dpop" if requirements is not None and self._readings.takes_dpop_only(requirements) else ""

    def _waived(self, operation: Operation, requirements: Requirements | None, choice: _Choice) -> tuple[str, ...]:
        """What an operation switches off, said to whoever builds."""
        own, root = operation.extensions, self._extensions
        name = f"`{shown(operation.id)}`"
        waived: list[str] = []
        if own.bound_tokens is not None and own.bound_tokens.value == OFF:
            derives = self._readings.takes_dpop if choice.alternatives else self._readings.takes_dpop_only
            demanded = root.bound_tokens is not None or (requirements is not None and derives(requirements))
            if demanded and set(choice.schemes) & set(TOKEN_SCHEMES):
                waived.append("x-microgate-bound-tokens")
            effect = f"{name} takes tokens from whoever has them"
            self._say_off("x-microgate-bound-tokens", own.bound_tokens.at, effect if waived else "")
        if own.forward_auth is not None and own.forward_auth.value == NOBODY_DECIDES:
            demanded = root.forward_auth is not None
            if demanded:
                waived.append("x-microgate-forward-auth")
            effect = f"no service decides on {name}; asked for is {asked_for(choice.schemes)}"
            self._say_off("x-microgate-forward-auth", own.forward_auth.at, effect if demanded else "")
        return tuple(waived)

    def _say_off(self, key: str, at: Spot, effect: str) -> None:
        if effect:
            self._report.add(at.diagnostic(catalogue.SWITCHED_OFF, f"`{key}` is off: {effect}", KEPT_HINT))
        else:
            message = f"`{key}: {OFF}` has no effect: nothing demands it here"
            self._report.add(at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove it"))

    def _say_closed(self, requirements: Requirements, operation: Operation, *, inherited: bool) -> None:
        if not self._once("closed", requirements.at.identity):
            return
        what = "operations stay closed" if inherited else f"`{shown(operation.id)}` stays closed"
        message = f"{requirements.asked} opens nothing: {what}"
        self._report.add(requirements.at.diagnostic(catalogue.STAYS_CLOSED, message, OPENING_HINT))

    def _once(self, *key: str) -> bool:
        new = key not in self._said
        self._said.add(key)
        return new


def _ordered(kinds: Iterable[str]) -> tuple[str, ...]:
    """Each kind once, in the order of the plan's vocabulary, so that equal choices are equal tuples."""
    found = set(kinds)
    return tuple(kind for kind in KINDS if kind in found)
