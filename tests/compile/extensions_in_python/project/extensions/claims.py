"""Changes claims before they are judged."""


def transform(claims):
    return claims
