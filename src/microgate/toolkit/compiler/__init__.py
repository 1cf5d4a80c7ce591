"""The compiler: descriptions and policies in, a plan or diagnostics out. passes.py has the order."""

from microgate.toolkit.compiler.passes import compile_description, compile_project

__all__ = ["compile_description", "compile_project"]
