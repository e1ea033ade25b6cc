"""The overview, and queues with GPUs."""

from __future__ import annotations

from deploy.dashboards.parts import Board, Panel, Section, number, quantile, rate

OVERVIEW = Board(
    "overview",
    "Overview",
    (
        Section(
            "Is anything wrong?",
            (
                number("Services up", 'sum(up{job="services"})', about="Of those that are scraped."),
                number("Services ready", "sum(mentor_ready)"),
                number("Workers up", 'sum(up{job="workers"})'),
                number(
                    "Threads dead", "sum(1 - mentor_thread_alive) or vector(0)", about="Or hanging; /health says which."
                ),
                Panel(
                    "Failed rounds of threads",
                    ((rate("mentor_thread_errors_total", "service, thread"), "{{service}} {{thread}}"),),
                    about="Survived; the log has the traces.",
                ),
                number("Firing alerts", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
                number(
                    "Errors of ours per second",
                    'sum(rate(mentor_http_requests_total{status=~"5.."}[$__rate_interval])) or vector(0)',
                    "reqps",
                ),
                number("Free in the store", "min(mentor_store_free_bytes)", "bytes"),
            ),
        ),
        Section(
            "Where does the work stand?",
            (
                Panel(
                    "Jobs",
                    (("max by (kind, state) (mentor_jobs)", "{{kind}} {{state}}"),),
                    about="Queued and running.",
                    width=12,
                ),
                Panel(
                    "Progress", (("mentor_job_progress or vector(0)", "{{kind}} {{job_id}}"),), "percentunit", width=12
                ),
            ),
        ),
        Section(
            "What is going on?",
            (
                Panel("Trajectories per second", ((rate("mentor_trajectories_total", "kind"), "{{kind}}"),), "ops"),
                Panel(
                    "Sandbox calls per second", ((rate("mentor_sandbox_calls_total", "status"), "{{status}}"),), "ops"
                ),
                Panel(
                    "Searches per second",
                    ((rate("mentor_retriever_queries_total", "endpoint"), "{{endpoint}}"),),
                    "ops",
                ),
                Panel(
                    "Slowest requests (p99)",
                    ((quantile(0.99, "mentor_http_request_duration_seconds", "service"), "{{service}}"),),
                    "s",
                ),
                Panel("Memory", (('process_resident_memory_bytes{service!=""}', "{{service}}"),), "bytes"),
                Panel(
                    "CPU",
                    (
                        (
                            'sum by (service) (rate(process_cpu_seconds_total{service!=""}[$__rate_interval]))',
                            "{{service}}",
                        ),
                    ),
                    about="Cores of the services' own processes; jobs and tool calls run in processes of theirs.",
                ),
            ),
        ),
    ),
)
QUEUES = Board(
    "queues",
    "Queues and GPUs",
    (
        Section(
            "Jobs and workers",
            (
                Panel("Queued and running", (("max by (kind, state) (mentor_jobs)", "{{kind}} {{state}}"),)),
                Panel("Running by worker", (("mentor_jobs_running", "{{service}} {{kind}}"),)),
                Panel("Celery workers online", (("flower_worker_online", "{{worker}}"),)),
                Panel(
                    "Celery events",
                    (("sum by (type) (increase(flower_events_total[10m]))", "{{type}}"),),
                    about="In ten minutes. A message only wakes a worker: what is queued and running is in the panels before.",
                ),
            ),
        ),
        Section(
            "Redis",
            (
                number("Up", "redis_up"),
                number("Append-only file healthy", "redis_aof_last_write_status"),
                Panel(
                    "Memory",
                    (("redis_memory_used_bytes", "used"), ("redis_memory_max_bytes", "allowed")),
                    "bytes",
                    "Nothing is evicted: when it is full, writes are refused.",
                ),
                Panel(
                    "Commands per second",
                    (("rate(redis_commands_processed_total[$__rate_interval])", "commands"),),
                    "ops",
                ),
                Panel("Clients", (("redis_connected_clients", "connected"),)),
            ),
        ),
        Section(
            "GPUs",
            (
                Panel("Utilisation", (("DCGM_FI_DEV_GPU_UTIL", "{{Hostname}} GPU {{gpu}}"),), "percent"),
                Panel("Memory used", (("DCGM_FI_DEV_FB_USED * 1048576", "{{Hostname}} GPU {{gpu}}"),), "bytes"),
                Panel("Power", (("DCGM_FI_DEV_POWER_USAGE", "{{Hostname}} GPU {{gpu}}"),), "watt"),
                Panel("Temperature", (("DCGM_FI_DEV_GPU_TEMP", "{{Hostname}} GPU {{gpu}}"),), "celsius"),
                Panel("Errors (XID)", (("DCGM_FI_DEV_XID_ERRORS", "{{Hostname}} GPU {{gpu}}"),)),
            ),
        ),
        Section(
            "vLLM",
            (
                Panel(
                    "Requests",
                    (
                        ("vllm:num_requests_running", "running {{model_name}}"),
                        ("vllm:num_requests_waiting", "waiting {{model_name}}"),
                    ),
                ),
                Panel(
                    "Tokens per second",
                    (("rate(vllm:generation_tokens_total[$__rate_interval])", "generated {{model_name}}"),),
                ),
                Panel("KV cache in use", (("vllm:kv_cache_usage_perc", "{{model_name}}"),), "percentunit"),
            ),
        ),
    ),
)
BOARDS = (OVERVIEW, QUEUES)
