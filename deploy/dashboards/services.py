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
                Panel(
                    "Scratch root mended",
                    (("sum by (how) (increase(mentor_sandbox_scratch_repairs_total[10m])) or vector(0)", "{{how}}"),),
                    about="In ten minutes: its mode was restored, or a new one took its place. Nothing inside can cause it.",
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
                number(
                    "Cache hits",
                    'sum(rate(mentor_retriever_cache_requests_total{outcome=~"hit|joined"}[$__rate_interval]))'
                    " / sum(rate(mentor_retriever_cache_requests_total[$__rate_interval]))",
                    "percentunit",
                    "Queries whose ranking was kept, or was being computed for somebody else.",
                ),
                number("Index generation", "max(mentor_retriever_index_generation)", about="A swap adds one."),
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
                    "Time of a request",
                    (
                        (quantile(0.5, "mentor_retriever_search_duration_seconds"), "p50"),
                        (quantile(0.99, "mentor_retriever_search_duration_seconds"), "p99"),
                    ),
                    "s",
                    "From admission to the answer, waiting included.",
                ),
                Panel(
                    "Queue and requests in flight",
                    (
                        ("sum(mentor_retriever_queue_depth)", "queries waiting"),
                        ("sum(mentor_retriever_requests_in_flight)", "requests"),
                    ),
                ),
                Panel(
                    "Time of a batch by stage",
                    ((quantile(0.5, "mentor_retriever_stage_duration_seconds", "stage"), "{{stage}} p50"),),
                    "s",
                    "Encoding, search by vectors or words, re-ranking, fetching the documents; waiting excluded.",
                ),
                Panel(
                    "Queries in a batch by stage",
                    (
                        (
                            "sum by (stage) (rate(mentor_retriever_batch_size_sum[$__rate_interval]))"
                            " / sum by (stage) (rate(mentor_retriever_batch_size_count[$__rate_interval]))",
                            "{{stage}}",
                        ),
                    ),
                    about="Batches form of what waits: the more callers, the larger.",
                ),
                Panel(
                    "Answers without a shard",
                    (("sum(rate(mentor_retriever_partial_total[$__rate_interval]))", "partial"),),
                    "reqps",
                    "Only where retrievers hold parts of a corpus.",
                ),
            ),
        ),
        red("retriever"),
    ),
)
CONSOLE = Board(
    "console",
    "Console",
    (
        Section(
            "Trajectories",
            (
                number("In the index", "max(mentor_console_trajectories)"),
                Panel(
                    "Read into the index",
                    (("sum(rate(mentor_console_indexed_lines_total[$__rate_interval]))", "lines"),),
                    about="Per second, of what jobs have committed.",
                ),
            ),
        ),
        red("console", rpc=False),
    ),
)
BOARDS = (SANDBOX, RETRIEVER, CONSOLE)
