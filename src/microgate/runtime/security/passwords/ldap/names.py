"""Distinguished names from a template (RFC 4514): a user's name is escaped so that it stays one value of one attribute."""

from __future__ import annotations


def fill(template: str, user: str) -> str:
    """The template with the user's name for each `{user}`. ASCII but letters and digits becomes its code."""
    return template.replace("{user}", escape(user))


def escape(value: str) -> str:
    return "".join(
        character if character.isalnum() or not character.isascii() else f"\\{ord(character):02x}"
        for character in value
    )
