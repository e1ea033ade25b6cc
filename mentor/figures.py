"""Figures in HTML pages that need nothing else: what the report of a distillation and the statistics of a data set share."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed", "#dc2626")
_INK, _GRID = "#7b8494", "rgba(128,136,150,0.28)"
"""Readable on white and on black alike."""


def styled(figure: go.Figure, height: int) -> go.Figure:
    """The form of all figures, for light pages."""
    return figure.update_layout(template="plotly_white", height=height, margin={"t": 70, "l": 50, "r": 20, "b": 50})


def on_any_ground(figure: go.Figure, height: int) -> go.Figure:
    """As ``styled``, without a ground of its own: for pages that follow the reader's light or dark."""
    clear = "rgba(0,0,0,0)"
    figure = styled(figure, height).update_layout(paper_bgcolor=clear, plot_bgcolor=clear, font_color=_INK)
    figure.update_layout(modebar={"bgcolor": clear, "color": _INK})
    figure.update_xaxes(gridcolor=_GRID, zerolinecolor=_GRID, linecolor=_GRID)
    return figure.update_yaxes(gridcolor=_GRID, zerolinecolor=_GRID, linecolor=_GRID)


def embedded(figures: Sequence[go.Figure]) -> list[str]:
    """Each as HTML. The script library goes into the page once, with the first: it must open without a network."""
    return [
        figure.to_html(full_html=False, include_plotlyjs=index == 0, config={"displaylogo": False, "responsive": True})
        for index, figure in enumerate(figures)
    ]


def label(text: str, longest: int = 40) -> str:
    """Somebody's text as a label: figures take a little HTML in them, which is not meant here."""
    plain = " ".join(text.split())
    return html.escape(plain if len(plain) <= longest else f"{plain[: longest - 1]}…")


def json_for_script(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever a model wrote."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "").replace("\u2029", "")
