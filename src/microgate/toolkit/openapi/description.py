"""One OpenAPI description, 2.0 to 3.2, in one typed form: what a gateway needs of it, each value with its place.

Schemas, parameters, examples and prose stay in the document. The compiler's bind pass calls `read`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import nearest
from microgate.toolkit.openapi import extensions, security, servers
from microgate.toolkit.openapi.cursor import Cursor, Located
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Spot
    from microgate.toolkit.openapi.document import Document
    from microgate.toolkit.openapi.extensions import Extensions
    from microgate.toolkit.openapi.references import References
    from microgate.toolkit.openapi.security import Requirements, SchemeDefinition
    from microgate.toolkit.openapi.servers import Server

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
# Further methods that the runtime's HTTP parser (llhttp) knows and a gateway may pass on.
# fmt: off
EXTRA_METHODS = (
    "QUERY", "COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "BIND", "REBIND",
    "UNBIND", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE",
    "UNSUBSCRIBE", "PURGE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE",
)
# fmt: on
_ITEM_FIELDS = ("$ref", "summary", "description", "servers", "parameters")


# The fields of objects that carry security and addresses; in the first group those whose loss would weaken an API.
_WEIGHTY = ("security", "servers", "securityDefinitions", "components", "paths", "host", "basePath", "schemes")
ROOT_KEYS = frozenset(
    {"swagger", "openapi", "$self", "info", "jsonSchemaDialect", "tags", "externalDocs", "webhooks", "consumes"}
    | {"produces", "definitions", "parameters", "responses", *_WEIGHTY}
)
OPERATION_KEYS = frozenset(
    {"tags", "summary", "description", "externalDocs", "operationId", "parameters", "requestBody", "responses"}
    | {"callbacks", "deprecated", "security", "servers", "consumes", "produces", "schemes"}
)


@dataclass
class Operation:
    """A method on a path template, as written."""

    method: str
    path: str
    id: str
    at: Spot
    extensions: Extensions
    path_at: Spot
    servers: list[Server] = field(default_factory=list)
    servers_of_path: bool = False  # `servers` stand on the path item
    security: Requirements | None = None


@dataclass
class Description:
    """An API, as written."""

    file: str
    at: Spot
    title: Located[str]
    version: Located[str]
    extensions: Extensions
    servers: list[Server]
    schemes: dict[str, SchemeDefinition]
    security: Requirements | None
    is_swagger: bool = False
    operations: list[Operation] = field(default_factory=list)
    # Document and place of each object whose extensions were read.
    extended: set[tuple[str, int]] = field(default_factory=set)


def read(document: Document, references: References, report: Report) -> Description | None:
    """The description in a document that is one; None where its version is not supported."""
    assert document.root is not None
    root = Cursor(document, document.root)
    dialect = _dialect(root, report)
    if dialect is None:
        return None
    title, version = _info(root, report)
    description = Description(
        file=document.name,
        at=root.spot,
        title=title,
        version=version,
        extensions=extensions.read(root, extensions.ROOT, report),
        servers=servers.read_host(root, report) if dialect == "2" else servers.read_servers(root, report),
        schemes=security.read_schemes(root, references, report),
        security=security.read_requirements(root, report),
        is_swagger=dialect == "2",
    )
    description.extended.add((document.name, root.node.place))
    report_misspelt(root, ROOT_KEYS, report)
    _Paths(description, references, report, dialect).read(root)
    return description


_SUPPORTED = re.compile(r"3\.[0-2](\.[0-9]+)?(-[A-Za-z0-9.]+)?")


def is_description(document: Document) -> bool:
    """Whether a document says that it is an OpenAPI description, of whatever version."""
    assert document.root is not None
    root = Cursor(document, document.root)
    return root.get("openapi") is not None or root.get("swagger") is not None


def _dialect(root: Cursor, report: Report) -> str | None:
    """The version in short: `2`, `3.0`, `3.1` or `3.2`."""
    for key in ("swagger", "openapi"):
        version = root.get(key)
        if version is None:
            continue
        text = str(version.value)
        if key == "swagger" and re.fullmatch(r"2(\.0)?", text):
            return "2"
        if key == "openapi" and _SUPPORTED.fullmatch(text):
            return text[:3]
        message = f"`{key}: {shown(text)}` is not a supported version"
        hint = "supported are `swagger: '2.0'` and `openapi:` 3.0, 3.1 and 3.2"
        report.add(version.spot.diagnostic(catalogue.OPENAPI_VERSION, message, hint))
        return None
    return None


def report_misspelt(cursor: Cursor, known: frozenset[str], report: Report) -> None:
    """Report a key that is unknown and near to one that protects an API: `securty` would leave out its scopes."""
    for key, member in cursor.members():
        if key in known or key.startswith("x-"):
            continue
        meant = nearest(key, known)
        if meant in _WEIGHTY:
            message = f"unknown key `{shown(key)}`"
            report.add(member.key_spot.diagnostic(catalogue.MISSPELT_KEY, message, f"did you mean `{meant}`?"))


def _info(root: Cursor, report: Report) -> tuple[Located[str], Located[str]]:
    info = root.get("info")
    if info is None or not info.is_mapping:
        at = root if info is None else info
        message = "`info` with `title` and `version` is missing"
        report.add(at.spot.diagnostic(catalogue.PROPERTY_MISSING, message, "add `info: {title: …, version: …}`"))
        return Located("", root.spot), Located("", root.spot)
    return _info_text(info, "title", report), _info_text(info, "version", report)


def _info_text(info: Cursor, key: str, report: Report) -> Located[str]:
    cursor = info.get(key)
    if cursor is None:
        report.add(info.spot.diagnostic(catalogue.PROPERTY_MISSING, f"`info.{key}` is missing", f"add `{key}: …`"))
        return Located("", info.spot)
    value = cursor.value
    if value is None or isinstance(value, bool) or not str(value).strip():
        message = f"`info.{key}` must be a text that is not empty"
        report.add(cursor.spot.diagnostic(catalogue.WRONG_TYPE, message))
        return Located("", cursor.spot)
    # `version: 1.10` is the number 1.1 to YAML; users mean the text.
    text = value if isinstance(value, str) else cursor.document.raw(cursor.node.place)
    return Located(text.strip(), cursor.spot)


class _Paths:
    """Reads `paths` into the operations of a description."""

    def __init__(self, description: Description, references: References, report: Report, dialect: str) -> None:
        self._description = description
        self._references = references
        self._report = report
        self._dialect = dialect

    def read(self, root: Cursor) -> None:
        paths = root.get("paths")
        if paths is not None and not paths.is_mapping:
            message = f"`paths` must be a mapping, not {paths.kind}"
            self._report.add(paths.spot.diagnostic(catalogue.WRONG_TYPE, message))
            return
        before = len(self._report.diagnostics)
        for path, item in paths.members() if paths is not None else ():
            if not path.startswith("x-"):
                self._read_item(path, item)
        if not self._description.operations and len(self._report.diagnostics) == before:
            self._report_empty(root, paths)

    def _report_empty(self, root: Cursor, paths: Cursor | None) -> None:
        message = "the description has no operations"
        if root.get("webhooks") is not None:
            message += ": `webhooks` are calls that an API makes, not calls that a gateway can take"
        hint = "add `paths` with at least one operation" if paths is None else "add an operation to `paths`"
        at = root if paths is None else paths
        diagnostic = at.spot.diagnostic(catalogue.NO_OPERATIONS, message, hint)
        self._report.add(diagnostic)

    def _read_item(self, path: str, item: Cursor) -> None:
        if not item.is_mapping:
            if item.value is not None or item.is_list:
                message = f"the path `{shown(path)}` must hold a mapping of operations, not {item.kind}"
                self._report.add(item.spot.diagnostic(catalogue.WRONG_TYPE, message))
            return
        # Where the reference leads nowhere, which is reported, what stands beside it is read all the same.
        found = self._references.follow(item) or item
        own = set(item.keys())
        of_path = servers.read_servers(item, self._report)
        for key, member in item.members():
            self._read_member(path, item.key_spot, key, member, of_path)
        if found.node is item.node:
            return
        # What stands beside `$ref` wins; OpenAPI leaves it undefined.
        of_path = of_path or servers.read_servers(found, self._report)
        for key, member in found.members():
            if key not in own:
                self._read_member(path, item.key_spot, key, member, of_path)

    def _read_member(self, path: str, path_at: Spot, key: str, member: Cursor, of_path: list[Server]) -> None:
        if key in METHODS or (key == "query" and self._dialect == "3.2"):
            self._read_operation(path, path_at, key.upper(), member, of_path)
        elif key == "trace":
            message = "TRACE is not offered: it shows credentials to whoever asks"
            hint = "remove the operation"
            self._report.add(member.key_spot.diagnostic(catalogue.METHOD_IGNORED, message, hint))
        elif key == "additionalOperations" and self._dialect == "3.2":
            for method, operation in member.members():
                self._read_additional(path, path_at, method, operation, of_path)
        elif key not in _ITEM_FIELDS and not key.startswith("x-"):
            meant = nearest(key, (*METHODS, *_ITEM_FIELDS))
            hint = f"did you mean `{meant}`?" if meant else "an unknown method is not served"
            if key.lower() in METHODS:
                hint = "methods are written in lower case"
            if key in ("query", "additionalOperations"):
                hint = "this needs `openapi: 3.2.0`"
            self._description.extended.add((member.document.name, member.node.place))  # one finding is enough
            message = f"`{shown(key)}` is not a method of a path item"
            self._report.add(member.key_spot.diagnostic(catalogue.METHOD_UNKNOWN, message, hint))

    def _read_additional(self, path: str, path_at: Spot, method: str, member: Cursor, of_path: list[Server]) -> None:
        if method.lower() in (*METHODS, "query", "trace"):
            message = f"`{shown(method)}` may not stand under `additionalOperations`"
            hint = f"write it as `{method.lower()}` in the path item"
            self._report.add(member.key_spot.diagnostic(catalogue.METHOD_UNKNOWN, message, hint))
        elif method not in EXTRA_METHODS:
            message = f"the method `{shown(method)}` cannot be served"
            hint = f"served are {', '.join(sorted(EXTRA_METHODS))}"
            self._report.add(member.key_spot.diagnostic(catalogue.METHOD_UNKNOWN, message, hint))
        else:
            self._read_operation(path, path_at, method, member, of_path)

    def _read_operation(self, path: str, path_at: Spot, method: str, cursor: Cursor, of_path: list[Server]) -> None:
        if not cursor.is_mapping:
            message = f"`{shown(cursor.key)}` of `{shown(path)}` must be a mapping, not {cursor.kind}"
            self._report.add(cursor.spot.diagnostic(catalogue.WRONG_TYPE, message))
            return
        self._description.extended.add((cursor.document.name, cursor.node.place))
        report_misspelt(cursor, OPERATION_KEYS, self._report)
        own = servers.read_servers(cursor, self._report) if self._dialect != "2" else []
        name = cursor.get("operationId")
        self._description.operations.append(
            Operation(
                method=method,
                path=path,
                id=name.text if name is not None and name.text and name.text.isprintable() else f"{method} {path}",
                at=cursor.key_spot,
                extensions=extensions.read(cursor, extensions.OPERATION, self._report),
                path_at=path_at,
                servers=own or of_path,
                servers_of_path=not own,
                security=security.read_requirements(cursor, self._report),
            )
        )
