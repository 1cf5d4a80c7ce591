"""Java classes that settings of 3.x name: the supplied ones are understood, others need a function of the project in their place.

`rules.py` lists the rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.settings import catalogue

if TYPE_CHECKING:
    from microgate.settings.model import Settings
    from microgate.settings.rules import Finder

# Ours takes a scope list as it comes, which is all that the shipped transformer was for.
SHIPPED_TRANSFORMER = "org.wso2.micro.gateway.jwt.transformer.DefaultJwtTransformer"
SHIPPED_GENERATOR = "org.wso2.micro.gateway.jwt.generator.MGWJWTGeneratorImpl"
SHIPPED_RETRIEVER = "MGWClaimRetrieverImpl"  # pages of 3.x write its package in several ways
REGISTERED = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")


def java_classes(settings: Settings, finder: Finder) -> None:
    """Code that cannot run here is never left out in silence."""
    for index, issuer in enumerate(settings.issuers):
        table = f"jwtTokenConfig[{index}]"
        if issuer.claim_mapper_class_name not in ("", SHIPPED_TRANSFORMER):
            _refuse(finder, f"{table}.claimMapperClassName", issuer.claim_mapper_class_name, "claimMapper")
        for number, name in enumerate(issuer.claims):
            key = f"{table}.claims[{number}]"
            for word, value in (("remoteClaim", name.remote_claim), ("localClaim", name.local_claim)):
                if value in REGISTERED:
                    message = f"`{key}.{word}` is `{value}`, which cannot be renamed: tokens are judged by it"
                    finder.found(catalogue.RANGE, f"{key}.{word}", message)
    generator, retriever = settings.backend_jwt.generator_impl, settings.backend_jwt.retriever_impl
    if generator not in ("", SHIPPED_GENERATOR):
        _refuse(finder, "jwtGeneratorConfig.generatorImpl", generator, "generator")
    if retriever and retriever.rpartition(".")[2] != SHIPPED_RETRIEVER:
        _refuse(finder, "jwtGeneratorConfig.claimRetrieval.retrieverImpl", retriever, "claimRetrieval.retriever")


def _refuse(finder: Finder, key: str, name: str, ours: str) -> None:
    message = f"`{key}` names the Java class `{name}`, which cannot run here"
    hint = f"write what it does as a function in extensions/, name it in `{ours}` as `module:function`, remove this key"
    finder.found(catalogue.RESTRICTS, key, message, hint)
