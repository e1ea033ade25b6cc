"""Evaluations of models on suites: figures, manifests, resuming, refusals; and the service that takes them."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from mentor.errors import ConflictError, UserError
from mentor.jobs.embedded_redis import redis_url, start_redis
from mentor.rpc.v1 import evaluations_pb2 as pb
from mentor.rpc.v1.evaluations_pb2_grpc import EvaluationsServiceStub
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.plan import plan
from mentor_evaluator.matrix.results import matrix_report
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import Run, open_run
from mentor_evaluator.suites import SUITES
from mentor_trainer import checkpoints
from mentor_trainer.config import make_spec
from mentor_trainer.lifecycle.keeper import Keeper
from tests.support.openai_server import MODEL, openai_server
from tests.support.quiet import Quiet
from tests.support.real_data import placed
from tests.support.scripted_model import KINDS, ScriptedModel
from tests.support.service_process import ServiceProcess, environment
from tests.support.training import STUDENT, spec_values, write_set
from tests.support.waiting import eventually

ROWS = "".join(json.dumps({"id": f"r{n}", "question": f"{n} + {n}?", "answer": 2 * n}) + "\n" for n in range(20))


def spec_for(url: str, *suites: str, **fields: Any) -> EvaluationSpec:
    values: dict[str, Any] = {
        "models": [{"name": "scripted", "model": {"url": url, "name": MODEL}}],
        "suites": suites, "tools": "without", "concurrency": 16, "sampling": {"max_tokens": 64, "seed": 0},
    }  # fmt: skip
    return EvaluationSpec.model_validate(values | fields)


async def evaluated(spec: EvaluationSpec, folder: Path) -> Run:
    cells = prepare(spec, folder)
    assert await asyncio.to_thread(draw_matrix, spec, cells, folder, Quiet(folder))
    (folder / "report.json").write_text(json.dumps(matrix_report(spec, cells, folder)))
    return open_run(folder)


@pytest.mark.parametrize("suite", ["gsm8k", "svamp", "hotpotqa", "math-forge-hard"])
async def test_every_figure_of_real_questions_with_scripted_answers_is_the_known_one(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = placed(tmp_path / "data", suite)
    monkeypatch.setenv("MENTOR_DATA", str(data))
    questions = SUITES.get(suite).load(data).questions[:50]
    model = ScriptedModel(questions)
    async with openai_server(model) as url:
        run = await evaluated(spec_for(url, suite, max_questions=50, samples=2), tmp_path / "run")
    cell = run.report["cells"][f"scripted/{suite}/no-tools"]
    kinds = Counter(model.kind(question) for question in questions)
    assert (cell["questions"], cell["trajectories"]) == (50, 100)
    assert cell["accuracy"]["mean"] == pytest.approx(kinds["right"] / 50)
    assert cell["infrastructure_failures"] == 0
    assert cell["usage"]["terminations"] == {"answered": 2 * (50 - kinds["cut"]), "length": 2 * kinds["cut"]}
    assert set(model.asked.values()) == {2}
    right = {t.question_id for t in run.cell(cell_key(suite)).trajectories if t.metadata["correct"]}
    assert right == {question.id for question in questions if model.kind(question) == "right"}


def cell_key(suite: str) -> str:
    return f"scripted/{suite}/no-tools"


def own(tmp_path: Path, rows: str = ROWS) -> dict[str, Any]:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows)
    return {"name": "sums", "file": str(file), "question": "question", "answers": "answer"}


async def test_a_users_own_suite_needs_no_code(tmp_path: Path) -> None:
    spec = spec_for("http://nowhere", own=[own(tmp_path)])
    (cell,) = plan(spec)
    model = ScriptedModel(cell.questions)
    async with openai_server(model) as url:
        run = await evaluated(spec_for(url, own=[own(tmp_path)]), tmp_path / "run")
    report = run.report["cells"]["scripted/sums/no-tools"]
    assert report["accuracy"]["mean"] == 1 / len(KINDS)
    facts = run.manifest.suites["sums"]
    assert facts.questions == 20 and len(facts.data["rows.jsonl"]) == 64 and facts.scorer == "math_response"


async def test_a_stopped_run_goes_on_where_it_stopped_and_draws_no_sample_twice(tmp_path: Path) -> None:
    values = {"own": [own(tmp_path)], "concurrency": 2}
    (cell,) = plan(spec_for("http://nowhere", **values))
    model = ScriptedModel(cell.questions)
    folder = tmp_path / "run"
    async with openai_server(model) as url:
        spec = spec_for(url, **values)
        stopping = Quiet(folder)
        stopping.should_stop = lambda: sum(model.asked.values()) >= 7  # type: ignore[method-assign]
        assert not await asyncio.to_thread(draw_matrix, spec, prepare(spec, folder), folder, stopping)
        before = {t.question_id for c in open_run(folder).cells() for t in c.trajectories}
        assert 5 <= len(before) < 20
        run = await evaluated(spec, folder)
    assert all(model.asked[question] == 1 for question in before)
    (drawn,) = run.cells()
    assert sorted(t.question_id for t in drawn.trajectories) == sorted(q.id for q in cell.questions)


async def test_a_run_refuses_to_go_on_with_other_data(tmp_path: Path) -> None:
    prepare(spec_for("http://nowhere", own=[own(tmp_path)]), tmp_path / "run")
    with pytest.raises(ConflictError, match="sums has changed since the run began: data, questions_digest"):
        prepare(spec_for("http://nowhere", own=[own(tmp_path, ROWS.replace("3 + 3", "3 + 4"))]), tmp_path / "run")


def refusal(**fields: Any) -> str:
    with pytest.raises(UserError) as caught:
        plan(spec_for("http://nowhere", **fields))
    return str(caught.value)


def test_bad_input_is_refused_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_DATA", str(tmp_path))
    with pytest.raises(UserError, match="unknown suite 'nope'"):
        plan(spec_for("http://nowhere", "nope"))
    with pytest.raises(UserError, match=r"data of aime24 are not in .*mentor data fetch aime24"):
        plan(spec_for("http://nowhere", "aime24"))
    broken = ROWS + '{"question": "no answer?"}\nnot json\n[1]\n' + ROWS.splitlines()[0] + "\n"
    told = refusal(own=[own(tmp_path, broken)])
    for problem in (
        "line 21: no column 'answer'",
        "line 22: not JSON",
        "line 23: not an object",
        "line 24: the id 'r0' occurs twice",
    ):
        assert problem in told
    assert "skip_broken: true" in told
    assert "no column 'total'" in refusal(own=[own(tmp_path) | {"answers": "total"}])
    assert "unknown scorer 'magic'" in refusal(own=[own(tmp_path) | {"scorer": "magic"}])
    assert "unknown tool 'hammer'" in refusal(own=[own(tmp_path) | {"tools": ["hammer"]}])
    assert "unknown scorer 'magic'" in refusal(own=[own(tmp_path)], second_judges=["magic"])
    for options, told in (({"split": "../../secret"}, "a plain name"), ({"size": 3}, "allowed: split")):
        with pytest.raises(UserError, match=told):
            plan(spec_for("http://nowhere", "gsm8k", options={"gsm8k": options}))


def test_broken_rows_are_left_out_and_counted_if_asked(tmp_path: Path) -> None:
    spec = spec_for("http://nowhere", own=[own(tmp_path, ROWS + "not json\n")], skip_broken=True)
    (cell,) = plan(spec)
    assert len(cell.questions) == 20 and cell.planned.loaded.skipped == ("line 21: not JSON: Expecting value",)


async def test_second_judges_stand_beside_and_never_change_the_verdict(tmp_path: Path) -> None:
    suite = own(tmp_path) | {"scorer": "qa_em"}
    (cell,) = plan(spec_for("http://nowhere", own=[suite]))
    model = ScriptedModel([q.model_copy(update={"answers": (f"{q.answers[0]}.0",)}) for q in cell.questions])
    async with openai_server(model) as url:
        run = await evaluated(spec_for(url, own=[suite], second_judges=["math"]), tmp_path / "run")
    (drawn,) = run.cells()
    verdicts = [(t.metadata["correct"], t.metadata["verdict"]["values"]["second/math"]) for t in drawn.trajectories]
    assert Counter(verdicts)[False, 1.0] == 4 and not any(correct for correct, _ in verdicts)


# --- the service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The evaluator's service and worker on a Redis of their own."""
    folder = tmp_path_factory.mktemp("evaluator")
    redis = start_redis(folder / "redis")
    env = {
        "MENTOR_JOBS_REDIS_URL": redis_url(folder / "redis"), "MENTOR_JOBS_STORE": str(folder / "store"),
        "MENTOR_DATA": str(folder / "data"),
    }  # fmt: skip
    running = ServiceProcess("mentor_evaluator", env=env)
    command = [sys.executable, "-m", "mentor.jobs.worker", "--name", "evaluator"]
    command += ["--handler", "mentor_evaluator.matrix.job:EvaluationJob"]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment(env), stdout=log, stderr=subprocess.STDOUT)
    yield running
    running.stop()
    worker.terminate()
    worker.wait(30)
    redis.terminate()
    redis.wait()


