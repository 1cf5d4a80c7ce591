"""Who may call an operation: WSO2's extensions and plain OpenAPI `security` become one answer per operation (WSO2 §3.7, §3.8).

Closed is the default; only `x-wso2-disable-security` and `x-auth-type: None` open an operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.model import Security
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.security import TOKENS
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Spot
    from microgate.toolkit.openapi.description import Description, Operation
    from microgate.toolkit.openapi.extensions import ApplicationSecurity
    from microgate.toolkit.openapi.security import Requirements

TOKEN_SCHEMES = Security().schemes  # the default itself, which an encoded plan leaves out
AUTH_TYPES = ("None", "Any", "Application", "Application User", "Application & Application User")
REFUSED_HINT = "callers without a token are refused"
OPENING_HINT = "to open it, add `x-wso2-disable-security: true`; to keep it closed, name a scheme"


class Access:
    """Decides for the operations of one API, and says each thing once."""

    def __init__(self, description: Description, report: Report) -> None:
        self._description = description
        self._report = report
        self._said: set[tuple[str, ...]] = set()
        if description.security is not None:
            self._check_names(description.security)

    def of(self, operation: Operation) -> Security:
        """The answer for one operation."""
        opened_by = self._opened_by(operation)
        own = operation.security
        if own is not None:
            self._check_names(own)
        requirements = own if own is not None else self._description.security
        if requirements is not None and requirements.allows_nobody_known and not opened_by:
            self._say_closed(requirements, operation, inherited=own is None)
        application = operation.extensions.application_security or self._description.extensions.application_security
        schemes: tuple[str, ...] = TOKEN_SCHEMES
        if application is not None and application.value.types:
            schemes = self._application_schemes(application.value)
        elif requirements is not None and not opened_by:
            self._say_narrowed(requirements)
        return Security(schemes=schemes, scopes=self._scopes(operation, requirements), opened_by=opened_by)

    def _opened_by(self, operation: Operation) -> str:
        """The extension that opens an operation, and where it stands; "" for a closed one."""
        root = self._description.extensions.disable_security
        own = operation.extensions.disable_security
        auth_type = operation.extensions.auth_type
        if auth_type is not None:
            self._check_auth_type(auth_type.value, auth_type.at)
        decisive = own if own is not None else root
        if decisive is not None:
            if auth_type is not None and auth_type.value == "None" and not decisive.value:
                message = "`x-auth-type: None` has no effect beside `x-wso2-disable-security: false`"
                self._report.add(auth_type.at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove one"))
            return f"x-wso2-disable-security at {decisive.at.where}" if decisive.value else ""
        if auth_type is not None and auth_type.value == "None":
            return f"x-auth-type at {auth_type.at.where}"
        return ""

    def _check_auth_type(self, value: str, at: Spot) -> None:
        if value not in AUTH_TYPES:
            message = f"`x-auth-type: {shown(value)}` has no effect: only `None` has one"
            hint = did_you_mean(value, AUTH_TYPES, "the operation stays closed")
            self._report.add(at.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, hint))

    def _application_schemes(self, application: ApplicationSecurity) -> tuple[str, ...]:
        words = [item.value for item in application.types]
        if "oauth2" in words:
            return TOKEN_SCHEMES
        return ("jwt",) if "jwt" in words else TOKEN_SCHEMES

    def _scopes(self, operation: Operation, requirements: Requirements | None) -> tuple[str, ...]:
        """All scopes of all alternatives, any of which suffices. An operation's own list never inherits the API's."""
        scope = operation.extensions.scope
        if scope is not None and scope.value:
            return (scope.value,)
        if requirements is None:
            return ()
        schemes = self._description.schemes
        scopes = {
            scope for named in requirements.named() if schemes.get(named.scheme) == TOKENS for scope in named.scopes
        }
        return tuple(sorted(scopes))

    def _check_names(self, requirements: Requirements) -> None:
        schemes = self._description.schemes
        for named in requirements.named():
            if named.scheme not in schemes:
                where = ", ".join(f"`{shown(name)}`" for name in list(schemes)[:10]) or "none"
                hint = did_you_mean(named.scheme, schemes, f"defined are: {where}")
                message = f"the security scheme `{shown(named.scheme)}` is not defined"
                self._report.add(named.at.diagnostic(catalogue.UNDEFINED_SCHEME, message, hint))

    def _say_closed(self, requirements: Requirements, operation: Operation, *, inherited: bool) -> None:
        if not self._once("closed", requirements.at.where):
            return
        what = "operations stay closed" if inherited else f"`{shown(operation.id)}` stays closed"
        asked = "`security: []`" if not requirements.alternatives else "`{}` in `security`"
        message = f"{asked} opens nothing: {what}"
        self._report.add(requirements.at.diagnostic(catalogue.STAYS_CLOSED, message, OPENING_HINT))

    def _say_narrowed(self, requirements: Requirements) -> None:
        """Tokens are all that this release checks, so alternatives to them are not served."""
        kinds = {named.scheme: self._description.schemes.get(named.scheme, TOKENS) for named in requirements.named()}
        others = sorted(name for name, kind in kinds.items() if kind != TOKENS)
        if not others or not self._once("narrowed", *others, str(len(others) == len(kinds))):
            return
        names = ", ".join(f"`{shown(name)}`" for name in others)
        if len(others) < len(kinds):
            message = f"not served yet: {names}; only tokens (oauth2 or JWT) are accepted"
            self._report.add(requirements.at.diagnostic(catalogue.SCHEMES_NARROWED, message, REFUSED_HINT))
        else:
            message = f"not served yet: {names}; a token (oauth2 or JWT) is asked for instead"
            self._report.add(requirements.at.diagnostic(catalogue.DEFAULT_SCHEME, message, REFUSED_HINT))

    def _once(self, *key: str) -> bool:
        new = key not in self._said
        self._said.add(key)
        return new
