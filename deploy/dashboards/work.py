"""Dashboards of long work: teacher, trainer, evaluator."""

from __future__ import annotations

from deploy.dashboards.parts import Board, Panel, Section, number, quantile, rate, red


def _jobs(kind: str) -> Section:
    return Section(
        "Jobs",
        (
            number("Queued", f'sum(max by (kind) (mentor_jobs{{kind=~"{kind}", state="queued"}}))'),
            number("Running", f'sum(max by (kind) (mentor_jobs{{kind=~"{kind}", state="running"}}))'),
            number(
                "Failed in 24 h",
                f'sum(increase(mentor_job_attempts_total{{kind=~"{kind}", outcome="failed"}}[24h])) or vector(0)',
            ),
            Panel(
                "Progress",
                ((f'mentor_job_progress{{kind=~"{kind}"}} or vector(0)', "{{job_id}}"),),
                "percentunit",
                width=12,
            ),
            Panel(
                "Attempts by outcome",
                ((f'sum by (outcome) (increase(mentor_job_attempts_total{{kind=~"{kind}"}}[1h]))', "{{outcome}}"),),
                about="In the last hour. `infrastructure` and `lost` are tried again.",
                width=12,
            ),
            Panel(
                "Duration of attempts",
                (
                    (quantile(0.5, "mentor_job_attempt_duration_seconds", where=f'kind=~"{kind}"'), "p50"),
                    (quantile(0.95, "mentor_job_attempt_duration_seconds", where=f'kind=~"{kind}"'), "p95"),
                ),
                "s",
                width=12,
            ),
        ),
    )


def _trajectories(kind: str) -> Section:
    where = f'kind=~"{kind}"'
    every = f"sum(rate(mentor_trajectories_total{{{where}}}[$__rate_interval]))"
    return Section(
        "Trajectories",
        (
            Panel(
                "Drawn per second",
                ((rate("mentor_trajectories_total", "termination", where), "{{termination}}"),),
                "ops",
            ),
            Panel(
                "Right answers",
                (
                    (
                        f"sum(rate(mentor_trajectories_total{{{where}, correct='true'}}[$__rate_interval])) / {every}",
                        "share",
                    ),
                ),
                "percentunit",
                "Of the trajectories that ended in the interval.",
            ),
            Panel("Tool calls per second", ((rate("mentor_tool_calls_total", "tool", where), "{{tool}}"),), "ops"),
            Panel(
                "Tool calls by outcome",
                ((rate("mentor_tool_calls_total", "outcome", where), "{{outcome}}"),),
                "ops",
                "Other than ok: what the model called wrongly, what the tool refused, and `infrastructure`, which is ours.",
            ),
        ),
    )


def _endpoints(kind: str) -> Section:
    where = f'kind=~"{kind}"'
    seconds = f"sum by (endpoint) (rate(mentor_model_request_seconds_total{{{where}}}[$__rate_interval]))"
    answered = f"sum by (endpoint) (rate(mentor_model_requests_total{{{where}, outcome='ok'}}[$__rate_interval]))"

    def gauge(name: str) -> str:
        return f'sum by (name) (mentor_job_metric{{{where}, name=~"{name} .*"}}) or vector(0)'

    return Section(
        "Model endpoints",
        (
            Panel(
                "Requests per second",
                ((f"{rate('mentor_model_requests_total', 'endpoint, outcome', where)} or vector(0)",
                  "{{endpoint}} {{outcome}}"),),
                "reqps",
                "`refused` concerns one request; `overloaded` is 429; `failed` is tried again, elsewhere where it can be.",
            ),
            Panel("Seconds of a request", ((f"{seconds} / {answered} or vector(0)", "{{endpoint}}"),), "s", "Mean."),
            Panel(
                "Tokens per second",
                ((f"{rate('mentor_model_tokens_total', 'endpoint, direction', where)} or vector(0)",
                  "{{endpoint}} {{direction}}"),),
                about="Of answered requests, as the endpoints count them.",
            ),
            Panel(
                "What endpoints do wrong, in ten minutes",
                ((f"sum by (endpoint, fault) (increase(mentor_model_faults_total{{{where}}}[10m])) or vector(0)",
                  "{{endpoint}} {{fault}}"),),
                about="By name: docs/generation.md says whose fault each is, and what becomes of it.",
            ),
            Panel(
                "In flight, and what they are found to bear",
                ((gauge("in_flight"), "{{name}}"), (gauge("limit"), "{{name}}")),
                about="`limit` with `concurrency: auto`.",
            ),
            Panel(
                "Left alone",
                (
                    (gauge("breaker_open"), "{{name}}"),
                    (f"sum by (endpoint, reason) (increase(mentor_model_breaker_opened_total{{{where}}}[10m])) or vector(0)",
                     "{{endpoint}} {{reason}}"),
                ),
                about="1 while an endpoint's breaker is open; and how often it opened in ten minutes.",
            ),
            Panel(
                "Budgets used up",
                ((f"sum by (budget) (mentor_budgets_used_total{{{where}}}) or vector(0)", "{{budget}}"),),
                about="Jobs that stopped drawing; what they had is written.",
            ),
        ),
    )  # fmt: skip


