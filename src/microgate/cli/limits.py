"""`microgate limits`: which limits an artefact has, and which of them apply to each of its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from microgate.cli import limit_text, tables, targets
from microgate.cli.console import printable
from microgate.cli.declaration import OUTPUT, Argument, Command, Option
from microgate.cli.output import put

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from microgate.cli.console import Console
    from microgate.plan.model import Api, Operation, Plan, Policy

DEFAULT = "Default"
UNAUTHENTICATED = "Unauthenticated"
NOTHING = "-"
MAX_CUSTOM_NAMED = 6
MAX_UNUSED_NAMED = 20
ORDER = ("resource", "subscription", "application", "custom")
OWN_COUNTS = {
    ("resource", ""): "API or operation",
    ("subscription", ""): "application",
    ("subscription", DEFAULT): "caller",
    ("subscription", UNAUTHENTICATED): "address",
    ("application", ""): "user of an application",
}


class Applied(NamedTuple):
    """A policy at an operation. Without a name it is the one that the caller's subscription or application names."""

    level: str
    policy: str = ""
    otherwise: str = ""  # where the caller names none


def _run(arguments: argparse.Namespace, console: Console) -> int:
    plan = targets.obtain(targets.find(arguments.artefact), console)
    if arguments.format == "json":
        from microgate.cli.diagnostics_json import pretty

        put(pretty(_facts(plan)), arguments.output, console)
    else:
        put("\n\n".join(_parts(plan)), arguments.output, console)
    return 0


def _parts(plan: Plan) -> Iterator[str]:
    names = _names(plan)
    rows = [
        (
            operation.method,
            ",".join(api.hosts) + _path(api, operation),
            str(operation.cost),
            _told_all(_applied(names, api, operation)),
        )
        for api, operation in _operations(plan)
    ]
    yield tables.render(("METHOD", "PATH", "COST", "LIMITED BY"), rows)
    used = _used(plan)
    ordered = sorted(plan.policies, key=lambda policy: ORDER.index(policy.level))
    policies = [row for policy in ordered if _is_used(policy, used) for row in _policy_rows(policy)]
    if policies:
        yield tables.render(("LEVEL", "POLICY", "STORE", "ALLOWS", "EACH", "WHERE"), policies)
    if plan.blocks:
        yield tables.render(("SHUT OUT",), [(limit_text.block_text(block),) for block in plan.blocks])
    unused = [policy.name for policy in plan.policies if not _is_used(policy, used)]
    if unused:
        more = len(unused) - MAX_UNUSED_NAMED
        shown = ", ".join(unused[:MAX_UNUSED_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield f"resource policies that nothing names: {printable(shown)}"


def _policy_rows(policy: Policy) -> Iterator[tuple[str, ...]]:
    """The groups in the order in which they are asked, and what none of them takes."""
    each = _each(policy)
    for group in policy.groups:
        name = f"{policy.name}.{group.name}"
        told = limit_text.allowance_text(group.allowance)
        yield policy.level, name, policy.store, told, each, limit_text.conditions_text(group.conditions)
    told = limit_text.policy_text(policy)
    yield policy.level, policy.name, policy.store, told, each, "no group takes it" if policy.groups else NOTHING


def _each(policy: Policy) -> str:
    """Who has a count of their own."""
    if policy.level == "custom":
        return policy.key_template if "$" in policy.key_template else NOTHING
    return OWN_COUNTS.get((policy.level, policy.name)) or OWN_COUNTS.get((policy.level, ""), NOTHING)


def _told_all(applied: list[Applied]) -> str:
    """On one line; of very many custom policies the number."""
    custom = [one for one in applied if one.level == "custom"]
    told = [_told(one) for one in applied if one.level != "custom" or len(custom) <= MAX_CUSTOM_NAMED]
    if len(custom) > MAX_CUSTOM_NAMED:
        told.append(f"{len(custom)} custom policies")
    return ", ".join(told) or NOTHING


def _told(applied: Applied) -> str:
    if applied.policy:
        return f"{applied.level} {applied.policy}"
    return f"the {applied.level}'s" + (f" or {applied.otherwise}" if applied.otherwise else "")


def _operations(plan: Plan) -> Iterator[tuple[Api, Operation]]:
    for api in plan.apis:
        for operation in api.operations:
            yield api, operation


def _path(api: Api, operation: Operation) -> str:
    return ("" if api.base_path == "/" else api.base_path) + operation.path


def _names(plan: Plan) -> dict[str, dict[str, None]]:
    """The names of the policies of each level, in order."""
    names: dict[str, dict[str, None]] = {}
    for policy in plan.policies:
        names.setdefault(policy.level, {})[policy.name] = None
    return names


def _applied(names: dict[str, dict[str, None]], api: Api, operation: Operation) -> list[Applied]:
    """In the order in which they are asked (WSO2 §11.1); `names` are of the policies of each level."""
    found: list[Applied] = []
    if api.tier:
        found.append(Applied("api", api.tier))
    elif operation.tier:
        found.append(Applied("resource", operation.tier))
    plans = names.get("subscription", {})
    security = operation.security
    if not security.opened_by:
        if plans:
            found.append(Applied("subscription", otherwise=DEFAULT if DEFAULT in plans else ""))
        if "application" in names:
            found.append(Applied("application"))
    if (security.opened_by or () in security.alternatives) and UNAUTHENTICATED in plans:
        found.append(Applied("unauthenticated", UNAUTHENTICATED))
    found += [Applied("custom", name) for name in names.get("custom", {})]
    return found


def _used(plan: Plan) -> set[str]:
    """Resource policies that an API or an operation names."""
    return {api.tier for api in plan.apis} | {operation.tier for _, operation in _operations(plan)}


def _is_used(policy: Policy, used: set[str]) -> bool:
    return policy.level != "resource" or policy.name in used


def _facts(plan: Plan) -> dict[str, Any]:
    used, names = _used(plan), _names(plan)
    return {
        "operations": [
            {
                "api": api.name,
                "version": api.version,
                "operation": operation.id,
                "method": operation.method,
                "path": _path(api, operation),
                "hosts": api.hosts,
                "cost": operation.cost,
                "limits": [one._asdict() for one in _applied(names, api, operation)],
            }
            for api, operation in _operations(plan)
        ],
        "policies": [limit_text.policy_facts(one) | {"used": _is_used(one, used)} for one in plan.policies],
        "blocks": [limit_text.block_facts(block) for block in plan.blocks],
    }


COMMAND = Command(
    name="limits",
    summary="list the limits of an artefact, and which of them apply to each operation",
    run=_run,
    arguments=(Argument("ARTEFACT", "an artefact; a project or OpenAPI file is compiled first"),),
    options=(Option(("--format",), "form of the list", "FORM", choices=("text", "json"), default="text"), OUTPUT),
    about="Where it says `the subscription's` or `the application's`, the caller's own names the policy.",
    examples=("microgate limits petstore/target/petstore",),
)
