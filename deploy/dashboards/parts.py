"""Panels and dashboards in one style; every query is Prometheus', every panel says what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
_COLUMNS = 24


@dataclass(frozen=True)
class Panel:
    """One question and its answer. ``queries`` are (PromQL, legend) pairs; ``single`` shows one number."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    about: str = ""
    single: bool = False
    width: int = 8

    def build(self) -> timeseries.Panel | stat.Panel:
        """The panel as the SDK knows it."""
        panel: timeseries.Panel | stat.Panel = stat.Panel() if self.single else timeseries.Panel()
        panel = panel.title(self.title).description(self.about).unit(self.unit).datasource(SOURCE)
        panel = panel.span(self.width).height(4 if self.single else 7)
        if isinstance(panel, timeseries.Panel):
            legend = VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
            panel = panel.legend(legend.show_legend(True).calcs(["lastNotNull", "max"])).min(0)
        for expression, legend_format in self.queries:
            query = prometheus.Dataquery().expr(expression).legend_format(legend_format)
            panel = panel.with_target(query.instant() if self.single else query.exemplar(True))
        return panel


@dataclass(frozen=True)
class Section:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """A dashboard. ``name`` is its file and its address."""

    name: str
    title: str
    sections: Sequence[Section]

    def build(self) -> dashboard.Dashboard:
        """The dashboard as the SDK knows it."""
        board = dashboard.Dashboard(f"MENTOR / {self.title}").uid(f"mentor-{self.name}").tags(["mentor"])
        board = board.refresh("10s").time("now-1h", "now").timezone("browser").readonly()
        board = board.link(dashboard.DashboardLink("all of MENTOR").tags(["mentor"]).as_dropdown(True))
        for section in self.sections:
            board = board.with_row(dashboard.Row(section.title))
            for panel in section.panels:
                board = board.with_panel(panel.build())
        return board


def rate(metric: str, by: str, where: str = "") -> str:
    """Events per second, summed over everything but ``by``."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(q: float, histogram: str, by: str = "", where: str = "") -> str:
    """A quantile of a histogram, in its own unit."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket{{{where}}}[$__rate_interval])))"


def red(service: str, rpc: bool = True) -> Section:
    """Rate, errors and duration of one service, over its transports, and what it takes of the machine.

    Args:
        rpc: whether it answers gRPC too.
    """
    where = f'service="{service}"'
    failed = f'{where}, code=~"UNAVAILABLE|INTERNAL|DEADLINE_EXCEEDED|UNKNOWN"'
    requests = [(rate("mentor_http_requests_total", "route", where), "REST {{route}}")]
    server_errors = rate("mentor_http_requests_total", "status", where + ", status=~`5..`")
    errors = [(f"{server_errors} or vector(0)", "REST {{status}}")]
    durations = [
        (quantile(0.5, "mentor_http_request_duration_seconds", where=where), "REST p50"),
        (quantile(0.99, "mentor_http_request_duration_seconds", where=where), "REST p99"),
    ]
    if rpc:
        requests.append((rate("mentor_grpc_requests_total", "method", where), "gRPC {{method}}"))
        errors.append((f"{rate('mentor_grpc_requests_total', 'code', failed)} or vector(0)", "gRPC {{code}}"))
        gone = quantile(0.99, "mentor_grpc_request_duration_seconds", where=where)
        durations.append((f"{gone} or vector(0)", "gRPC p99"))
    about_errors = "5xx, and gRPC's codes for the same. Errors of callers are not here."
    about_durations = "Points are exemplars: they lead to a trace."
    return Section(
        "Requests",
        (
            Panel("Requests per second", tuple(requests), "reqps"),
            Panel("Errors of ours per second", tuple(errors), "reqps", about_errors),
            Panel("Duration", tuple(durations), "s", about_durations),
            Panel("In flight", ((f"sum by (transport) (mentor_requests_in_flight{{{where}}})", "{{transport}}"),)),
            Panel("Memory", ((f"process_resident_memory_bytes{{{where}}}", "{{instance}}"),), "bytes"),
            Panel(
                "CPU",
                ((f"rate(process_cpu_seconds_total{{{where}}}[$__rate_interval])", "{{instance}}"),),
                "short",
                "Cores.",
            ),
        ),
    )


def number(title: str, expression: str, unit: str = "short", about: str = "", width: int = 4) -> Panel:
    """A single number."""
    return Panel(title, ((expression, ""),), unit, about, single=True, width=width)
