"""The known name that a user most likely meant, for hints."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_COMPARED = 2000  # names; more than that a hint is not worth its time
MIN_PART = 5  # letters, for the end of a name to stand for the whole
MAX_DIFFERENCE = 5  # letters that one has and the other has not


def nearest(name: str, known: Iterable[str]) -> str:
    """The nearest of `known`, ignoring case, or "" where none is near."""
    wanted = name[:100].lower()
    letters = set(wanted)
    # Comparing is dear, and a hostile document has very many unknown names: only those that share their letters are compared.
    originals = {
        candidate.lower(): candidate
        for candidate in list(known)[:MAX_COMPARED]
        if abs(len(candidate) - len(wanted)) <= MAX_DIFFERENCE
        and len(letters ^ set(candidate.lower())) <= MAX_DIFFERENCE
    }
    found = get_close_matches(wanted, originals, n=1, cutoff=0.7)
    return originals[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint that names the nearest known name, or `otherwise`. A name that is cut short counts where only one ends so."""
    names = list(known)[:MAX_COMPARED]
    found = nearest(name, names)
    if not found and len(name) >= MIN_PART:
        longer = [one for one in names if one.lower().endswith(name.lower())]
        found = longer[0] if len(longer) == 1 else ""
    return f"did you mean `{found}`?" if found else otherwise
