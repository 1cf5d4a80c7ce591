"""Where a project's interceptors are written: functions in interceptors/, found and never run."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.compiler import python_source
from microgate.toolkit.openapi.document import read_source
from microgate.toolkit.openapi.tree import place
from microgate.toolkit.project import layout

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.document import Document
    from microgate.toolkit.openapi.folder import Folder

# WSO2 §2.4: a Ballerina interceptor takes the caller and the request or the response.
_BALLERINA = re.compile(r"^[ \t]*(?:public[ \t]+)?function[ \t]+(\w+)[ \t\r\n]*\(\s*http:Caller\b", re.MULTILINE)


@dataclass
class InterceptorSources:
    """Function name -> `file:line`, per language."""

    ballerina: dict[str, str] = field(default_factory=dict)
    python: dict[str, str] = field(default_factory=dict)
    ballerina_files: dict[str, set[str]] = field(default_factory=dict)  # file -> its functions

    @staticmethod
    def read(folder: Folder, report: Report) -> InterceptorSources:
        """The functions of a project. A name that two Ballerina files define is reported."""
        found = InterceptorSources()
        root = folder.root / layout.INTERCEPTORS
        for path in sorted(root.rglob("*")):
            if path.suffix not in {".bal", ".py"} or not path.is_file() or not folder.contains(path):
                continue
            source = read_source(path, folder.name(path), report)
            if source is not None and path.suffix == ".py":
                found._add_python(source, report)
            elif source is not None:
                found._add_ballerina(source, report)
        return found

    def _add_python(self, source: Document, report: Report) -> None:
        tree = python_source.parse(source, report)
        for node in tree.body if tree is not None else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.python.setdefault(node.name, f"{source.name}:{node.lineno}")

    def _add_ballerina(self, source: Document, report: Report) -> None:
        functions = self.ballerina_files.setdefault(source.name, set())
        for match in _BALLERINA.finditer(source.text):
            line = source.text.count("\n", 0, match.start(1))
            if match[1] in self.ballerina:
                message = f"the interceptor `{match[1]}` is defined twice; first at {self.ballerina[match[1]]}"
                report.add(source.diagnostic(catalogue.DUPLICATE_INTERCEPTOR, message, place(line, 0)))
            self.ballerina.setdefault(match[1], f"{source.name}:{line + 1}")
            functions.add(match[1])
