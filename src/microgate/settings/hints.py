"""What a user probably meant by a key that is not known. Only `load.py` asks, when something is wrong already."""

from collections.abc import Iterable

from microgate.settings.entries import OLD_NAMES, Origin
from microgate.settings.outside import COMMAND_LINE, PREFIX, split_upstream_key, squeeze
from microgate.settings.schema import KEYS, Key, keys

USERS = "b7a.users."
MAX_LISTED = 12  # keys of a table
MAX_LENGTH = 100  # of a name; no key is as long, and comparing takes its square


def nearest(name: str, origin: Origin, names: frozenset[str]) -> str:
    """A hint with the nearest name that could be meant at that place, or nothing. `names` are the plan's upstreams."""
    if len(name) > MAX_LENGTH:
        return ""
    plain, known = name, {one: one for one in (*_all_names(), *OLD_NAMES)}
    parts = split_upstream_key(name)
    buried = _below_a_header(name, known)
    if buried:
        return f"did you mean `{buried}`? a key below a table's header belongs to that table"
    if parts is not None:
        known = {one + parts[1]: one + parts[1] for one in names}
    elif name.startswith(USERS):
        return _of_user(name)
    elif "]." in name:
        # Inside an array of tables only its own keys can be meant.
        table = name.partition("[")[0]
        plain = f"{table}.{name.partition('].')[2]}"
        known = {one: one for one in known if one.startswith(table + ".")}
    elif name.startswith(PREFIX):
        plain = squeeze(name)
        known = {PREFIX.lower()[:-1] + squeeze(one.replace(".", "")): _variable(one) for one in known}
    elif origin.place != COMMAND_LINE and not origin.line:
        known = {one.replace(".", "_"): one.replace(".", "_") for one in known}
    return _choose(plain, known)


def _of_user(name: str) -> str:
    """A user is a table by the user's name, which may hold dots."""
    from microgate.settings.schema import fields
    from microgate.settings.security import User

    user, _, last = name[len(USERS) :].rpartition(".")
    known = [field.name for field in fields(User)]
    if not user or user.isdecimal():
        return f"a user is a table of its own: `[{USERS}NAME]` with " + " and ".join(f"`{one}`" for one in known)
    return _choose(last, {one: f"{USERS}{user}.{one}" for one in known})


def _choose(plain: str, known: dict[str, str]) -> str:
    import difflib

    table, dot, last = plain.rpartition(".")
    # Where the table is right, only the last word may be wrong; a long common beginning proves nothing.
    siblings = {one.rpartition(".")[2].lower(): one for one in known if one.rpartition(".")[:2] == (table, dot)}
    if dot and siblings:
        near = [siblings[one] for one in difflib.get_close_matches(last.lower(), siblings, n=1, cutoff=0.6)]
        near = near or _same_last_word(plain, known)
    else:
        near = difflib.get_close_matches(plain, known, n=1, cutoff=0.75) or _same_last_word(plain, known)
    if near:
        return f"did you mean `{known[near[0]]}`?"
    if not 0 < len(siblings) <= MAX_LISTED or not dot:
        return ""
    return f"keys of `{table}`: " + ", ".join(sorted(one.rpartition(".")[2] for one in siblings.values()))


def _same_last_word(name: str, known: dict[str, str]) -> list[str]:
    """A right key in the wrong table; a word that many tables have, as `enabled`, tells nothing."""
    last = name.rpartition(".")[2].lower()
    found = [one for one in known if one.rpartition(".")[2].lower() == last]
    return found if len(found) == 1 else []


def _below_a_header(name: str, known: Iterable[str]) -> str:
    """The full name of a key that was written below the header of another table."""
    return next((one for one in known if name.endswith("." + one)), "")


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "_").upper()


def _all_names() -> list[str]:
    """Every key, those inside arrays of tables by the table's name."""
    names = []
    pending = [Key(name, field) for name, field in KEYS.items()]
    while pending:
        name, field = pending.pop()
        names.append(name)
        if field.kind == "sections":
            assert field.section is not None
            pending.extend(keys(field.section, name))
    return names
