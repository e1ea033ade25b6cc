"""What specs may reach: fields that say what they name, lists that say what is allowed, and for whom."""

from __future__ import annotations

import os
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from mentor.errors import UserError
from mentor.inference import OpenAIServer
from mentor.jobs import policy
from mentor.reach import Reach, ReachSettings
from mentor.reach.hosts import Place, matches, never_a_service, place_of
from mentor.rollout.connect import ModelSource, endpoints, open_policy
from mentor.rpc.principal import Principal, Role, acting_for
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.spec import EvaluateSpec
from mentor_teacher.spec import TeacherSpec
from mentor_trainer.config import TrainSpec

SUBMITTER = Principal("key:alice", frozenset({Role.SUBMIT}))
OPERATOR = Principal("key:operator", frozenset({Role.OPERATE}))
URL = {"url": "http://model:8000/v1", "name": "m"}
CLOSED = dict.fromkeys(("model_hosts", "service_hosts", "ray_hosts", "path_roots", "key_variables"), "")  # fmt: skip

SERVED = {
    f"{spec}.model.serve.{name}" for spec in ("TeacherSpec", "EvaluateSpec")
    for name in ("engine", "dtype", "parser", "reasoning_parser")
}  # fmt: skip
DRAWN = {
    f"{spec}.{name}" for spec in ("TeacherSpec", "EvaluateSpec", "EvaluationSpec")
    for name in ("concurrency", "prompts.system", "prompts.template")
} | {
    f"{spec}.{name}" for spec in ("TeacherSpec", "EvaluateSpec") for name in ("sandbox_tools", "model.replicas.name")
}  # fmt: skip
PLAIN = SERVED | DRAWN | {
    "EvaluationSpec.models.model.replicas.name",
    "TeacherSpec.model.name", "TeacherSpec.model.mode", "TeacherSpec.model.chat_format", "TeacherSpec.model.system",
    "TeacherSpec.judge", "TeacherSpec.importer", "TeacherSpec.importer_options", "TeacherSpec.selection", "TeacherSpec.split",
    "EvaluateSpec.model.name", "EvaluateSpec.model.mode", "EvaluateSpec.model.chat_format", "EvaluateSpec.model.system",
    "EvaluateSpec.judge", "EvaluateSpec.suite",
    "EvaluationSpec.models.name", "EvaluationSpec.models.model.name", "EvaluationSpec.models.model.mode",
    "EvaluationSpec.models.model.chat_format", "EvaluationSpec.models.model.system", "EvaluationSpec.models.thinking",
    "EvaluationSpec.models.model.serve.engine", "EvaluationSpec.models.model.serve.dtype",
    "EvaluationSpec.models.model.serve.parser", "EvaluationSpec.models.model.serve.reasoning_parser",
    "EvaluationSpec.suites", "EvaluationSpec.own.name", "EvaluationSpec.own.summary", "EvaluationSpec.own.question",
    "EvaluationSpec.own.answers", "EvaluationSpec.own.id", "EvaluationSpec.own.category", "EvaluationSpec.own.tools",
    "EvaluationSpec.own.scorer", "EvaluationSpec.own.measures", "EvaluationSpec.own.groups", "EvaluationSpec.tools",
    "EvaluationSpec.strategy", "EvaluationSpec.thinking", "EvaluationSpec.second_judges",
    "EvaluationSpec.options",  # suites of ours understand it: a split's name, which joins no path, and BFCL's mode
    "TrainSpec.algorithm", "TrainSpec.judge", "TrainSpec.loss_aggregation", "TrainSpec.chat_format",
    "TrainSpec.importance_ratio", "TrainSpec.rollout_correction", "TrainSpec.curriculum", "TrainSpec.keep_best",
    "TrainSpec.evaluate_suites", "TrainSpec.evaluate.tools",
    "TrainSpec.system_prompt", "TrainSpec.tools", "TrainSpec.device", "TrainSpec.backend", "TrainSpec.loggers",
    "TrainSpec.name",
    "TrainSpec.output_dir",  # not used by jobs: they write to their work folder
    "TrainSpec.overrides",  # mentor_trainer.plain
}  # fmt: skip
"""Text that is only ever compared, shown or given to a model."""


