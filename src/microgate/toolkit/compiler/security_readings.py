"""The two readings of `security`: one flat list of schemes as 3.x had it (WSO2 §3.8), or the OR of ANDs that OpenAPI means.

What is lost on the way, because nobody can check it or because a list cannot say it, is told. `resolve_security.py` asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.model import KeyPlace, Requirement, Security
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.security import API_KEY, MALFORMED, MUTUAL_TLS, NOT_CHECKED, TOKENS
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.description import Description
    from microgate.toolkit.openapi.security import Named, Requirements, SchemeDefinition

TOKEN_SCHEMES = Security().schemes  # the default itself: an encoded plan leaves out this very object
KINDS = (*TOKEN_SCHEMES, "basic", API_KEY, MUTUAL_TLS, "forward")
TOLD = {
    **dict.fromkeys(TOKEN_SCHEMES, "a token (oauth2 or JWT)"),
    "basic": "a password",
    API_KEY: "an API key",
    MUTUAL_TLS: "a certificate",
}
LITERAL_HINT = "`x-microgate-security: literal` asks for all of them"
UNCHECKED_HINT = "checked are oauth2, openIdConnect, http bearer and basic, keys in headers and queries, and mutualTLS"


class Readings:
    """Reads the requirements of one API, and says each thing once."""

    def __init__(self, description: Description, report: Report) -> None:
        self._description = description
        self._report = report
        self._said: set[tuple[str, ...]] = set()
        header = description.extensions.auth_header
        self._credential_header = "authorization" if header is None else header.value.lower()
        mutual = description.extensions.mutual_ssl
        self._certificate_is_demanded = mutual is not None and mutual.value == "mandatory"

    def _definition(self, name: str) -> SchemeDefinition:
        """A scheme, NOT_CHECKED for a key that nobody could tell from the credential in the same header."""
        found = self._description.schemes.get(name, NOT_CHECKED)
        place = found.key_place
        clashes = place is not None and place.location == "header" and place.name.lower() == self._credential_header
        return NOT_CHECKED if clashes else found

    def kind(self, name: str) -> str:
        """The kind of a scheme by its name, "" for one that nobody can check."""
        return self._definition(name).kind

    def check_names(self, requirements: Requirements) -> None:
        """Report schemes that are not defined."""
        schemes = self._description.schemes
        for named in requirements.named():
            if named.scheme not in schemes:
                where = ", ".join(f"`{shown(name)}`" for name in list(schemes)[:10]) or "none"
                hint = did_you_mean(named.scheme, schemes, f"defined are: {where}")
                message = f"the security scheme `{shown(named.scheme)}` is not defined"
                self._report.add(named.at.diagnostic(catalogue.UNDEFINED_SCHEME, message, hint))

    def check_scopes(self, requirements: Requirements, *, replaced: bool) -> None:
        """Say that names beside passwords, keys and certificates ask for nothing, as under 3.x. `replaced`: `x-scope` does."""
        for named in requirements.named():
            kind = self.kind(named.scheme)
            if (
                not named.scopes
                or not kind
                or kind == TOKENS
                or replaced
                or not self._once("scopes", named.at.identity)
            ):
                continue
            listed = ", ".join(f"`{shown(scope)}`" for scope in named.scopes[:10])
            message = (
                f"{listed} of `{shown(named.scheme)}` cannot be checked: only tokens are asked for scopes in `security`"
            )
            hint = "`x-scope` asks users of Basic for one too" if kind == "basic" else "remove the names"
            self._report.add(named.at.diagnostic(catalogue.SCHEMES_NARROWED, message, hint))

    def key_places(self, requirements: Requirements | None) -> tuple[KeyPlace, ...]:
        """Where the API keys that are named are looked for."""
        if requirements is None:
            return ()
        places = (self._definition(named.scheme).key_place for named in requirements.named())
        return tuple(dict.fromkeys(place for place in places if place is not None))

    def takes_dpop_only(self, requirements: Requirements) -> bool:
        """Whether every token that is named has to be one of its holder's (RFC 9449)."""
        tokens = [self._description.schemes[n.scheme] for n in requirements.named() if self.kind(n.scheme) == TOKENS]
        return bool(tokens) and all(token.is_dpop for token in tokens)

    def takes_dpop(self, requirements: Requirements) -> bool:
        """Whether some token that is named has to be one of its holder's."""
        return any(self._is_dpop(named) for named in requirements.named())

    def _is_dpop(self, named: Named) -> bool:
        return self.kind(named.scheme) == TOKENS and self._definition(named.scheme).is_dpop

    # As 3.x has it.

    def flattened(self, requirements: Requirements) -> tuple[str, ...]:
        """The schemes of which any suffices: the list's own, else those of the API (WSO2 §3.8).

        Without either they are tokens, and none where the list names nothing at all.
        """
        own = self._kinds(requirements)
        self._say_flattened(requirements)
        inherited = self._description.security
        found = own or (self._kinds(inherited) if inherited is not None else ())
        found = found or (TOKEN_SCHEMES if any(requirements.alternatives) else ())
        self._say_unchecked(requirements, instead=() if own else found)
        return found

    def _kinds(self, requirements: Requirements) -> tuple[str, ...]:
        found = {kind for alternative in requirements.alternatives for kind in self._of_alternative(alternative)}
        if TOKENS in found:
            found.update(TOKEN_SCHEMES)
        return tuple(kind for kind in KINDS if kind in found)

    def _of_alternative(self, alternative: tuple[Named, ...]) -> set[str]:
        """The kinds that go together; not a certificate that the API demands of everybody, where there is more."""
        kinds = {self.kind(named.scheme) for named in alternative} - {""}
        if self._certificate_is_demanded and len(kinds) > 1:
            kinds.discard(MUTUAL_TLS)
        return kinds

    def _say_flattened(self, requirements: Requirements) -> None:
        """An AND becomes an OR: the one case in which the flat list asks for less than what is written."""
        for alternative in requirements.alternatives:
            names = [named.scheme for named in alternative if self.kind(named.scheme)]
            demanded = self._of_alternative(alternative)
            kinds = [kind for name in names if (kind := self.kind(name)) in demanded]
            if len(kinds) < 2 or not self._once("flattened", alternative[0].at.identity, *names):
                continue
            listed = ", ".join(f"`{shown(name)}`" for name in names)
            message = f"{listed} are asked for together, but any one of them suffices"
            self._report.add(alternative[0].at.diagnostic(catalogue.FLATTENED, message, LITERAL_HINT))

    # As OpenAPI means it.

    def literal(
        self, requirements: Requirements, scope: str, *, derives_bound: bool
    ) -> tuple[tuple[Requirement, ...], ...]:
        """The alternatives; `scope` takes the place of the scopes of tokens (`x-scope`).

        What tokens are bound to is said by their schemes (`derives_bound`) where no extension says it. An alternative with a
        member that nobody can check can never be met, so it is left out.
        """
        found: list[tuple[Requirement, ...]] = []
        for alternative in requirements.alternatives:
            if all(self.kind(named.scheme) for named in alternative):
                found.extend(self._members(alternative, scope, derives_bound=derives_bound))
        self._say_unchecked(requirements, literal=True)
        if not found and self._once("nobody", requirements.at.identity):
            message = "no alternative of `security` can be met: none has only schemes that can be checked"
            self._report.add(requirements.at.diagnostic(catalogue.CONTRADICTION, message, UNCHECKED_HINT))
        return tuple(dict.fromkeys(found))

    def _members(
        self, alternative: tuple[Named, ...], scope: str, *, derives_bound: bool
    ) -> list[tuple[Requirement, ...]]:
        """What goes together: one token, which may be of either form, then each of the others."""
        tokens = [named for named in alternative if self.kind(named.scheme) == TOKENS]
        others = [self._other(named) for named in alternative if self.kind(named.scheme) != TOKENS]
        if not tokens:
            return [tuple(others)]
        scopes = (scope,) if scope else tuple(sorted({scope for named in tokens for scope in named.scopes}))
        bound = "dpop" if derives_bound and any(self._is_dpop(named) for named in tokens) else ""
        return [(Requirement(kind, scopes, bound_tokens=bound), *others) for kind in TOKEN_SCHEMES]

    def _other(self, named: Named) -> Requirement:
        definition = self._definition(named.scheme)
        return Requirement(definition.kind, key_places=() if definition.key_place is None else (definition.key_place,))

    # What nobody can check.

    def _say_unchecked(
        self, requirements: Requirements, *, instead: tuple[str, ...] = (), literal: bool = False
    ) -> None:
        defined = self._description.schemes
        names = sorted(
            {
                named.scheme
                for named in requirements.named()
                # What is wrong with a malformed definition has been said.
                if named.scheme in defined and defined[named.scheme] is not MALFORMED and not self.kind(named.scheme)
            }
        )
        if not names or not self._once("unchecked", *names, "", *instead):
            return
        listed = ", ".join(f"`{shown(name)}`" for name in names)
        if instead:
            message = f"{listed} cannot be checked; {asked_for(instead)} is asked for instead"
            self._report.add(requirements.at.diagnostic(catalogue.DEFAULT_SCHEME, message, UNCHECKED_HINT))
            return
        what = "alternatives with it are never met" if literal else "only the other schemes are asked for"
        message = f"{listed} cannot be checked; {what}"
        self._report.add(requirements.at.diagnostic(catalogue.SCHEMES_NARROWED, message, UNCHECKED_HINT))

    def _once(self, *key: str) -> bool:
        new = key not in self._said
        self._said.add(key)
        return new


def asked_for(kinds: Iterable[str]) -> str:
    """Any of some kinds of schemes, in words."""
    return " or ".join(dict.fromkeys(TOLD[kind] for kind in kinds))
