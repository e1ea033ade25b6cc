"""Rules, alerts and dashboards: valid, tested, documented, and about metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from mentor.local import stack as local_stack
from mentor.local.layout import SERVICES
from tests.deploy.manifests import ROOT, of_kind
from tests.support.stack import free_stack

PROMETHEUS = ROOT / "deploy" / "prometheus"
# Exporters whose names `make compose-smoke` proves against live ones.
EXPORTED = re.compile(r"^(redis_|flower_|up$|ALERTS$|process_)")
NOT_SHOWN = {
    "mentor_model_sequences_total",  # the rate of tokens says more
    "mentor_model_decode_steps_total",
}
_NAME = re.compile(
    r"(?<![\w:\"'.=~/{$-])([a-zA-Z_:][a-zA-Z0-9_:]*)(?=\s*[{\[]|\s*(?:[-+*/<>=)]|$)|\s+(?:or|and|unless|by)\b)"
)
_WORDS = frozenset(
    """sum max min count rate increase by le or and unless on without avg topk histogram_quantile vector absent changes bool
    group_left group_right ignoring time""".split()  # noqa: SIM905
)


def metric_names(expression: str) -> set[str]:
    """Names of metrics in a PromQL expression, suffixes of histograms dropped."""
    bare = re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", " ", expression)
    bare = re.sub(r"\{[^}]*\}", "{}", bare).replace("$__rate_interval", "5m")
    found = {name for name in _NAME.findall(bare) if name not in _WORDS}
    return {re.sub(r"^(mentor_\w+)_(sum|count)$|_bucket$", r"\1", name) for name in found}


def rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def panel_queries() -> Iterator[tuple[str, str]]:
    """(dashboard and panel, PromQL)."""
    for file in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        stack = list(json.loads(file.read_text())["panels"])
        while stack:
            panel = stack.pop()
            stack += panel.get("panels") or []
            yield from ((f"{file.stem}: {panel['title']}", target["expr"]) for target in panel.get("targets", []))


def used() -> dict[str, set[str]]:
    """Metrics by who uses them."""
    found = {f"rule {rule.get('alert') or rule.get('record')}": metric_names(rule["expr"]) for rule in rules()}
    for where, query in panel_queries():
        found.setdefault(where, set()).update(metric_names(query))
    for scaler in of_kind("overlays/gpu", "HorizontalPodAutoscaler"):
        names = {metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]}
        found[f"HPA {scaler['metadata']['name']}"] = names
    for scaled in of_kind("overlays/gpu", "ScaledObject"):
        found[f"KEDA {scaled['metadata']['name']}"] = metric_names(scaled["spec"]["triggers"][0]["metadata"]["query"])
    return found


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names that a live stack exports: services, a worker, and the model server."""
    spec = free_stack(tmp_path_factory.mktemp("scrape"))
    local_stack.up(spec)
    try:
        urls = [spec.url(name) for name in SERVICES] + [f"http://127.0.0.1:{spec.models[0].port + spec.port_offset}"]
        texts = [httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text for url in urls]
    finally:
        local_stack.down(spec)
    names = set(re.findall(r"^# TYPE (\S+)", "\n".join(texts), re.M))
    return names | worker_names()


def worker_names() -> set[str]:
    from prometheus_client import CollectorRegistry, generate_latest

    from mentor.jobs.worker import WorkerMetrics

    registry = CollectorRegistry()
    WorkerMetrics(registry, ["teacher"])
    return set(re.findall(r"^# TYPE (\S+)", generate_latest(registry).decode(), re.M))


def test_every_metric_in_use_exists_in_a_live_scrape(scraped: set[str]) -> None:
    documented = {
        line for line in (PROMETHEUS / "gpu-metrics.txt").read_text().splitlines() if not line.startswith("#")
    }
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = scraped | documented | recorded
    missing = {where: names - known for where, names in used().items()}
    assert {w: m for w, names in missing.items() if (m := {n for n in names if not EXPORTED.match(n)})} == {}


def test_the_names_are_found_in_expressions() -> None:
    assert metric_names('sum by (le) (rate(a_bucket{x="y", z=~"b|c"}[5m])) / (d_total > 0) or vector(0)') == {
        "a",
        "d_total",
    }
    assert metric_names("max(x{a='b'}) < 5 and on () max(y) > 0") == {"x", "y"}
    assert metric_names("rate(mentor_a_sum[5m]) / rate(mentor_a_count[5m]) + x_count") == {"mentor_a", "x_count"}
    assert metric_names("mentor:jobs:waiting_or_running{kind='train'}") == {"mentor:jobs:waiting_or_running"}


@pytest.mark.parametrize("alert", [pytest.param(a, id=a["alert"]) for a in alerts()])
def test_every_alert_has_a_severity_a_runbook_and_a_test_of_both_kinds(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"].keys() >= {"summary", "description", "runbook_url"}
    file, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\S+)$", (ROOT / file).read_text(), re.M)
    assert anchor in {heading.lower() for heading in headings}
    tests = {t["name"]: t for t in yaml.safe_load((PROMETHEUS / "tests" / "alerts.yml").read_text())["tests"]}
    for kind, fires in (("fires", True), ("stays quiet", False)):
        (expected,) = tests[f"{name} {kind}"]["promql_expr_test"]
        assert f'alertname="{name}"' in expected["expr"]
        assert bool(expected["exp_samples"]) is fires


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return found


def test_promtool_accepts_configuration_and_rules_and_every_alert_test_passes() -> None:
    promtool = tool("promtool")
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "tests/alerts.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_amtool_accepts_the_alertmanager() -> None:
    path = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run([tool("amtool"), "check-config", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_is_scraped_and_has_a_dashboard() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    labels = {entry["labels"]["service"] for job in config["scrape_configs"] for entry in job.get("static_configs", [])}
    assert {*SERVICES, "teacher-worker", "trainer-worker", "evaluator-worker", "model", "redis", "celery"} <= labels
    boards = {file.stem for file in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")}
    assert {*SERVICES, "overview", "queues"} == boards


def test_every_metric_of_ours_is_on_a_dashboard_or_in_a_rule(scraped: set[str]) -> None:
    shown = set().union(*used().values())
    ours = {name for name in scraped if name.startswith("mentor_")}
    assert sorted(ours - shown - NOT_SHOWN) == [], "show it, or say in NOT_SHOWN why not"
