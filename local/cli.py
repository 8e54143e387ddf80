"""`hearthwatch`: the whole system on this machine, from one command line."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from edge_client.policy import UplinkPolicy
from local import accounts, models, parts, supervise
from local.config import HOST, PREFIX, Settings
from local.simulator.settings import SimulationSettings
from local.tools import MissingTool


class Exit(IntEnum):
    """Exit codes; the help text lists them."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    FAILED = 3
    MISSING = 4


_EPILOG: Final = (
    "Exit codes: 0 done; 1 `demo --once`: something expected did not happen; 2 wrong use; "
    "3 a part did not start or ended (for `status`: nothing runs); 4 something is missing on this machine, "
    "or a port is in use."
)
app = typer.Typer(
    help="Hearthwatch on one machine: simulated homes, real gateways, the real pipeline, a page. "
    "Start with `hearthwatch demo`. Ports and folders are settings in the environment (HEARTHWATCH_…).",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models.app, name="models")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Homes = Annotated[int, typer.Option(help="How many homes.", min=1)]
Scenario = Annotated[str, typer.Option(help="What happens in them: demo, quiet, or one kind of alarm.")]
Speed = Annotated[float, typer.Option(help="Simulated seconds in a second; above 1, minutes count as late.")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same homes and days.")]
Uplink = Annotated[
    UplinkPolicy,
    typer.Option(help="Payloads live (full), or features live and payloads in hourly objects (adaptive)."),
]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]


@app.command(epilog=_EPILOG)
def demo(
    homes: Homes = 20,
    scenario: Scenario = "demo",
    speed: Speed = 1.0,
    seed: Seed = 7,
    uplink: Uplink = UplinkPolicy.FULL,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=1)] = None,
    once: Annotated[bool, typer.Option(help="Play the scenario once, judge it, and stop.")] = False,
    json_path: Json = None,
) -> None:
    """Run the whole system with homes.

    Starts every part, says where to look, and stops everything on Ctrl-C. Data of the last run is removed.
    The safe word that cancels an alarm is "ember" in every home.
    """
    settings = _settings()
    simulation = _simulation(settings, homes, scenario, speed, seed, None, uplink)

    def stay(seconds: dict[str, float]) -> None:
        _addresses(settings)
        if once:
            _judge(settings, seconds, json_path)
        else:
            console.print("Ctrl-C stops everything.")
            _watch(settings, duration)

    foreground(
        settings, lambda: [*parts.system(settings, simulation), parts.homes(settings, simulation)], stay
    )


@app.command(epilog=_EPILOG)
def up(homes: Homes = 20, seed: Seed = 7, json_path: Json = None) -> None:
    """Start the system in the background.

    Without homes: `hearthwatch simulate` adds them. Data of the last run is removed.
    """
    settings = _settings()
    simulation = _simulation(settings, homes, "quiet", 1.0, seed, None)
    seconds = _start(settings, lambda: parts.system(settings, simulation))
    _addresses(settings)
    _write(json_path, {"start_s": seconds})


@app.command(epilog=_EPILOG)
def down() -> None:
    """Stop every process of the system.

    Also those that lost their supervisor. Safe to repeat.
    """
    count = _stop(_settings())
    console.print(f"Stopped {count} processes." if count else "Nothing was running.")


@app.command(epilog=_EPILOG)
def status(json_path: Json = None) -> None:
    """Show what runs and where."""
    settings = _settings()
    rows = supervise.status(settings)
    _write(json_path, {"running": bool(rows), "parts": [row._asdict() for row in rows]})
    if not rows:
        console.print(supervise.failure(settings) or f"Nothing runs in {settings.run}.", markup=False)
        raise typer.Exit(Exit.FAILED)
    table = Table("part", "", "state", "pid", "up", "memory", "address", box=None)
    for row in rows:
        sizes = (f"{row.uptime_s} s", f"{row.rss_mb} MB")
        table.add_row(row.name, row.title, row.state.lower(), str(row.pid), *sizes, row.address)
    console.print(table)
    console.print(f"Logs: {settings.logs}/PART.log", markup=False)


@app.command(epilog=_EPILOG)
def simulate(
    homes: Homes = 20,
    scenario: Scenario = "demo",
    speed: Speed = 1.0,
    seed: Seed = 7,
    uplink: Uplink = UplinkPolicy.FULL,
    duration: Annotated[float | None, typer.Option(help="Simulated seconds.", min=1)] = None,
) -> None:
    """Add homes to a system that is up.

    Runs until Ctrl-C, or for the given time.
    """
    settings = _settings()
    simulation = _simulation(settings, homes, scenario, speed, seed, duration, uplink)
    from local.credentials import write
    from local.emulators import use_stand_ins
    from local.simulator import host

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    write(settings)
    use_stand_ins(settings)
    raise typer.Exit(host.run(simulation))


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for one in error.errors():
            field = PREFIX + ".".join(map(str, one["loc"])).upper()
            errors.print(f"{field}={one['input']}: {one['msg']}", markup=False)
        raise typer.Exit(Exit.USAGE) from error


