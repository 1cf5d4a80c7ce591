"""The reference page of policies.yaml, made of the keys that the readers know. The generator of the documentation calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit.project.policies import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from microgate.toolkit.project.policies.keys import Key

# `<name>` stands for the table of a shape, or for a bound.
_PAGE = """\
# policies.yaml

<!-- Made from src/microgate/toolkit/project/policies by docs/generate.py; edit that. -->

The file defines policies by name, in lists; each item is a mapping with one key, the name. An API or an operation names a
policy of `resourcePolicies` in `x-wso2-throttling-tier`, applications and subscriptions name theirs, custom policies count
every request. The lists are name spaces of their own. `Unlimited` is built in, means no limit, and cannot be defined. A file
of 3.x is read as it is.

```yaml
resourcePolicies:
  - 10kPerMin:
      count: 10000
      unitTime: 1
      timeUnit: min
      burst: 200
      conditions:
        - robots:
            when: {header: {User-Agent: "bot|crawler"}}
            count: 60
subscriptionPolicies:
  - Gold: {count: 5000, unitTime: 1, timeUnit: min}
  - Default: {count: 500, unitTime: 1, timeUnit: min}
  - Unauthenticated: {count: 100, unitTime: 1, timeUnit: min}
customPolicies:
  - PerUser: {keyTemplate: "$userId:$apiContext", count: 20, unitTime: 1, timeUnit: sec}
blockingConditions:
  - address: 203.0.113.0/24
```

[Recipes](recipes.md) has whole files for common wishes. `microgate limits` lists what applies where. Editors that know JSON
Schema check and complete the file by [policies.schema.json](policies.schema.json), which a line `# yaml-language-server:
$schema=…/policies.schema.json` at its top names. What the schema cannot say, `microgate check` does.

## Lists

| List | Named by | At most |
|---|---|---|
| `resourcePolicies` | `x-wso2-throttling-tier` and `x-throttling-tier` of APIs and operations | <policies> |
| `subscriptionPolicies` | subscriptions; `Default` for callers without, `Unauthenticated` for open operations | <policies> |
| `applicationPolicies` | applications | <policies> |
| `customPolicies` | nobody: each counts every request | <customs> |
| `blockingConditions` | nobody: each item shuts callers out | <blocks> |

A tier at the root of an API counts all of its operations together, and tiers of its operations are neglected then. On
operations `x-throttling-tier` wins over `x-wso2-throttling-tier`, at the root it is the other way round.

## Policies

A policy has at least one allowance: `count` with its window, `burst`, `concurrency`, `bandwidth`, or a group of `conditions`
that has one. All that are given hold together. A policy that has allowances in groups only does not limit other requests. A
request takes 1 of `count` and of `burst`, or what `x-microgate-throttling-cost` of its operation says.

<policy>
## Custom policies

They have all keys of a policy, and:

<custom>
Requests whose template comes to the same text share one allowance; a request that lacks what it names is not counted. Other
text stands for itself; a template without variables is one allowance for all.

<variables>
## Bursts

`burst: 20` beside `count: 600, unitTime: 1, timeUnit: min` is a bucket of 20 tokens that fills with 10 a second: at most 20
requests come at once, and the quota holds as well.

<burst>
## Bandwidth

<bandwidth>
## Conditions

`conditions` is a list of groups, each with a name. The first group whose conditions all hold decides, and its allowance alone
counts the request; what no group takes has that of the policy itself. `default` is not free as a name. A policy has at most
<groups> groups, and a group <conditions> conditions.

<group>
All that stands in one `when` holds together, whether as one mapping or as a list of them. A pattern is one of RE2 and is
found anywhere in a value unless `^` and `$` say otherwise; in what is not there it is not found, and of several values of one
name any suffices. Names of headers are the same whatever their case. Both ends of a range of addresses belong to it.

<when>
## Blocking conditions

Each item has one of `api`, `user`, `application` and `address`. Whoever is shut out is answered with 403.

<block>"""
_KINDS = {
    "boolean": "true, false",
    "bytes": "bytes, 1 to 8TiB",
    "mapping": "mapping",
    "groups": "list of groups",
    "when": "mapping, or list of mappings",
    "patterns": "mapping of texts",
    "networks": "text, or list of texts",
    "text": "text",
    "template": "text",
}


def render() -> str:
    """The whole page, Markdown."""
    page = _PAGE
    for shape, declared in keys.SHAPES.items():
        page = page.replace(f"<{shape}>", _table([keys.KEY_TEMPLATE] if shape == "custom" else declared))
    bounds = {
        "policies": keys.MAX_POLICIES,
        "customs": keys.MAX_CUSTOM,
        "blocks": keys.MAX_BLOCKS,
        "groups": keys.MAX_GROUPS,
        "conditions": keys.MAX_CONDITIONS,
    }
    for name, bound in bounds.items():
        page = page.replace(f"<{name}>", f"{bound:,}")
    return page.replace("<variables>", _variables(keys.VARIABLES, "") + _variables(keys.NAMED_VARIABLES, ".NAME"))


def _table(declared: Iterable[Key]) -> str:
    lines = ["| Key | Value | Default | What it is |", "|---|---|---|---|"]
    for key in declared:
        default = "must be given" if key.needed else key.default or "none"
        if key.default and " " not in key.default:
            default = f"`{default}`"
        lines.append(f"| `{key.name}` | {_value(key)} | {default} | {key.sentence} |")
    return "\n".join(lines) + "\n"


def _value(key: Key) -> str:
    if key.words:
        return ", ".join(f"`{word}`" for word in key.words)
    if key.kind == "weights":
        return f"mapping of statuses to {key.low} to {key.high}"
    if key.kind.startswith("integer"):
        return f"{key.low} to {key.high}" + (", or a mapping" if key.shape else "")
    return _KINDS[key.kind]


def _variables(variables: Mapping[str, str], behind: str) -> str:
    """What a key template may name."""
    head = "" if behind else "| Variable | What it is |\n|---|---|\n"
    return head + "".join(f"| `${name}{behind}` | {meaning} |\n" for name, meaning in variables.items())
