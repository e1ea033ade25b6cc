"""``mentor data``: fetch the published data, or learn what to place where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mentor.cli.lines import clear_errors
from mentor.errors import InfrastructureError, NotFoundError, UnauthenticatedError

if TYPE_CHECKING:
    from mentor.data.download import Report
    from mentor.data.fetch import Place

app = typer.Typer(
    help="Published data: training set, questions, Wikipedia corpus, index, encoder.", no_args_is_help=True
)
To = Annotated[Path, typer.Option(help="data folder; everything has its place below it")]
BaseUrl = Annotated[
    str | None,
    typer.Option(envvar="MENTOR_DATA_URL", help="a mirror with the hub's paths; default: where it is published"),
]


@app.command(name="list")
def list_entries(to: To = Path("data"), base_url: BaseUrl = None) -> None:
    """Everything that can be fetched: what it is, licence, size, from where, to where, and what is there already.

    Works without network: what it prints is what to fetch elsewhere and where to put it.
    """
    from mentor.data.catalogue import CATALOGUE
    from mentor.data.fetch import Place, description

    with clear_errors():
        typer.echo("\n\n".join(description(Place(entry, to, base_url)) for entry in CATALOGUE))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="as `mentor data list` has it")],
    to: To = Path("data"),
    base_url: BaseUrl = None,
    token_file: Annotated[
        Path | None, typer.Option(help="file with a bearer token; sent to the base URL's host alone")
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="further attempts in a row that bring nothing")] = 5,
) -> None:
    """Fetch one entry: resumed where it stopped, checked, unpacked. What is there already is checked, not fetched again.

    Give the same command again after an interruption, kill included. Checksums are recorded in NAME.sha256 beside the
    data (`sha256sum -c` reads it). Proxies: HTTPS_PROXY, HTTP_PROXY, NO_PROXY. Without network it says what to place
    where by hand.
    """
    from mentor.data.catalogue import entry_named
    from mentor.data.fetch import Place

    with clear_errors():
        place = Place(entry_named(name), to, base_url)
        with _hint_by_hand(place):
            _fetch(place, token_file, retries)


def _fetch(place: Place, token_file: Path | None, retries: int) -> None:
    from mentor.data.download import in_words
    from mentor.data.fetch import POLICY, fetch, open_client
    from mentor.data.files import check_readable

    token = None
    if token_file is not None:
        check_readable(token_file, "--token-file")
        token = token_file.read_text(errors="replace").strip()
    policy = type(POLICY)(attempts=retries + 1, backoff_s=POLICY.backoff_s, max_backoff_s=POLICY.max_backoff_s)
    lines = []
    try:
        with open_client(place.base_url or place.entry.hub, token) as client, _bars() as report:
            for file in fetch(place, client, report, policy):
                what = "fetched" if file.came else "present"
                lines.append(f"{what}  {file.path}  {in_words(file.size)}  sha256 {file.sha256}")
    finally:
        typer.echo("".join(f"{line}\n" for line in lines), nl=False)  # not among the bars
    typer.echo(place.entry.use.format(folder=place.folder))


@contextmanager
def _hint_by_hand(place: Place) -> Iterator[None]:
    """After a failure of the network or the server, say how to do without."""
    from mentor.data.fetch import by_hand

    try:
        yield
    except (InfrastructureError, NotFoundError, UnauthenticatedError):
        typer.echo(by_hand(place), err=True)
        raise


@contextmanager
def _bars() -> Iterator[Report]:
    """Bars on standard error, one for each file at work; none unless it is a terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def report(label: str, done: int, total: int | None) -> None:
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total)
            progress.update(tasks[label], completed=done, total=total)

        yield report
