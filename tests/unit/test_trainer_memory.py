"""The estimate of a run's memory: its numbers by hand, and what it refuses with what would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from mentor.errors import UserError
from mentor_trainer.config import TrainSpec, load_spec
from mentor_trainer.memory import GIB, STUDENTS, estimate, main, require_fit, shape_of, shape_of_model
from tests.support.service_process import ROOT
from tests.support.training import STUDENT

PAPER = sorted((ROOT / "configs" / "paper").glob("*.yaml"))


def spec_of(name: str = "qwen2.5-7b", **changes: Any) -> TrainSpec:
    return load_spec(ROOT / "configs" / "paper" / f"{name}.yaml", **changes)


@pytest.mark.parametrize(("name", "billions"), list(zip(STUDENTS, (1.544, 7.616, 1.721, 8.191), strict=True)))
def test_the_papers_students_have_their_published_sizes(name: str, billions: float) -> None:
    assert shape_of(STUDENTS[name]).parameters / 1e9 == pytest.approx(billions, rel=1e-3)


def test_the_parameters_of_a_real_model_are_counted() -> None:
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(STUDENT))
    norms = sum(p.numel() for name, p in model.named_parameters() if "norm" in name)
    assert shape_of_model(STUDENT).parameters + norms == sum(p.numel() for p in model.parameters())


def test_the_formulas_by_hand() -> None:
    shape = shape_of(STUDENTS["Qwen2.5-7B-Instruct"])
    found = estimate(spec_of(max_tokens_per_gpu=16384), shape)
    assert found.state == found.held == 16 * shape.parameters // 8
    assert found.logits == 6 * 16384 * 152064
    assert found.activations == 2 * 16384 * 3584 * 28 + 2 * 16384 * (16 * 3584 + 3 * 18944)
    assert found.engine == int(0.8 * 79.6 * GIB) and found.engine_weights == shape.parameters
    assert found.cache_token == 4 * 28 * 4 * 128 // 2


def test_offload_frees_the_gpu_for_sampling_alone() -> None:
    shape = shape_of(STUDENTS["Qwen3-8B"])
    kept, offloaded = (estimate(spec_of("qwen3-8b", offload=o), shape) for o in (False, True))
    assert offloaded.training == kept.training and offloaded.sampling == kept.sampling - kept.state


@pytest.mark.parametrize("path", PAPER, ids=lambda p: p.stem)
def test_the_papers_runs_fit_the_papers_gpus(path: Path) -> None:
    spec = load_spec(path)
    found = require_fit(spec, shape_of_model(Path(spec.model)))
    assert max(found.training, found.sampling) < 79.6 * GIB


@pytest.mark.parametrize(
    ("changes", "field", "allowed"),
    [
        ({"n_gpus_per_node": 4}, "gpu_memory_utilization", "at most 0.6"),
        ({"n_gpus_per_node": 2}, "max_tokens_per_gpu", "at most"),
        ({"gpu_memory_gib": 24.0}, "max_tokens_per_gpu", "max_prompt_length with max_response_length no more"),
        ({"n_gpus_per_node": 1, "tensor_parallel": 1}, "nnodes", "4 or more, of 1 GPUs each"),
        ({"gpu_memory_gib": 1.0}, "model", "a smaller one"),
        ({"gpu_memory_utilization": 0.09}, "tensor_parallel", "a larger tensor_parallel"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(changes: dict[str, Any], field: str, allowed: str) -> None:
    spec = spec_of(**changes)
    with pytest.raises(UserError) as refused:
        require_fit(spec, shape_of_model(Path(spec.model)))
    assert refused.value.field == field and allowed in (refused.value.allowed or ""), refused.value


def test_what_is_named_would_do() -> None:
    spec = spec_of(n_gpus_per_node=2)
    with pytest.raises(UserError) as refused:
        require_fit(spec, shape_of_model(Path(spec.model)))
    tokens = int((refused.value.allowed or "").split()[2].rstrip(","))
    shape = shape_of_model(Path(spec.model))
    assert (
        estimate(spec, shape, tokens).training
        <= spec.gpu_memory_gib * GIB
        < estimate(spec, shape, tokens + 1024).training
    )


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="Llama-like") as refused:
        shape_of_model(tmp_path)
    assert refused.value.field == "model"


def test_the_command_prints_a_line_for_each_and_says_what_does_not_fit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([str(path) for path in PAPER]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(PAPER)
    small = tmp_path / "small.yaml"
    small.write_text(f"base: {PAPER[0]}\nname: small\ngpu_memory_gib: 8\n")
    assert main([str(small)]) == 1
    assert "small: max_tokens_per_gpu: training takes" in capsys.readouterr().out
    assert main([str(tmp_path / "none.yaml")]) == 2
