"""Dashboards of the services that answer calls: sandbox and retriever."""

from __future__ import annotations

from deploy.dashboards.parts import Board, Panel, Section, number, quantile, rate, red

SANDBOX = Board(
    "sandbox",
    "Sandbox",
    (
        Section(
            "Is it keeping up?",
            (
                number("Calls per second", "sum(rate(mentor_sandbox_calls_total[$__rate_interval]))", "reqps"),
                number("Waiting", "sum(mentor_sandbox_queue_depth)", about="Calls in the queue."),
                number("Refused per second", "sum(rate(mentor_sandbox_refused_total[$__rate_interval]))", "reqps"),
                number(
                    "Lost by us",
                    'sum(rate(mentor_sandbox_calls_total{status="infrastructure"}[$__rate_interval])) or vector(0)',
                    "reqps",
                    "Calls that ended as infrastructure: callers try them again, the model is not blamed.",
                ),
            ),
        ),
        Section(
            "Calls",
            (
                Panel(
                    "Calls by lane",
                    ((rate("mentor_sandbox_calls_total", "lane"), "{{lane}}"),),
                    "reqps",
                    "Registered tools, and code that came with the request.",
                ),
                Panel(
                    "Calls by outcome",
                    ((rate("mentor_sandbox_calls_total", "status"), "{{status}}"),),
                    "reqps",
                    "tool_error and invalid_call are the model's; timeout, memory, output_limit and killed hit a limit.",
                ),
                Panel(
                    "Busiest tools",
                    (("topk(10, sum by (tool) (rate(mentor_sandbox_calls_total[$__rate_interval])))", "{{tool}}"),),
                    "reqps",
                ),
                Panel(
                    "Duration of a call",
                    (
                        (quantile(0.5, "mentor_sandbox_call_duration_seconds", "lane"), "{{lane}} p50"),
                        (quantile(0.99, "mentor_sandbox_call_duration_seconds", "lane"), "{{lane}} p99"),
                    ),
                    "s",
                    "Waiting included.",
                ),
                Panel(
                    "Queue and calls in flight",
                    (
                        ("sum(mentor_sandbox_queue_depth)", "waiting"),
                        ("sum(mentor_sandbox_calls_in_flight)", "running"),
                    ),
                ),
            ),
        ),
        Section(
            "Processes and sessions",
            (
                Panel(
                    "Kills by cause",
                    (("sum by (cause) (increase(mentor_sandbox_kills_total[10m])) or vector(0)", "{{cause}}"),),
                    about="In ten minutes. `died`: it ended by itself, without an answer.",
                ),
                Panel(
                    "Warm workers",
                    (("sum by (kind, state) (mentor_sandbox_workers) or vector(0)", "{{kind}} {{state}}"),),
                ),
                Panel(
                    "Workers replaced",
                    (
                        (
                            "sum by (reason) (increase(mentor_sandbox_worker_restarts_total[10m])) or vector(0)",
                            "{{reason}}",
                        ),
                    ),
                    about="In ten minutes, by the sign of trouble.",
                ),
                Panel(
                    "Zygotes",
                    (
                        ("sum by (kind, state) (mentor_sandbox_zygotes)", "{{kind}} {{state}}"),
                        (
                            "sum(increase(mentor_sandbox_zygote_restarts_total[10m])) or vector(0)",
                            "replaced in 10 minutes",
                        ),
                    ),
                ),
                Panel("Open sessions", (("sum(mentor_sandbox_sessions)", "open"),)),
                Panel(
                    "Sessions ended",
                    (
                        (
                            "sum by (reason) (increase(mentor_sandbox_sessions_ended_total[10m])) or vector(0)",
                            "{{reason}}",
                        ),
                    ),
                ),
            ),
        ),
        red("sandbox"),
    ),
)

RETRIEVER = Board(
    "retriever",
    "Retriever",
    (
        Section(
            "Is it keeping up?",
            (
                number("Queries per second", "sum(rate(mentor_retriever_queries_total[$__rate_interval]))", "reqps"),
                number("Waiting", "sum(mentor_retriever_queue_depth)"),
                number("Refused per second", "sum(rate(mentor_retriever_refused_total[$__rate_interval]))", "reqps"),
                number("Documents", "max(mentor_retriever_documents)", about="In the corpus that is served."),
            ),
        ),
        Section(
            "Searches",
            (
                Panel(
                    "Queries by endpoint",
                    ((rate("mentor_retriever_queries_total", "endpoint"), "{{endpoint}}"),),
                    "reqps",
                ),
                Panel(
                    "Search time",
                    (
                        (quantile(0.5, "mentor_retriever_search_duration_seconds"), "p50"),
                        (quantile(0.99, "mentor_retriever_search_duration_seconds"), "p99"),
                    ),
                    "s",
                    "Encoder and index, waiting excluded.",
                ),
                Panel(
                    "Queue and searches in flight",
                    (
                        ("sum(mentor_retriever_queue_depth)", "waiting"),
                        ("sum(mentor_retriever_requests_in_flight)", "searching"),
                    ),
                ),
            ),
        ),
        red("retriever"),
    ),
)
BOARDS = (SANDBOX, RETRIEVER)
