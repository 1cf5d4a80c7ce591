"""What a user probably meant by a key that is not known. Only `load.py` asks, when something is wrong already."""

from collections.abc import Iterable

from microgate.settings.entries import OLD_NAMES, Origin
from microgate.settings.outside import COMMAND_LINE, PREFIX, split_upstream_key, squeeze
from microgate.settings.schema import KEYS, Key, keys

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


def _choose(plain: str, known: dict[str, str]) -> str:
    import difflib

    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.75) or _same_last_word(plain, known)
    return f"did you mean `{known[near[0]]}`?" if near else ""


def _same_last_word(name: str, known: dict[str, str]) -> list[str]:
    """A right key in the wrong table."""
    last = name.rpartition(".")[2].lower()
    return [one for one in known if one.rpartition(".")[2].lower() == last][:1]


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
