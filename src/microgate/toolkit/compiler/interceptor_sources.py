"""Where a project's interceptors are written: functions in interceptors/, found by their headings and never run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.document import read_source
from microgate.toolkit.openapi.tree import place
from microgate.toolkit.project import layout

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.folder import Folder

# WSO2 §2.4: a Ballerina interceptor takes the caller and the request or the response.
_BALLERINA = re.compile(r"^[ \t]*(?:public[ \t]+)?function[ \t]+(\w+)[ \t\r\n]*\(\s*http:Caller\b", re.MULTILINE)
_PYTHON = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)


@dataclass
class InterceptorSources:
    """Function name -> `file:line`, per language."""

    ballerina: dict[str, str] = field(default_factory=dict)
    python: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(folder: Folder, report: Report) -> InterceptorSources:
        """The functions of a project. A name that two Ballerina files define is reported."""
        found = InterceptorSources()
        root = folder.root / layout.INTERCEPTORS
        for path in sorted(root.rglob("*")):
            language = {".bal": (found.ballerina, _BALLERINA), ".py": (found.python, _PYTHON)}.get(path.suffix)
            if language is None or not path.is_file() or not folder.contains(path):
                continue
            functions, pattern = language
            source = read_source(path, folder.name(path), report)
            if source is None:
                continue
            for match in pattern.finditer(source.text):
                line = source.text.count("\n", 0, match.start(1))
                where = f"{source.name}:{line + 1}"
                if match[1] in functions and path.suffix == ".bal":
                    message = f"the interceptor `{match[1]}` is defined twice; first at {functions[match[1]]}"
                    report.add(source.diagnostic(catalogue.DUPLICATE_INTERCEPTOR, message, place(line, 0)))
                functions.setdefault(match[1], where)
        return found