def call(service: ServiceProcess, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, service.http + path, trust_env=False, timeout=60, **options)


async def test_people_evaluate_look_and_page_through_samples_over_both_transports(
    service: ServiceProcess, tmp_path: Path
) -> None:
    (cell,) = plan(spec_for("http://nowhere", own=[own(tmp_path)]))
    async with openai_server(ScriptedModel(cell.questions)) as url:
        body = spec_for(url, own=[own(tmp_path)]).model_dump(mode="json", exclude_defaults=True)
        answer = await asyncio.to_thread(call, service, "POST", "/v1/evaluations", json=body)
        assert answer.status_code == 201, answer.text
        job = answer.json()["id"]
        path = f"/v1/evaluations/{job}"
        early = await asyncio.to_thread(call, service, "GET", f"{path}/results")
        assert early.status_code in (200, 409)
        await asyncio.to_thread(
            eventually, lambda: call(service, "GET", path).json()["state"] in ("succeeded", "failed"), 60
        )
    state = call(service, "GET", path).json()
    assert state["state"] == "succeeded", state
    results = call(service, "GET", f"{path}/results").json()
    assert results["cells"]["scripted/sums/no-tools"]["accuracy"]["mean"] == 0.2
    page = call(service, "GET", f"{path}/samples", params={"filter": "correct:true", "page_size": 3, "page": 2}).json()
    assert page["total"] == 4 and [s["correct"] for s in page["samples"]] == [True]
    assert page["samples"][0]["trajectory"]["termination"] == "answered"
    assert call(service, "GET", f"{path}/samples", params={"filter": "colour:red"}).status_code == 400
    assert call(service, "GET", "/v1/evaluations/evaluation-none/results").status_code == 404
    suites = {row["suite"]: row for row in call(service, "GET", "/v1/suites").json()["suites"]}
    assert suites["gsm8k"]["questions"] is None and "mentor data fetch gsm8k" in suites["gsm8k"]["missing"]
    compared = call(service, "GET", "/v1/compare", params={"runs": f"{job},{job}:scripted"}).json()
    assert [s["difference"]["mean"] for s in compared["suites"]] == [0.0] and compared["suites"][0]["changed"] == []
    ranked = call(service, "GET", "/v1/leaderboard").json()
    assert [(entry["run"], entry["model"]) for entry in ranked["entries"]] == [(job, "scripted")]
    assert call(service, "GET", "/v1/compare", params={"runs": job}).status_code == 400
    assert call(service, "GET", "/v1/compare", params={"runs": f"{job},{job}:nobody"}).status_code == 400
    with grpc.insecure_channel(service.grpc) as channel:
        stub: Any = EvaluationsServiceStub(channel)
        assert json.loads(stub.CompareRuns(pb.CompareRunsRequest(a=job, b=job)).comparison_json) | {"b": ""} == {
            **compared, "b": "",
        }  # fmt: skip
        assert json.loads(stub.GetLeaderboard(pb.GetLeaderboardRequest(runs=[job])).leaderboard_json) == ranked
        assert json.loads(stub.GetResults(pb.GetResultsRequest(id=job)).results_json) == results
        samples = stub.ListSamples(pb.ListSamplesRequest(id=job, filter="correct:true", page=2, page_size=3))
        assert [json.loads(s) for s in samples.samples_json] == page["samples"] and samples.total == 4
        assert len(list(stub.WatchEvaluation(pb.WatchEvaluationRequest(id=job)))) >= 3
        assert [j.id for j in stub.ListEvaluations(pb.ListEvaluationsRequest()).jobs] == [job]