def texts(model: type[BaseModel], prefix: str) -> set[str]:
    """Fields that can hold text and say nothing of what they name."""
    found: set[str] = set()
    for name, info in model.model_fields.items():
        field = f"{prefix}.{name}"
        inner = [part for part in (info.annotation, *typing.get_args(info.annotation)) if _is_model(part)]
        if inner:
            found |= {text for part in inner for text in texts(part, field)}
        elif not any(isinstance(item, Reach) for item in info.metadata) and _holds_text(info.annotation):
            found.add(field)
    return found


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _holds_text(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Literal:
        return isinstance(typing.get_args(annotation)[0], str)
    return annotation is str or any(_holds_text(part) for part in typing.get_args(annotation) if annotation is not dict)


@pytest.mark.parametrize("spec", [TeacherSpec, EvaluateSpec, EvaluationSpec, TrainSpec])
def test_every_field_of_every_spec_says_what_it_names_or_is_known_to_be_plain(spec: type[BaseModel]) -> None:
    ours = {field for field in PLAIN if field.startswith(f"{spec.__name__}.")}
    assert {f for f in texts(spec, spec.__name__) if not f.endswith("template_kwargs")} == ours


def teacher(**values: Any) -> TeacherSpec:
    return TeacherSpec.model_validate({"model": URL, "questions": "file:x/y", **values})


def refused(spec: BaseModel, who: Principal = SUBMITTER, **lists: str) -> str | None:
    """The field for which a spec is refused, or None."""
    with acting_for(who):
        try:
            policy.check(spec, ReachSettings(**lists))
        except UserError as error:
            return error.field
    return None


@pytest.mark.parametrize("who", [SUBMITTER, OPERATOR])
def test_a_list_binds_operators_too(who: Principal) -> None:
    assert refused(teacher(), who, **CLOSED) == "model.url"
    assert refused(teacher(), who, **CLOSED | {"model_hosts": "model:8000"}) is None
    assert refused(teacher(questions="/etc/passwd"), who, **CLOSED | {"model_hosts": "*"}) == "questions"


def test_every_replica_is_held_against_the_lists_and_gets_no_key_that_is_not_named_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {**URL, "api_key_env": "MENTOR_MODEL_KEY_X", "replicas": ["http://b:1", {"url": "http://c:1", "name": "n"}]}
    lists = {"model_hosts": "model:8000,b:1", "key_variables": "MENTOR_MODEL_KEY_*@model:8000"}
    assert refused(teacher(model=asked), **lists) == "model.replicas.1.url"
    lists["model_hosts"] += ",c:1"
    assert refused(teacher(model=asked), **lists) is None
    keyed = {**asked, "replicas": [{"url": "http://b:1", "api_key_env": "MENTOR_MODEL_KEY_X"}]}
    assert refused(teacher(model=keyed), **lists) == "model.replicas.0.api_key_env"
    monkeypatch.setenv("MENTOR_MODEL_KEY_X", "secret")
    found = [(e.url, e.model, e.api_key) for e in endpoints(ModelSource.model_validate(asked))]
    assert found == [("http://model:8000/v1", "m", "secret"), ("http://b:1", "m", None), ("http://c:1", "n", None)]


def test_without_lists_operators_reach_anything_and_submitters_only_what_is_theirs() -> None:
    wide = {"questions": "/etc/q.jsonl", "backends": {"retriever": "http://10.0.0.1:80"}}
    wide["model"] = {**URL, "api_key_env": "TEACHER_KEY"}
    assert refused(teacher(**wide), OPERATOR) is None
    assert refused(teacher()) == "model.url"
    named = {"model": {"path": "artifact:teacher-1/model", "tokenizer": "file:x/y"}}
    assert refused(teacher(**named)) is None
    assert refused(teacher(**named | {"questions": "q.jsonl"})) == "questions"
    assert refused(teacher(**named | {"backends": {"sandbox": "10.0.0.1:50051"}})) == "backends.sandbox"


def test_this_deployments_own_services_are_always_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_SANDBOX_TARGET", "sandbox:50051")
    asked = teacher(model={"path": "file:x/y"})
    assert asked.backends.sandbox == "sandbox:50051"
    assert refused(asked, **CLOSED) is None
    monkeypatch.setenv("MENTOR_SANDBOX_TARGET", "moved:50051")
    assert refused(asked, **CLOSED) == "backends.sandbox"


@pytest.mark.parametrize(
    ("endpoint", "entry", "allowed"),
    [
        ("http://model:8000/v1", "model:8000", True),
        ("http://MODEL:8000", "model:8000", True),
        ("http://model:8001", "model:8000", False),
        ("http://model:8000", "model", False),
        ("http://model", "model", True),
        ("https://model", "model", True),
        ("https://model:444", "model:*", True),
        ("https://a.example.org", "*.example.org", True),
        ("https://example.org", "*.example.org", False),
        ("https://evilexample.org", "*.example.org", False),
        ("https://example.org.evil.test", "*.example.org", False),
        ("https://a.example.org", "a.example.org:443", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://anything:1", "*", True),
        ("sandbox:50051", "sandbox:50051", True),
        ("grpc://sandbox:50051", "sandbox:50051", True),
    ],
)
def test_entries_of_hosts(endpoint: str, entry: str, allowed: bool) -> None:
    assert matches(place_of(endpoint, "url"), entry) is allowed


@pytest.mark.parametrize(
    "endpoint",
    ["http://model:8000@evil.test", "http://user:pass@model:8000", "http://model:8000?x=", "http://model:8000/#x",
     "http://", "unix:/run/redis.sock", "dns:///evil:1", "xds:///evil", "sandbox", "a b:1", "model:8000/x"],
)  # fmt: skip
def test_an_address_that_says_more_than_where_is_refused(endpoint: str) -> None:
    with pytest.raises(UserError, match="url"):
        place_of(endpoint, "url")


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ],
)
def test_metadata_services_are_refused_in_every_notation_unless_they_are_listed(host: str) -> None:
    address = f"http://{host}/v1"
    assert never_a_service(place_of(address, "url")) is not None
    asked = teacher(model={"url": address, "name": "m"})
    assert refused(asked, OPERATOR) == "model.url"
    assert refused(asked, model_hosts="*") == "model.url"
    assert refused(asked, model_hosts=host) is None


