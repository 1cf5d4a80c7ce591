"""Users' code in a project, apart from interceptors: Python that the settings name goes into the plan, read and never run.

What is of other languages (Ballerina filters, Java libraries, gRPC definitions) cannot run here, so what has an effect
under WSO2 is an error, what has none is at most a warning; untouched stubs are neither.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from microgate.plan.model import Module
from microgate.toolkit import catalogue
from microgate.toolkit.compiler import python_source
from microgate.toolkit.openapi.document import read_source, whole_file
from microgate.toolkit.openapi.tree import place
from microgate.toolkit.project import layout

if TYPE_CHECKING:
    from pathlib import Path

    from microgate.diagnostics import Diagnostic, Report
    from microgate.toolkit.openapi.folder import Folder

# What `micro-gw init` made in every project (WSO2 §2.2).
SHIPPED_EXTENSIONS = ("extension_filter.bal", "startup_extension.bal", "token_revocation_extension.bal")
# Python in these files would run without being named by the settings; this release does not call it.
UNCALLED_EXTENSIONS = {"extension_filter": "the extension filter", "startup_extension": "the startup extension"}
SHIPPED_PROTO_FILES = ("wso2_options.proto", "wso2CustomOptions.proto")

_COMMENT = re.compile(r"//[^\n]*|^[ \t]*#[^\n]*", re.MULTILINE)
_FUNCTION = re.compile(r"\bfunction\s+(\w+)\s*\([^{;]*?\{")
_CALL = re.compile(r"([\w:.]+)\s*\(")
_ASSIGNMENT = re.compile(r"\w\s*\.\s*\w+\s*=[^=]|\]\s*=[^=]|->|\breturn\s+false\b")
_WORDS = frozenset({"if", "match", "while", "foreach", "check", "is"})


def read(folder: Folder, report: Report) -> tuple[Module, ...]:
    """The Python modules of a project's extensions, sorted by name; reports the code that this gateway cannot run."""
    modules = []
    for path in _files(folder, layout.EXTENSIONS):
        if path.suffix == ".bal":
            _check_ballerina(path, folder, report)
        elif path.suffix == ".py":
            module = _read_python(path, folder, report)
            if module is not None:
                modules.append(module)
    for name in (layout.INTERCEPTORS, layout.EXTENSIONS, layout.LIBRARIES):
        for path in _files(folder, name):
            if path.suffix == ".jar" or (path.suffix == ".bal" and name == layout.LIBRARIES):
                report.add(unused(folder.name(path)))
    for path in _files(folder, layout.GRPC_DEFINITIONS):
        if path.suffix == ".proto" and path.name not in SHIPPED_PROTO_FILES:
            message = "not supported yet: gRPC definitions"
            report.add(whole_file(catalogue.NOT_SUPPORTED_YET, message, folder.name(path), "remove the file"))
    return tuple(sorted(modules, key=lambda module: module.name))


def unused(name: str) -> Diagnostic:
    """What is said of a file in another language that nothing uses."""
    message = "a Java library is not used" if name.endswith(".jar") else "a Ballerina file is not used"
    return whole_file(catalogue.FOREIGN_CODE_UNUSED, message, name, "rewrite what it does in Python, then remove it")


def _files(folder: Folder, name: str) -> list[Path]:
    return [path for path in sorted((folder.root / name).rglob("*")) if path.is_file() and folder.contains(path)]


def _check_ballerina(path: Path, folder: Folder, report: Report) -> None:
    source = read_source(path, folder.name(path), report)
    if source is None:
        return
    found = functions_with_effect(source.text)
    if not found and path.name not in SHIPPED_EXTENSIONS:
        report.add(unused(source.name))
    for name, line in found:
        message = f"the Ballerina function `{name}` of an extension cannot run here; it applied to all APIs"
        hint = "rewrite it in Python, or remove the file if it is not needed"
        report.add(source.diagnostic(catalogue.FOREIGN_CODE, message, place(line, 0), hint=hint))


def functions_with_effect(text: str) -> list[tuple[str, int]]:
    """Name and line (from 0) of the functions of a Ballerina file that do anything.

    The stubs that `micro-gw init` made only dispatch to functions without a body; so a function does nothing when it
    assigns nothing but its own variables and calls nothing but functions of this file that do nothing.
    """
    code = _COMMENT.sub(lambda match: " " * len(match[0]), text)
    bodies: dict[str, tuple[str, int]] = {}
    for match in _FUNCTION.finditer(code):
        end = _closing_brace(code, match.end())
        bodies[match[1]] = (code[match.end() : end], code.count("\n", 0, match.start()))
    active: set[str] = set()
    while True:
        more = {name for name, (body, _) in bodies.items() if name not in active and _acts(body, bodies, active)}
        if not more:
            return [(name, line) for name, (_, line) in bodies.items() if name in active]
        active |= more


def _acts(body: str, bodies: dict[str, tuple[str, int]], active: set[str]) -> bool:
    if _ASSIGNMENT.search(body):
        return True
    called = set(_CALL.findall(body)) - _WORDS
    return any(name not in bodies or name in active for name in called)


def _closing_brace(code: str, start: int) -> int:
    depth = 1
    for match in re.compile(r"[{}]").finditer(code, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return len(code)


def _read_python(path: Path, folder: Folder, report: Report) -> Module | None:
    source = read_source(path, folder.name(path), report)
    tree = None if source is None else python_source.parse(source, report)
    if source is None or tree is None or _is_stub(tree):
        return None
    name = path.relative_to(folder.root / layout.EXTENSIONS).with_suffix("").as_posix()
    if name in UNCALLED_EXTENSIONS:
        message = f"not supported yet: {UNCALLED_EXTENSIONS[name]}"
        hint = "empty the file; functions that settings name belong into a file of another name"
        report.add(whole_file(catalogue.NOT_SUPPORTED_YET, message, source.name, hint))
        return None
    return Module(name, source.text)


def _is_stub(tree: ast.Module) -> bool:
    """A file that holds nothing but its docstring and imports."""
    inert = (ast.Import, ast.ImportFrom, ast.Pass)
    return all(isinstance(node, inert) or isinstance(getattr(node, "value", None), ast.Constant) for node in tree.body)