def test_a_bad_evaluation_is_refused_with_its_field(service: ServiceProcess) -> None:
    model = {"name": "m", "model": {"url": "http://127.0.0.1:9", "name": "m"}}
    for body, field in (
        ({"models": [model], "suites": ["nope"]}, "suites"),
        ({"models": [model], "suites": ["gsm8k"]}, "suites"),
        ({"models": [], "suites": ["gsm8k"]}, "models"),
        ({"models": [model], "suites": ["tiny"], "samples": 0}, "samples"),
        ({"models": [model, model], "suites": ["tiny"]}, None),
    ):
        answer = call(service, "POST", "/v1/evaluations", json=body)
        assert answer.status_code == 400 or answer.status_code == 422, answer.text
        assert field is None or field in answer.json()["error"]["field"]


def test_a_training_runs_checkpoints_are_evaluated_while_it_goes_on(service: ServiceProcess, tmp_path: Path) -> None:
    write_set(tmp_path)
    wanted = {"keep_best": "evaluation", "evaluate_suites": ["tiny-in-domain"], "evaluator_url": service.http}
    few = {"max_questions": 2, "tools": "without", "sampling": {"max_tokens": 16, "temperature": 0}}
    spec = make_spec(spec_values(tmp_path, save_freq=1, evaluate=few, **wanted))
    target = tmp_path / "out" / "checkpoints" / "global_step_1"
    shutil.copytree(STUDENT, target / "actor" / "huggingface")
    checkpoints.commit(target, 1)
    (found,) = Keeper(spec).close(patience_s=120)
    assert (found.step, found.accuracy) == (1, {"tiny-in-domain/no-tools": 0.0})
    assert (tmp_path / "out" / "best" / "config.json").is_file()
