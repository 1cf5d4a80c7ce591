"""The reference page of all settings, made from their declarations. Only the generator of the documentation calls it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from microgate.settings.model import Settings
from microgate.settings.reader import show
from microgate.settings.schema import Field, fields, join
from microgate.settings.section import Home, Note

_INTRODUCTION = """\
# Settings

<!-- Made from the declarations in src/microgate/settings by docs/generate.py; edit those. -->

Settings say where and how a gateway runs; what it serves is in the project. They come from four places, the first that
names a key wins:

1. the command line: `--set listenerConfig.httpPort=8080` (`--listenerConfig.httpPort=8080` under `gateway`)
2. the environment: `listenerConfig_httpPort=8080` (a `_` for each dot, as under 3.x), or `MICROGATE_LISTENERCONFIG_HTTPPORT=8080`
   (underscores may be set freely: `MICROGATE_LISTENER_CONFIG_HTTP_PORT` is the same), which wins over the former
3. the file `micro-gw.conf` (TOML), named by `--config`
4. the default

`microgate run --print-config` shows each value and where it came from; secrets are shown as `***`.

```toml
[listenerConfig]
httpPort = 8080
certificateFile = "/etc/microgate/tls.crt"
privateKeyFile = "/etc/microgate/tls.key"
trustedProxies = ["10.0.0.0/8"]

[[jwtTokenConfig]]
issuer = "https://id.example.com"
jwksURL = "https://id.example.com/jwks"

[b7a.log]
level = "INFO"
```

- A key that is not known is an error that names the nearest key; under `gateway` it is a warning. All findings are shown at once.
- In strings of the file `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}` are filled, and `${mgw-runtime.home}` from the
  variable `MGW_HOME`. So a secret needs to stand in no file of its gateway. Nothing else is ever filled.
- Arrays of strings are written with commas outside the file. Arrays of tables can only stand in the file.
- Paths are relative to the folder that the gateway is started in.
- The addresses of an upstream are replaced by `<name>_prod_endpoint_<number>` and `<name>_sand_endpoint_<number>` (from 0), in
  the environment, on the command line or at the top of the file.

Old names of 3.x are understood: `keymanager` for `keyManager`, `keyManager.username` and `password`, `keyManager.external`,
`keyManager.timestampSkew`, `client_id`, `persistent.hostname`, `httpClients.trustStorePassword`,
`httpClients.sslConfig.verifyHostname`, `apim.eventHub.service_url`, keys of `fileUpload` directly under `[analytics]`, and one
table `[jwtTokenConfig]` where there is now an array of tables.

What a key does today stands in its last column: **yes**; **not yet**, where another value than the default is a warning at start;
**refused**, where another value than the default is an error, since the key restricts what the gateway lets through and this
version does not do that yet.
"""

_EFFECT = {Home.ACTED_ON: "yes", Home.LATER: "not yet", Home.REFUSED: "refused"}
_TYPES = {"boolean": "true, false", "integer": "integer", "number": "number", "text": "string", "texts": "strings"}


def render() -> str:
    """The whole page, Markdown with a final line end."""
    parts = [_INTRODUCTION]
    top = [field for field in fields(Settings) if field.kind != "section" and field.section is None]
    for field in fields(Settings):
        if field.section is None:
            continue
        if field.name:
            parts.extend(_section(field.section, field.name, field))
        else:
            top.extend(fields(field.section))
    parts.append("## Keys outside any table\n\n" + _table(top))
    return "\n".join(parts)


def _brackets(field: Field, name: str) -> str:
    if field.kind == "users":
        return f"[{name}.NAME]"
    return f"[[{name}]]" if field.kind == "sections" else f"[{name}]"


def _section(section: type[msgspec.Struct], name: str, parent: Field) -> Iterator[str]:
    """A heading and table for the section and for each below it."""
    own = [field for field in fields(section) if field.section is None]
    note = parent.note
    title = _brackets(parent, name)
    if own:
        words = (section.__doc__ or "").strip()
        if note is not None:
            words += f" {note.description[:1].upper()}{note.description[1:]}."
        yield f"## {title}\n\n{words}\n\n{_table(own, note)}"
    for field in fields(section):
        if field.section is not None:
            yield from _section(field.section, join(name, field.name), field)


def _table(rows: list[Field], parent: Note | None = None) -> str:
    """One row for each key; keys of a table in an array have the effect of the array where that has none."""
    lines = ["| Key | Type | Default | What it is | Effect |", "|---|---|---|---|---|"]
    for field in rows:
        assert field.note is not None
        home = field.note.home if parent is None or parent.home is Home.ACTED_ON else parent.home
        cells = (f"`{field.name}`", _type(field), _default(field), _description(field.note), _EFFECT[home])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _type(field: Field) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    if field.kind == "map":
        return "table of strings"
    note = field.note
    assert note is not None
    words = _TYPES[field.kind]
    if note.high is not None:
        return f"{words}, {note.low} to {note.high}"
    return words if note.low is None else f"{words}, at least {note.low}"


def _default(field: Field) -> str:
    value: Any = field.default
    if field.required:
        return "must be set"
    if value is None:
        return "unset"
    return "none" if value in ("", (), {}) else f"`{show(value)}`"


def _description(note: Note) -> str:
    return note.description.replace("|", "\\|") + (" (secret)" if note.secret else "")
