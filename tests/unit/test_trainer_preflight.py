"""What is found wrong with a run before it starts: one line that names the field, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mentor.data import write_questions, write_trajectories
from mentor.errors import InfrastructureError, UserError
from mentor_trainer.config import make_spec
from mentor_trainer.preflight import check_services, check_spec
from mentor_trainer.run import run_training
from tests.support.tokenizers import hiding_tools
from tests.support.training import STUDENT, addition, questions, solved, spec_values, write_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_set(tmp_path)
    return tmp_path


def refused(folder: Path, **changes: Any) -> UserError:
    with pytest.raises(UserError) as error:
        check_spec(make_spec(spec_values(folder, **changes)))
    assert "\n" not in str(error.value)
    return error.value


def test_a_good_spec_passes_and_its_steps_are_counted(folder: Path) -> None:
    assert check_spec(make_spec(spec_values(folder))).total_steps == 2
    by_epochs = make_spec(spec_values(folder, total_steps=None, total_epochs=3))
    assert check_spec(by_epochs).total_steps == 12


def test_a_model_path_that_does_not_exist(folder: Path) -> None:
    error = refused(folder, model=str(folder / "nowhere"))
    assert error.field == "model" and "nowhere" in str(error)


def test_a_model_without_weights(folder: Path) -> None:
    bare = folder / "bare"
    shutil.copytree(STUDENT, bare)
    (bare / "model.safetensors").unlink()
    assert refused(folder, model=str(bare)).field == "model"


def test_a_tokenizer_without_a_chat_template(folder: Path) -> None:
    bare = folder / "bare"
    shutil.copytree(STUDENT, bare)
    (bare / "chat_template.jinja").unlink()
    error = refused(folder, model=str(bare))
    assert error.field == "model" and "chat template" in str(error)


def test_a_template_that_hides_the_tools(folder: Path) -> None:
    blind = folder / "blind"
    shutil.copytree(STUDENT, blind)
    template = blind / "chat_template.jinja"
    template.write_text(hiding_tools(template.read_text()))
    error = refused(folder, model=str(blind))
    assert error.field == "model" and "the model would never see" in str(error)
    check_spec(make_spec(spec_values(folder, model=str(blind), system_prompt="Call add(firstNumber, secondNumber).")))


def test_a_response_longer_than_the_models_context(folder: Path) -> None:
    error = refused(folder, max_response_length=4000)
    assert error.field == "max_response_length" and "2048" in str(error)


def test_a_prompt_longer_than_allowed(folder: Path) -> None:
    error = refused(folder, max_prompt_length=8)
    assert error.field == "max_prompt_length" and "or more" in str(error)


def test_a_malformed_parquet_file(folder: Path) -> None:
    bad = folder / "bad.parquet"
    bad.write_bytes(b"PAR1 but not really")
    error = refused(folder, train_files=[str(bad)])
    assert error.field == "train_files" and "bad.parquet" in str(error)


def test_fewer_questions_than_a_batch(folder: Path) -> None:
    error = refused(folder, train_batch_size=32, mini_batch_size=32)
    assert error.field == "train_batch_size" and "16" in str(error)


def test_an_unknown_tool(folder: Path) -> None:
    error = refused(folder, tools=["add", "teleport"])
    assert error.field == "tools" and "teleport" in str(error)


def test_an_unknown_reward_preset(folder: Path) -> None:
    assert "flexible" in str(refused(folder, reward="generous"))


def test_tools_without_their_service(folder: Path) -> None:
    assert refused(folder, sandbox_url=None).field == "sandbox_url"
    assert refused(folder, tools=["wikipedia_search"]).field == "retriever_url"


def test_an_output_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "file").write_text("")
    assert refused(folder, output_dir=str(folder / "file" / "out")).field == "output_dir"


def test_gpus_that_the_machine_does_not_have(folder: Path) -> None:
    assert refused(folder, device="cuda", n_gpus_per_node=16).field == "n_gpus_per_node"


def test_several_nodes_without_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    assert refused(folder, device="cuda", n_gpus_per_node=8, nnodes=2).field == "ray_address"


def test_a_verl_of_another_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mentor_trainer.preflight.metadata.version", lambda _: "0.10.0")
    error = refused(folder)
    assert error.field == "verl" and error.allowed == "0.9.1"


def test_a_sandbox_that_does_not_answer_is_named_and_nothing_is_left(folder: Path) -> None:
    spec = make_spec(spec_values(folder))
    with pytest.raises(InfrastructureError, match="sandbox_url"):
        check_services(spec)
    with pytest.raises(InfrastructureError, match="sandbox_url"):
        run_training(spec, folder / "out" / "attempt", lambda _: None)
    assert list((folder / "out").iterdir()) == []


def test_sft_counts_the_verified_trajectories_of_its_questions(folder: Path) -> None:
    kept = [solved(q) for q in questions(10)]
    wrong = [t.model_copy(update={"metadata": {"correct": False}}) for t in kept]
    other = [solved(addition(1, 1))]
    write_trajectories([*kept, *wrong, *other], folder / "t.jsonl")
    spec = make_spec(
        spec_values(
            folder, algorithm="sft", trajectory_files=[str(folder / "t.jsonl")], total_steps=None, total_epochs=2
        )
    )
    assert check_spec(spec).total_steps == 2 * 3  # ten trajectories in batches of four


def test_sft_without_a_trajectory_of_its_questions(folder: Path) -> None:
    write_trajectories([solved(addition(1, 1))], folder / "t.jsonl")
    error = refused(folder, algorithm="sft", trajectory_files=[str(folder / "t.jsonl")])
    assert error.field == "trajectory_files"


def test_a_trajectory_file_that_is_none(folder: Path) -> None:
    (folder / "t.jsonl").write_text(json.dumps({"turns": 3}) + "\n")
    assert refused(folder, algorithm="sft", trajectory_files=[str(folder / "t.jsonl")]).field == "trajectory_files"


def test_validation_files_are_checked_too(folder: Path) -> None:
    write_questions([questions(1)[0].model_copy(update={"tools": ("teleport",)})], folder / "val.jsonl")
    assert "teleport" in str(refused(folder, val_files=[str(folder / "val.jsonl")], test_freq=1))


def test_a_distilling_model_has_to_have_the_students_tokens(folder: Path) -> None:
    other = folder / "other"
    shutil.copytree(STUDENT, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": 4000, "content": "<|odd|>"})
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    error = refused(folder, distil_model=str(other))
    assert error.field == "distil_model" and "<|odd|>" in error.message
