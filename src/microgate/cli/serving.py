"""From a target and what was asked for to a serving gateway: `microgate run`, an artefact run by its own name, and `gateway`
all end here. An artefact passes without the toolkit; a project under --dev is compiled again when it is saved.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import msgspec

from microgate.cli import targets
from microgate.cli.targets import Kind
from microgate.errors import Findings, MicrogateError, SettingsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from microgate.cli.console import Console
    from microgate.cli.targets import Target
    from microgate.diagnostics import Diagnostic
    from microgate.plan.model import Plan
    from microgate.settings.load import Configuration
    from microgate.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Wish:
    """What to serve and how, as asked for. `strict`: an unknown setting is an error, not a warning."""

    target: str
    config: Path | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    ready_file: Path | None = None
    print_config: bool = False
    dev: bool = False
    strict: bool = True


def serve(wish: Wish, console: Console) -> int:
    """Serve in the foreground until stopped; the exit code. Raises MicrogateError where it cannot begin."""
    target = targets.find(wish.target)
    if wish.dev and target.kind is Kind.ARTEFACT:
        raise UsageError("an artefact never trusts development keys", "run the project itself with --dev")
    plan = targets.obtain(target, console)
    configuration = _configure(wish, plan)
    targets.tell(_worth_telling(configuration.warnings, dev=wish.dev), console)
    if wish.print_config:
        for row in configuration.values:
            console.data(f"{row.key} = {row.text}  # {row.origin}")
        return 0
    if not wish.dev and sys.platform == "linux" and sys.executable:
        _hand_over(wish, plan, configuration, console)
    try:
        return _run(wish, target, plan, configuration.settings, console)
    except MicrogateError as error:
        from microgate.cli.places import placed

        raise placed(error, configuration.values) from None


def _hand_over(wish: Wish, plan: Plan, configuration: Configuration, console: Console) -> NoReturn:
    from microgate.cli.handed_over import Baton, hand_over

    hand_over(
        Baton(
            plan=plan,
            settings=configuration.settings,
            ready_file=str(wish.ready_file or ""),
            origins=tuple((row.key, row.text, row.origin) for row in configuration.values),
            program=console.name,
            verbose=console.verbose,
        )
    )


def _run(wish: Wish, target: Target, plan: Plan, settings: Settings, console: Console) -> int:
    from microgate.runtime import supervisor
    from microgate.runtime.generation import Generation

    if not wish.dev:
        return supervisor.serve(Generation(plan, settings, ready_file=wish.ready_file))
    settings = _trusting(settings)
    console.warning(
        "DEVELOPMENT MODE: tokens signed with your development keys are accepted by every operation that takes tokens",
        "`microgate token` prints one; never use --dev where others can reach this gateway",
    )
    return supervisor.serve(
        Generation(
            plan,
            settings,
            ready_file=wish.ready_file,
            dev=True,
            reload=_reloading(wish, target, console),
            watch=_watched(wish, target, plan),
        )
    )


def _configure(wish: Wish, plan: Plan) -> Configuration:
    from microgate.settings.load import Sources, load

    if wish.config is not None and not wish.config.is_file():
        raise SettingsError(f"{wish.config}: there is no such configuration file")
    return load(
        Sources(
            file=wish.config,
            environ=os.environ,
            overrides=wish.overrides,
            strict=wish.strict,
            names=frozenset(upstream.name for upstream in plan.upstreams),
        )
    )


def _worth_telling(warnings: list[Diagnostic], *, dev: bool) -> list[Diagnostic]:
    from microgate.settings.catalogue import NO_ISSUER

    return [warning for warning in warnings if not (dev and warning.code == NO_ISSUER)]


def _trusting(settings: Settings) -> Settings:
    """The settings with the development keys as one more issuer."""
    from microgate.cli import development_keys
    from microgate.settings.model import JwtIssuer

    # Their audience is the same for all, so the application is what `microgate token --claim consumerKey=…` says.
    issuer = JwtIssuer(
        issuer=development_keys.ISSUER,
        jwks_file=str(development_keys.key_set_file()),
        consumer_key_claim="consumerKey",
    )
    return msgspec.structs.replace(settings, issuers=(*settings.issuers, issuer))


def _reloading(wish: Wish, target: Target, console: Console) -> Callable[[], tuple[Plan, Settings] | None]:
    """What compiles the target anew; a mistake is shown, and what is being served stays."""

    def reload() -> tuple[Plan, Settings] | None:
        try:
            plan = targets.obtain(target, console)
            settings = _trusting(_configure(wish, plan).settings)
        except Findings as findings:
            targets.tell(findings.diagnostics, console)
        except MicrogateError as error:
            console.error(str(error), error.hint)
        except Exception as error:  # noqa: BLE001 - a mistake while typing must not end the gateway
            console.error(f"internal error while compiling: {type(error).__name__}: {error}")
        else:
            console.say(f"{target.path} changed: serving it anew")
            return plan, settings
        console.say("the gateway keeps serving what it served before")
        return None

    return reload


def _watched(wish: Wish, target: Target, plan: Plan) -> tuple[Path, ...]:
    if target.kind is Kind.PROJECT:
        from microgate.toolkit.project import layout

        watched = [target.path / name for name in layout.INPUTS]
    else:
        # The files it refers to are beside it; the folder itself may hold anything.
        watched = [target.path, *(target.base / name for name, _ in plan.inputs)]
    if wish.config is not None:
        watched.append(wish.config)
    return tuple(dict.fromkeys(watched))
