"""The statistics of a data set as one HTML file that needs nothing else, light or dark as its reader has it.

Whatever a model, a tool or a row's author wrote stands in it as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader
from plotly.subplots import make_subplots

from mentor.data import write_text
from mentor.figures import COLOURS, embedded, label, on_any_ground
from mentor_teacher.output.statistics import Statistics, funnel

BLUE, AMBER, GREEN, _, RED = COLOURS
_LONGEST = 1500


def write_page(found: Statistics, facts: Mapping[str, Any], path: Path) -> None:
    """Write the page.

    Args:
        facts: what the head says of the data set, by name.
    """
    # Everything is escaped but figures, which are ours; their labels are escaped where they are made.
    environment = Environment(loader=PackageLoader("mentor_teacher", "templates"), autoescape=True)
    text = environment.get_template("statistics.html.j2").render(
        facts=facts, found=found, funnel=funnel(found), figures=embedded(figures(found)), longest=_LONGEST
    )
    write_text(path, text)


def figures(found: Statistics) -> list[go.Figure]:
    """What there is to be drawn."""
    drawn = [_waterfall(found)]
    if found.tools:
        drawn.append(_tools(found))
    if found.spreads:
        drawn.append(_spreads(found))
    if any(band.questions for band in found.difficulty):
        drawn.append(_difficulty(found))
    return drawn


def _waterfall(found: Statistics) -> go.Figure:
    rows = funnel(found)
    figure = go.Figure(
        go.Waterfall(
            x=[label(name) for name, _, _ in rows],
            y=[change for _, change, _ in rows],
            measure=["absolute", *["relative"] * (len(rows) - 2), "total"],
            text=[f"{change:,}" for _, change, _ in rows],
            textposition="outside", cliponaxis=False,
            decreasing={"marker": {"color": RED}}, totals={"marker": {"color": GREEN}},
            increasing={"marker": {"color": BLUE}}, connector={"line": {"color": "rgba(128,136,150,0.5)"}},
        )
    )  # fmt: skip
    figure.update_layout(title="What became of the trajectories", yaxis_title="trajectories", showlegend=False)
    return on_any_ground(figure, 420)


def _tools(found: Statistics) -> go.Figure:
    shown = list(found.tools.items())[:25]
    names = [label(name) for name, _ in shown]
    figure = go.Figure()
    figure.add_bar(name="ok", x=names, y=[entry["ok"] for _, entry in shown], marker_color=BLUE)
    figure.add_bar(name="failed", x=names, y=[entry["failed"] for _, entry in shown], marker_color=RED)
    title = "Calls of what was kept, by tool" + (", the 25 most used" if len(found.tools) > 25 else "")
    return on_any_ground(figure.update_layout(title=title, barmode="stack", yaxis_title="calls"), 380)


def _spreads(found: Statistics) -> go.Figure:
    titles = [f"{spread.name} (median {spread.median:g})" for spread in found.spreads]
    figure = make_subplots(rows=1, cols=len(titles), subplot_titles=titles)
    for column, spread in enumerate(found.spreads, start=1):
        figure.add_bar(
            x=list(spread.counts),
            y=list(spread.counts.values()),
            marker_color=AMBER,
            showlegend=False,
            row=1,
            col=column,
        )
    # Values stand as categories, so that nothing is interpolated between them.
    figure.update_xaxes(type="category", nticks=8)
    return on_any_ground(figure.update_layout(title="References, by turns, calls and length"), 360)


def _difficulty(found: Statistics) -> go.Figure:
    bands = [band for band in found.difficulty if band.questions]
    names = [f"{band.label}<br>{band.questions:,} questions" for band in bands]
    figure = go.Figure()
    figure.add_bar(name="of its samples", x=names, y=[100 * band.share for band in bands], marker_color=BLUE)
    figure.add_bar(
        name="of its questions", x=names, y=[100 * band.with_references / band.questions for band in bands],
        marker_color=GREEN,
    )  # fmt: skip
    figure.update_layout(
        title="Accepted, by difficulty (share of a question's samples that were right)", yaxis_title="% accepted",
        yaxis_range=[0, 100],
    )  # fmt: skip
    return on_any_ground(figure, 380)
