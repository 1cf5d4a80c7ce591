"""Distinguished names from a template (RFC 4514): a user's name is escaped so that it stays one value of one attribute."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf"})


def fill(template: str, user: str) -> str:
    """The template with the user's name for each `{user}`. ASCII but letters and digits becomes its code."""
    return template.replace("{user}", escape(user))


def escape(value: str) -> str:
    return "".join(
        character if character.isalnum() or not character.isascii() else f"\\{ord(character):02x}"
        for character in value
    )


def prepared(user: str) -> str:
    """A user's name as directories compare it (RFC 4518): they find `ann` where somebody writes `Ann` or ` ANN`.

    Limits and blocks know users by name, so there must be one for each.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", user).casefold())
    seen = "".join(letter for letter in folded if letter.isspace() or unicodedata.category(letter) not in _UNSEEN)
    return " ".join(seen.split()) or user