def test_a_name_that_leads_to_a_metadata_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("169.254.169.254", 80))])
    asked = teacher(model={"url": "http://innocent.test", "name": "m"})
    assert refused(asked, OPERATOR) == "model.url"
    assert refused(asked, model_hosts="*.test") == "model.url"
    assert refused(asked, model_hosts="innocent.test") is None
    assert never_a_service(Place("127.0.0.1", 80)) == "169.254.169.254"


@pytest.mark.parametrize(
    ("variable", "url", "entries", "allowed"),
    [
        ("TEACHER_KEY", "https://t.test/v1", "TEACHER_KEY", True),
        ("TEACHER_KEY", "https://t.test/v1", "TEACHER_KEY@t.test", True),
        ("TEACHER_KEY", "https://evil.test/v1", "TEACHER_KEY@t.test", False),
        ("TEACHER_KEY", "https://evil.test/v1", "TEACHER_KEY@t.test,TEACHER_KEY@evil.test:443", True),
        ("MENTOR_MODEL_KEY_A", "https://t.test", "MENTOR_MODEL_KEY_*", True),
        ("AWS_SECRET_ACCESS_KEY", "https://t.test", "MENTOR_MODEL_KEY_*,TEACHER_KEY", False),
        ("MENTOR_API_KEY", "https://t.test", "*", False),
        ("MENTOR_JOBS_REDIS_URL", "https://t.test", "MENTOR_*", False),
        ("MENTOR_API_KEY", "http://model:8000", "MENTOR_API_KEY@model:8000", True),
        ("MENTOR_API_KEY", "https://t.test", "MENTOR_API_KEY@model:8000", False),
        ("ANY", "https://t.test", "", False),
    ],
)
def test_a_key_goes_only_where_an_entry_lets_it(variable: str, url: str, entries: str, allowed: bool) -> None:
    asked = teacher(model={"url": url, "name": "m", "api_key_env": variable})
    for who in (SUBMITTER, OPERATOR):
        assert refused(asked, who, model_hosts="*:*,*", key_variables=entries) == (
            None if allowed else "model.api_key_env"
        )


