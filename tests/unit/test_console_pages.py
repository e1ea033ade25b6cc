"""What the console's pages are made of: forms from schemas, chains, curves, waterfalls."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from mentor.errors import UserError
from mentor.jobs.model import Job, JobState
from mentor_console.datasets.facts import DataSet, in_archive
from mentor_console.jobs.chain import children, references
from mentor_console.jobs.curves import curves
from mentor_console.jobs.directory import Found, job_path
from mentor_console.jobs.form import fields_of, place_of, spec_of, values_of
from mentor_console.pages.datasets import differing
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_teacher.spec import TeacherSpec
from mentor_trainer.config import TrainSpec


def job(kind: str = "train", **fields: object) -> Job:
    return Job.model_validate(
        {"id": f"{kind}-1", "kind": kind, "state": JobState.RUNNING, "spec": {}, "created_at": 0.0, **fields}
    )


@pytest.mark.parametrize("spec", [TeacherSpec, EvaluationSpec, TrainSpec])
def test_every_field_of_a_spec_is_in_its_form_and_what_is_needed_comes_first(spec: type[TeacherSpec]) -> None:
    schema = spec.model_json_schema()
    fields = fields_of(schema)
    assert {field.name.split(".")[0] for field in fields} == set(schema["properties"])
    firsts = [field.first for field in fields]
    assert firsts == sorted(firsts, reverse=True)
    assert all(field.first for field in fields if field.required)


def test_what_a_form_shows_of_a_spec_gives_the_same_spec_again() -> None:
    fields = fields_of(TeacherSpec.model_json_schema())
    spec = TeacherSpec.model_validate(
        {
            "model": {"url": "http://m:1", "name": "x", "template_kwargs": {"a": [1]}},
            "questions": "q",
            "concurrency": "auto",
        }
    ).model_dump(mode="json")
    again = spec_of(fields, values_of(fields, spec))
    assert TeacherSpec.model_validate(again).model_dump(mode="json") == spec


def test_a_value_of_another_kind_is_refused_at_its_field() -> None:
    fields = fields_of(TeacherSpec.model_json_schema())
    for name, text in (("samples", "many"), ("model.template_kwargs", "{")):
        with pytest.raises(UserError) as refused:
            spec_of(fields, {name: text})
        assert refused.value.field == name and place_of(fields, refused.value) == name


def test_an_error_is_shown_at_the_nearest_field() -> None:
    fields = fields_of(EvaluationSpec.model_json_schema())
    assert place_of(fields, UserError("", field="models.0.name")) == "models"
    assert place_of(fields_of(TeacherSpec.model_json_schema()), UserError("", field="model")).startswith("model.")
    assert place_of(fields, UserError("", field="nowhere")) == ""


def test_a_chain_is_read_from_references_however_deep() -> None:
    spec = {"train_files": ["artifact:teacher-1/references.parquet"], "model": {"path": "artifact:train-0/model/x"}}
    assert set(references(spec)) == {
        ("train_files.0", "teacher-1", "references.parquet"), ("model.path", "train-0", "model/x"),
    }  # fmt: skip
    found = Found("trainer", job(spec=spec))
    assert children("teacher-1", [found]) == [(found, "references.parquet")] and not children("teacher-2", [found])


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "%2e%2e"])
def test_what_is_no_jobs_name_reaches_no_service(name: str) -> None:
    with pytest.raises(UserError):
        job_path(name)


def block(kind: str, **data: object) -> bytes:
    return f"id: 1\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def test_a_step_that_was_done_again_counts_as_it_was_done_last() -> None:
    told = [
        (1, block("progress", fraction=0.0, message="starting")),
        (2, block("progress", metrics={"step": 1, "total": 2, "reward": 0.1, "phases": {"gen": 2.0}})),
        (3, block("log", message="alarm", alarm="no_signal")),
        (4, block("progress", metrics={"step": 1, "total": 2, "reward": 0.3})),
        (5, b"event: progress\ndata: {broken\n\n"),
    ]
    made = curves(job(), told)
    assert made["points"] == [{"step": 1, "metrics": {"reward": 0.3}, "phases": {}}]
    assert made["alarms"] == [{"step": 1, "name": "no_signal", "message": "alarm"}] and made["last"] == 5


def test_a_waterfall_ends_at_what_was_kept_and_names_what_it_cannot_explain() -> None:
    summary = {"trajectories": 10, "lost": 1, "wrong": 3, "mine": 2, "surplus": 1, "kept": 2}
    bars = DataSet(Found("teacher", job("teacher")), summary, {"filters": [{"filter": "mine"}]}).waterfall
    assert [(b.name, b.change, b.left) for b in bars] == [
        ("drawn", 10, 10), ("lost", -1, 9), ("mine", -2, 7), ("wrong", -3, 4), ("surplus", -1, 3), ("other", -1, 2),
        ("kept", 2, 2),
    ]  # fmt: skip


def test_a_manifest_is_found_in_the_beginning_of_an_archive() -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, body in (
            ("out/README.md", b"#"),
            ("out/manifest.json", b'{"made": "now"}'),
            ("out/big", b"x" * 100_000),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    assert in_archive(whole.getvalue()[:20_000], "manifest.json") == {"made": "now"}
    assert in_archive(whole.getvalue()[:700], "manifest.json") == {} == in_archive(b"no archive", "manifest.json")


def test_specs_are_compared_field_by_field() -> None:
    assert differing({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "d": 3}) == [("a.c", "2", "4")]
