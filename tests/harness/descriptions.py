"""OpenAPI descriptions in short form: what a test of the gateway needs of one, in a few words."""

from __future__ import annotations

import json
import re
from typing import Any

BACKEND = "@BACKEND@"  # replaced by the address of the test's backend


def describe(
    paths: dict[str, Any] | list[str],
    *,
    base: str = "/",
    backend: str = BACKEND,
    secured: bool = False,
    title: str = "api",
    **root: Any,
) -> str:
    """An OpenAPI 3.0 document as JSON. `paths` maps a template to methods, or to a mapping as OpenAPI has it.

    A list of paths means GET on each. Extensions of the root are given as keywords with `_` for `-`:
    `x_wso2_transports=["https"]`.
    """
    if isinstance(paths, list):
        paths = {key: ["get"] for key in paths}
    document: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": title, "version": "1.0.0"},
        "x-wso2-basePath": base,
        "paths": {path: _path_item(path, methods) for path, methods in paths.items()},
    }
    if backend:
        document["x-wso2-production-endpoints"] = {"urls": [backend]}
    if not secured:
        document["x-wso2-disable-security"] = True
    for key, value in root.items():
        document[key.replace("_", "-") if key.startswith("x_") else key] = value
    return json.dumps(document, indent=1)


def _path_item(path: str, methods: Any) -> dict[str, Any]:
    if not isinstance(methods, dict):
        methods = {method: {} for method in methods}
    item: dict[str, Any] = {}
    for method, operation in methods.items():
        item[method] = dict(operation or {})
        item[method].setdefault("responses", {"200": {"description": "ok"}})
        names = re.findall(r"\{([^}]+)\}", path)
        if names and "parameters" not in item[method]:
            item[method]["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
    return item