def test_without_a_list_our_own_variables_go_nowhere() -> None:
    for variable, operators, submitters in (
        ("MENTOR_API_KEY", False, False), ("HOME", True, False), ("MENTOR_MODEL_KEY_X", True, True),
    ):  # fmt: skip
        asked = teacher(model={**URL, "api_key_env": variable})
        assert (refused(asked, OPERATOR) is None) is operators
        assert (refused(asked, SUBMITTER, model_hosts="model:8000") is None) is submitters


def test_paths_are_held_against_roots_with_every_link_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "inward").symlink_to(root)
    (root / "outward").symlink_to(outside)
    lists = CLOSED | {"path_roots": f"/nowhere, {root}", "model_hosts": "*"}
    for name, allowed in {
        "q.jsonl": True, "deep/q.jsonl": True, "inward/q.jsonl": True, "outward/q.jsonl": False, "../outside/q": False,
        "../root-beside/q": False, "inward/../../outside/q": False,
    }.items():  # fmt: skip
        assert (refused(teacher(questions=f"{root}/{name}"), OPERATOR, **lists) is None) is allowed, name
    assert refused(teacher(questions=os.path.relpath(outside / "q")), OPERATOR, **lists) == "questions"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "/etc"),
        ("train_files", ["file:x/y", "/etc/passwd"]),
        ("val_files", "/etc/passwd"),
        ("trajectory_files", ["/etc/passwd"]),
        ("reward", "/x.yaml"),
        ("ray_address", "http://ray:8265"),
        ("sandbox_url", "evil:1"),
        ("retriever_url", "http://evil:1"),
    ],
)
def test_every_field_of_a_training_spec_that_reaches_is_checked(field: str, value: Any) -> None:
    base: dict[str, Any] = {"model": "artifact:a/m", "train_files": ["artifact:a/t"]}
    assert refused(TrainSpec.model_validate(base)) is None
    assert str(refused(TrainSpec.model_validate(base | {field: value}))).startswith(field)


def test_a_reward_preset_is_a_name_and_no_path() -> None:
    asked = {"model": "artifact:a/m", "train_files": ["artifact:a/t"], "reward": "paper_strict"}
    assert refused(TrainSpec.model_validate(asked), **CLOSED) is None


def test_an_evaluations_reference_is_a_path() -> None:
    asked = {"model": {"path": "file:x/y"}, "questions": "file:x/y", "reference": "/etc/passwd"}
    assert refused(EvaluateSpec.model_validate(asked)) == "reference"


def test_the_message_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_ALLOW_MODEL_HOSTS", "model:8000, other:1")
    with acting_for(SUBMITTER), pytest.raises(UserError) as caught:
        policy.check(teacher(model={**URL, "url": "http://evil.test"}))
    assert "evil.test:80" in str(caught.value)
    assert caught.value.allowed == "model:8000, other:1; see MENTOR_ALLOW_MODEL_HOSTS"


async def test_a_key_may_lie_in_a_file_and_a_missing_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ModelSource(url="http://127.0.0.1:9", name="m", api_key_env="MENTOR_MODEL_KEY_X")
    with pytest.raises(UserError, match="neither MENTOR_MODEL_KEY_X nor MENTOR_MODEL_KEY_X_FILE") as caught:
        async with open_policy(source):
            pass
    assert caught.value.field == "model.api_key_env"
    (tmp_path / "key").write_text("from-a-file\n")
    monkeypatch.setenv("MENTOR_MODEL_KEY_X_FILE", str(tmp_path / "key"))
    monkeypatch.setattr(OpenAIServer, "check", lambda self: _none(self))
    async with open_policy(source):
        assert _SEEN == ["from-a-file"]


_SEEN: list[str | None] = []


async def _none(server: OpenAIServer) -> None:
    _SEEN.append(server.endpoint.api_key)