def _servers(kind: str) -> Section:
    where = f'kind=~"{kind}"'
    tokens = rate("mentor_model_server_tokens_total", "engine, direction", where)
    started = f"sum by (engine) (increase(mentor_model_server_starts_total{{{where}}}[1h]))"
    seconds = f"sum by (engine) (increase(mentor_model_server_start_seconds_total{{{where}}}[1h]))"
    return Section(
        "Model servers of jobs",
        (
            Panel(
                "Tokens per second",
                ((f"{tokens} or vector(0)", "{{engine}} {{direction}}"),),
                about="As the servers count them; read every ten seconds.",
            ),
            Panel(
                "Seconds until they serve",
                ((f"{seconds} / {started} or vector(0)", "{{engine}}"),),
                "s",
                "Mean of the last hour.",
            ),
            Panel(
                "Restarts in an hour",
                (
                    (
                        f"sum by (engine, reason) (increase(mentor_model_server_restarts_total{{{where}}}[1h])) or vector(0)",
                        "{{engine}} {{reason}}",
                    ),
                ),
                about="`died`, `hung` (no answer to its health check) or `start` (it died while it was started again).",
            ),
        ),
    )


def _data_sets() -> Section:
    fates = "sum by (fate) (increase(mentor_teacher_fates_total[6h]))"
    accepted = 'sum(increase(mentor_teacher_fates_total{fate=~"kept|surplus"}[6h]))'
    return Section(
        "Data sets",
        (
            Panel(
                "What became of trajectories",
                ((f"{fates} or vector(0)", "{{fate}}"),),
                about="Of jobs that ended in the last six hours: kept, surplus, lost, or the filter that dropped them.",
                width=12,
            ),
            Panel(
                "Accepted",
                ((f"{accepted} / sum(increase(mentor_teacher_fates_total[6h])) or vector(0)", "share"),),
                "percentunit",
                "Kept and surplus, of all.",
                width=12,
            ),
        ),
    )