def _simulation(
    settings: Settings,
    homes: int,
    scenario: str,
    speed: float,
    seed: int,
    duration_s: float | None,
    uplink: UplinkPolicy = UplinkPolicy.FULL,
) -> SimulationSettings:
    try:
        return SimulationSettings(
            homes=homes,
            scenario=scenario,
            speed=speed,
            seed=seed,
            duration_s=duration_s,
            run_dir=settings.run,
            broker_host=HOST,
            broker_port=settings.mqtt_port,
            pubsub_project=settings.project,
            uplink=uplink,
            bucket=settings.bucket,
            recordings=settings.recordings,
        )
    except ValidationError as error:
        for one in error.errors():
            errors.print(f"{' '.join(map(str, one['loc']))}: {one['msg']}".lstrip(": "), markup=False)
        raise typer.Exit(Exit.USAGE) from error


def foreground(
    settings: Settings,
    wanted: Callable[[], list[parts.Part]],
    stay: Callable[[dict[str, float]], object],
) -> None:
    """Start parts, stay, and stop every process whatever ends the stay: its end, Ctrl-C, a failure.

    Args:
        stay: Given the seconds that each part took to start.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    running = supervise.supervisor_process(settings) is not None
    try:
        stay(_start(settings, wanted))
    except KeyboardInterrupt:
        console.print()
    finally:
        # From here on a second Ctrl-C must not leave anything behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not running:  # else it is another terminal's system that we were refused beside
            count = _stop(settings)
            if count:
                console.print(f"Stopped {count} processes.")


def _start(settings: Settings, wanted: Callable[[], list[parts.Part]]) -> dict[str, float]:
    """Start with progress on the terminal; ends the program if it cannot."""
    try:
        listed = wanted()
        console.print(f"Starting {len(listed)} parts; logs in {settings.logs}", markup=False)
        return supervise.start(listed, settings, _ready)
    except (MissingTool, supervise.PortInUse) as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(Exit.MISSING) from error
    except supervise.SystemFailed as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(Exit.FAILED) from error


def _ready(started: supervise.Started) -> None:
    console.print(f"  {started.title:<28}{started.seconds:6.1f} s", markup=False)


def _addresses(settings: Settings) -> None:
    page = f"http://{settings.address(settings.web_port)}"
    logins = (
        ("Dispatcher's page", page, accounts.dispatcher(settings)),
        ("Owner's app", f"{page}/owner/", accounts.owner(settings)),
    )
    for title, url, login in logins:
        console.print(f"\n{title:<20}{url}", markup=False)
        if login:
            console.print(f"Sign in             {login.email}", markup=False)
            console.print(f"Password            {login.password}", markup=False, highlight=False)
    console.print(f"Logs                {settings.logs}\n", markup=False)


def _watch(settings: Settings, duration_s: float | None) -> None:
    """Wait for the end: Ctrl-C, the duration, or a part that ended beyond restart."""
    ends = time.monotonic() + duration_s if duration_s else float("inf")
    while time.monotonic() < ends:
        _check(settings)
        time.sleep(0.5)


def _check(settings: Settings) -> None:
    if supervise.supervisor_process(settings) is None:
        errors.print(supervise.failure(settings) or "The supervisor was stopped.", markup=False)
        raise typer.Exit(Exit.FAILED)


def _judge(settings: Settings, start_s: dict[str, float], json_path: Path | None) -> None:
    from local import oracle
    from local.emulators import use_stand_ins

    use_stand_ins(settings)
    console.print("Playing the scenario once…")
    incidents = oracle.wait_for_end(
        settings, lambda: _check(settings), lambda line: console.print(f"  {line}", markup=False)
    )
    report = oracle.judge(settings, start_s, incidents)
    _write(json_path, report.document())
    console.print_json(json.dumps(report.document()))
    for line in report.complaints:
        errors.print(line, markup=False)
    if report.complaints:
        raise typer.Exit(Exit.UNEXPECTED)


def _stop(settings: Settings) -> int:
    """Stop everything → how many processes that were."""
    with console.status("Stopping…"):
        count = supervise.stop(settings)
    return count


def _write(path: Path | None, document: dict[str, Any]) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point `hearthwatch`."""
    app()


if __name__ == "__main__":
    main()
