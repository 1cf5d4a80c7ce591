"""Settings from outside the file: the environment and the command line, as entries.

Every scalar key has two names in the environment: its own with `_` for each dot, as under 3.x, and `MICROGATE_` before
its own in capitals, where underscores may be set freely. Keys of the plan's upstreams are known by their ending (WSO2 §8.6).
"""

from collections.abc import Iterable, Iterator, Mapping

from microgate.settings.entries import OLD_NAMES, Entry, Origin
from microgate.settings.schema import KEYS, Key, keys, tables

PREFIX = "MICROGATE_"
COMMAND_LINE = "command line"


def from_command_line(overrides: Iterable[tuple[str, str]]) -> dict[str, Entry]:
    """The last of several values for one key counts."""
    return {name: Entry(value, Origin(COMMAND_LINE), is_text=True) for name, value in overrides}


def from_environment(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, Entry]:
    """What the environment sets, `MICROGATE_` before the plain names; also names that only look like settings."""
    plain = {name.replace(".", "_"): name for name in _names()}
    squeezed = {squeeze(name): name for name in plain}
    upstreams = {name.replace(".", "_"): name for name in names}
    found: dict[str, Entry] = {}
    ours: dict[str, Entry] = {}
    for variable, value in environ.items():
        entry = Entry(value, Origin(f"environment variable {variable}"), is_text=True)
        if variable.startswith(PREFIX):
            rest = variable[len(PREFIX) :]
            known = squeezed.get(squeeze(rest))
            if known is not None:
                ours[plain[known]] = entry
            elif _is_of_section(squeeze(rest)):
                ours[variable] = entry
        elif variable in plain:
            found[plain[variable]] = entry
        else:
            name = _user_key(variable) or _upstream_key(variable, upstreams) or _stray_key(variable)
            if name:
                found[name] = entry
    return found | ours


def _names() -> Iterator[str]:
    """Every name that a scalar may have, old names and the single form of arrays of tables included."""
    for name in _scalars(Key(name, field) for name, field in KEYS.items()):
        yield name
        if name.startswith("keyManager."):
            yield "keymanager" + name[len("keyManager") :]
    for old in OLD_NAMES:
        yield old
        if old.startswith("keyManager."):
            yield "keymanager" + old[len("keyManager") :]


def _scalars(declared: Iterable[Key]) -> Iterator[str]:
    for name, field in declared:
        if field.kind == "sections":
            assert field.section is not None
            yield from _scalars(keys(field.section, name))
        elif field.kind not in {"users", "map"}:
            yield name


def squeeze(name: str) -> str:
    return name.replace("_", "").lower()


_TOP = sorted({name.partition(".")[0] for name, _ in tables() if name})
_SQUEEZED_TOP = tuple(name.lower() for name in _TOP)
# Plain words such as `server` or `caching` begin variables of other programs too, so they prove nothing.
_TELLING = tuple(f"{name}_" for name in _TOP if name != name.lower() or name == "b7a")


def _is_of_section(squeezed: str) -> bool:
    return squeezed.startswith(_SQUEEZED_TOP)


def _user_key(variable: str) -> str:
    """b7a_users_NAME_password: a user's name may hold underscores itself."""
    if variable.startswith("b7a_users_"):
        name, _, last = variable[len("b7a_users_") :].rpartition("_")
        if name and last in {"password", "scopes"}:
            return f"b7a.users.{name}.{last}"
    return ""


def _upstream_key(variable: str, upstreams: dict[str, str]) -> str:
    parts = split_upstream_key(variable)
    if parts is None:
        return ""
    name, ending = parts
    return upstreams[name] + ending if name in upstreams else ""


def _stray_key(variable: str) -> str:
    return variable if variable.startswith(_TELLING) else ""


def split_upstream_key(name: str) -> tuple[str, str] | None:
    """(`petstore`, `_prod_endpoint_0`) of `petstore_prod_endpoint_0`, None for a name of another form."""
    for environment in ("_prod_", "_sand_"):
        upstream, found, ending = name.rpartition(environment)
        if found and upstream and _is_upstream_ending(ending):
            return upstream, environment + ending
    return None


def _is_upstream_ending(ending: str) -> bool:
    word, _, last = ending.partition("_")
    if word == "endpoint":
        return last.isascii() and last.isdigit()
    if word == "basic":
        return last in {"username", "password"}
    return last == "etcdKey" and word.isascii() and word.isdigit()