TEACHER = Board(
    "teacher",
    "Teacher",
    (
        _jobs("teacher"),
        _trajectories("teacher"),
        _data_sets(),
        _endpoints("teacher"),
        _servers("teacher"),
        Section(
            "Model server",
            (
                Panel(
                    "Tokens per second",
                    (
                        ("sum(rate(mentor_model_generated_tokens_total[$__rate_interval]))", "generated"),
                        ("sum(rate(mentor_model_prompt_tokens_total[$__rate_interval]))", "prompt"),
                        ("sum(rate(mentor_model_reused_tokens_total[$__rate_interval]))", "of these, taken over"),
                    ),
                ),
                Panel(
                    "Sequences",
                    (
                        ("sum(mentor_model_sequences_running)", "running"),
                        ("sum(mentor_model_sequences_waiting)", "waiting"),
                    ),
                    about="Of the local engine; vLLM has its own panels under Queues and GPUs.",
                ),
            ),
        ),
        red("teacher"),
    ),
)
_STEP = 'mentor_job_metric{kind="train", name="%s"} or vector(0)'
TRAINER = Board(
    "trainer",
    "Trainer",
    (
        _jobs("train"),
        Section(
            "Learning",
            (
                Panel("Reward", ((_STEP % "reward", "{{job_id}}"),), about="Mean of the last step."),
                Panel(
                    "Reward by component",
                    tuple(
                        (_STEP % name, f"{name} {{{{job_id}}}}") for name in ("correctness", "alignment", "validation")
                    ),
                    "percentunit",
                    "R_c: right answers. R_a: the teacher's tools. R_v: no failing call.",
                ),
                Panel("Invalid calls", ((_STEP % "invalid_rate", "{{job_id}}"),), "percentunit"),
                Panel("Trajectories with a tool call", ((_STEP % "usage_rate", "{{job_id}}"),), "percentunit"),
                Panel(
                    "Policy",
                    ((_STEP % "entropy", "entropy {{job_id}}"), (_STEP % "grad_norm", "gradient norm {{job_id}}")),
                ),
                Panel(
                    "Response length", ((_STEP % "response_length", "{{job_id}}"),), about="Tokens, mean of the step."
                ),
                Panel(
                    "Groups without signal",
                    ((_STEP % "groups_without_signal", "{{job_id}}"),),
                    "percentunit",
                    "Questions whose samples were all rewarded alike: their advantages are 0.",
                ),
                Panel(
                    "Off-policy",
                    (
                        (_STEP % "logprob_gap", "engine beside trainer {{job_id}}"),
                        (_STEP % "clip_fraction", "clipped tokens {{job_id}}"),
                        (_STEP % "kl", "KL {{job_id}}"),
                    ),
                ),
                Panel(
                    "Alarms",
                    (("sum by (alarm) (increase(mentor_training_alarms_total[1h])) or vector(0)", "{{alarm}}"),),
                    about="That began to sound within an hour; the job's log says what to try.",
                ),
            ),
        ),
        Section(
            "Pace",
            (
                Panel("Steps per hour", (("sum(rate(mentor_training_steps_total[10m])) * 3600", "steps"),)),
                Panel("Seconds per step", ((_STEP % "step_seconds", "{{job_id}}"),), "s"),
                Panel(
                    "Tokens and memory",
                    (
                        (_STEP % "tokens_per_s", "tokens/s a device {{job_id}}"),
                        (_STEP % "gpu_memory_gb", "GPU GiB {{job_id}}"),
                        (_STEP % "memory_gb", "memory GiB {{job_id}}"),
                    ),
                ),
                Panel(
                    "Shares",
                    (
                        (_STEP % "tool_wait_share", "waiting for tools {{job_id}}"),
                        (_STEP % "mfu", "model FLOPs utilisation {{job_id}}"),
                    ),
                    "percentunit",
                ),
                Panel(
                    "Samples lost to infrastructure",
                    ((_STEP % "infrastructure_failures", "{{job_id}}"),),
                    about="In the last step. They leave their group before its baseline is formed.",
                ),
            ),
        ),
        red("trainer"),
    ),
)
_RESULT = 'mentor_job_result{kind="evaluate", name="%s"}'
_CELLS = 'mentor_job_result{kind="evaluation", name=~"%s\\\\..*"} or vector(0)'
EVALUATOR = Board(
    "evaluator",
    "Evaluator",
    (
        Section(
            "Latest evaluations",
            (
                Panel("Accuracy", ((_RESULT % "accuracy.mean", "{{model}} {{job_id}}"),), "percentunit", width=12),
                Panel(
                    "Alignment with the teacher",
                    ((_RESULT % "alignment.alignment_score" + " or vector(0)", "{{model}} {{job_id}}"),),
                    "percentunit",
                    "1 - sqrt(JSD) of the tool distributions (Eq. 8); where a reference was given.",
                    width=12,
                ),
                Panel("Tool usage", ((_RESULT % "usage.usage_rate", "{{model}} {{job_id}}"),), "percentunit"),
                Panel("Invalid calls", ((_RESULT % "usage.invalid_rate", "{{model}} {{job_id}}"),), "percentunit"),
                Panel("Calls per question", ((_RESULT % "usage.calls_per_question", "{{model}} {{job_id}}"),)),
            ),
        ),
        Section(
            "Latest matrices",
            (
                Panel(
                    "Accuracy by model, suite and arm",
                    ((_CELLS % "accuracy", "{{name}} {{job_id}}"),),
                    "percentunit",
                    "Of the newest finished evaluations of many models on many suites.",
                    width=12,
                ),
                Panel(
                    "Invalid calls by model, suite and arm",
                    ((_CELLS % "invalid_rate", "{{name}} {{job_id}}"),),
                    "percentunit",
                    width=12,
                ),
            ),
        ),
        _jobs("evaluate|evaluation"),
        _trajectories("evaluate|evaluation"),
        _endpoints("evaluate|evaluation"),
        _servers("evaluate|evaluation"),
        red("evaluator"),
    ),
)
BOARDS = (TEACHER, TRAINER, EVALUATOR)
