"""Users' Python as a syntax tree, read and never run: interceptors and extensions are looked at with it."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import place

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.document import Document

HINT = "correct the file, or remove it"


def parse(source: Document, report: Report) -> ast.Module | None:
    """The tree of a file; None after a diagnostic where Python could not load it."""
    try:
        with warnings.catch_warnings():
            # Python's own advice on a user's code is for those who run it.
            warnings.simplefilter("ignore")
            tree = ast.parse(source.text)
            # Some mistakes show only here, such as `return` outside of a function.
            compile(tree, source.name, "exec", dont_inherit=True)
    except SyntaxError as error:
        line, column = max(error.lineno or 1, 1), max(error.offset or 1, 1)
        message = f"the file is not Python: {error.msg}"
        report.add(source.diagnostic(catalogue.PYTHON_SYNTAX, message, place(line - 1, column - 1), hint=HINT))
    except (ValueError, RecursionError, MemoryError):
        message = "the file is not Python that can be read: it is nested too deeply"
        report.add(source.diagnostic(catalogue.PYTHON_SYNTAX, message, place(0, 0), hint=HINT))
    else:
        return tree
    return None
