"""From a grid file to content-addressed steps: what is shared, what a change makes anew, and what seeds decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mentor.data import read_questions
from mentor.errors import UserError
from mentor.experiment.derive import derangement, evaluation_set, shuffled_references, subset
from mentor.experiment.keys import File, Output, canonical, code_version, digest_of, run_key
from mentor.experiment.plan import Plan, Run, Step, make_plan, run_ids
from mentor.experiment.spec import merged, read_experiment
from mentor.local.distill import GROUP, SPLIT
from tests.support.experiment_grid import grid, grid_values
from tests.support.training import questions


def run_of(plan: Plan, label: str) -> Run:
    return next(run for run in plan.runs if run.id.label == label)


def kinds(plan: Plan) -> list[str]:
    return sorted(step.kind for step in plan.steps.values())


def test_runs_share_steps_that_are_made_of_the_same(tmp_path: Path) -> None:
    plan = make_plan(grid(tmp_path, grid=[{"methods": ["teacher", "vanilla", "cold", "mentor"], "seeds": [0, 1]}]))
    assert len(plan.runs) == 8
    assert kinds(plan).count("teacher") == 1  # a world's, whatever the run's seed
    assert kinds(plan).count("train") == 2
    greedy = {run.id.label: run.roles["greedy"].content for run in plan.runs}
    assert greedy["one.tiny.vanilla.s0"] == greedy["one.tiny.vanilla.s1"] == greedy["one.tiny.cold.s0"]
    assert len({run.content for run in plan.runs}) == 8
    sampled = run_of(plan, "one.tiny.cold.s1").roles["sampled"].spec
    assert sampled["sampling"] == {"temperature": 0.3, "max_tokens": 64, "seed": 1}
    once = run_of(plan, "one.tiny.mentor.s1").roles["greedy"].spec
    assert (once["samples"], once["sampling"]["temperature"]) == (1, 0.0)


def test_what_a_run_needs_comes_first_and_seeds_are_done_one_after_another(tmp_path: Path) -> None:
    plan = make_plan(grid(tmp_path, grid=[{"methods": ["vanilla", "mentor"], "seeds": [0, 1]}]))
    assert [run.id.seed for run in plan.runs] == [0, 0, 1, 1]
    steps = plan.steps_of(run_of(plan, "one.tiny.mentor.s0"))
    assert [step.kind for step in steps] == ["evaluation_set", "teacher", "train", "evaluate", "evaluate"]
    assert steps[2].spec["train_files"] == [Output(steps[1].content, "references.parquet")]
    assert steps[3].spec["model"] == {"path": Output(steps[2].content, "model")}
    assert (steps[2].spec["seed"], steps[2].spec["judge"]) == (0, "math")


def test_the_teacher_is_the_worlds_and_asked_once_for_all_students(tmp_path: Path) -> None:
    students = {"tiny": {"path": "student"}, "other": {"path": "Org/Student-7B"}}
    plan = make_plan(grid(tmp_path, students=students, grid=[{"methods": ["teacher", "vanilla"], "seeds": [3]}]))
    assert [run.id.label for run in plan.runs] == [
        "one.teacher.teacher.s3", "one.tiny.vanilla.s3", "one.other.vanilla.s3",
    ]  # fmt: skip
    asked = plan.runs[0].roles["sampled"].spec["model"]["path"]
    assert asked.path == tmp_path / "world" / "teacher"
    assert plan.runs[2].roles["sampled"].spec["model"] == {"path": "Org/Student-7B"}


def test_a_method_starts_from_anothers_student(tmp_path: Path) -> None:
    methods = {"sft": {"train": {"algorithm": "sft"}}, "both": {"after": "sft", "train": {"reward": "flexible"}}}
    plan = make_plan(grid(tmp_path, methods=methods, grid=[{"methods": ["both", "sft"], "seeds": [0, 1]}]))
    first, both = (run_of(plan, f"one.tiny.{name}.s1") for name in ("sft", "both"))
    assert both.roles["train"].spec["model"] == Output(first.roles["train"].content, "model")
    assert kinds(plan).count("train") == 4


def test_a_student_draws_its_own_trajectories_with_the_runs_seed(tmp_path: Path) -> None:
    own = {"samples": 8, "sampling": {"temperature": 0.9}}
    methods = {"rejection": {"train": {"algorithm": "sft"}, "own_trajectories": own}}
    plan = make_plan(grid(tmp_path, methods=methods, grid=[{"methods": ["rejection"], "seeds": [4]}]))
    run = plan.runs[0]
    draw = run.roles["draw"]
    assert draw.kind == "teacher" and draw.spec["model"]["path"].path.name == "student"
    assert (draw.spec["samples"], draw.spec["sampling"]) == (8, {"temperature": 0.9, "max_tokens": 64, "seed": 4})
    assert run.roles["train"].spec["trajectory_files"] == [Output(draw.content, "trajectories.jsonl")]
    assert "teacher" not in run.roles


def test_controls_and_fewer_questions_are_drawn_by_the_runs_seed(tmp_path: Path) -> None:
    methods = {
        "shuffled": {"train": {"reward": "flexible"}, "shuffle_references": True},
        "few": {"train": {"reward": "flexible"}, "teacher_questions": 5},
        "several": {"train": {"reward": "flexible"}, "teacher_samples": 6},
    }
    plan = make_plan(grid(tmp_path, methods=methods, grid=[{"methods": list(methods), "seeds": [0, 1]}]))
    assert kinds(plan).count("shuffle") == kinds(plan).count("subset") == 2
    shuffled = run_of(plan, "one.tiny.shuffled.s1").roles["train"].spec
    (output,) = shuffled["train_files"]
    assert plan.steps[output.step].spec["seed"] == 1 and "trajectory_files" not in shuffled
    few = {run_of(plan, f"one.tiny.few.s{seed}").roles["teacher"].content for seed in (0, 1)}
    assert len(few) == 2
    several = run_of(plan, "one.tiny.several.s0").roles["teacher"].spec
    assert (several["samples"], several["max_references"]) == (6, 6)


def keys(folder: Path, **changes: Any) -> dict[str, str]:
    return {run.id.method: run.content for run in make_plan(grid(folder, **changes)).runs}


def test_a_change_makes_anew_what_it_reaches_and_nothing_else(tmp_path: Path) -> None:
    before = keys(tmp_path)
    assert keys(tmp_path) == before
    assert {k for k, v in keys(tmp_path / "elsewhere").items() if v == before[k]} == set(before)

    defaults = grid_values()["defaults"]
    longer = keys(tmp_path, defaults=defaults | {"train": defaults["train"] | {"total_steps": 4}})
    assert {name for name in before if longer[name] != before[name]} == {"mentor"}

    grid(tmp_path)
    (tmp_path / "world" / "teacher" / "config.json").write_text('"better"')
    changed = {run.id.method: run.content for run in make_plan(read_experiment(tmp_path / "grid.yaml")).runs}
    assert {name for name in before if changed[name] != before[name]} == {"mentor", "teacher"}


def test_a_reward_of_ones_own_counts_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("correctness: 1.0\n")
    methods = {"own": {"train": {"reward": "own.yaml"}}, "preset": {"train": {"reward": "flexible"}}}
    plan = make_plan(grid(tmp_path, methods=methods, grid=[{"methods": ["own", "preset"], "seeds": [0]}]))
    own, preset = (run.roles["train"].spec["reward"] for run in plan.runs)
    assert isinstance(own, File) and own.path == tmp_path / "own.yaml"
    assert preset == "flexible"


def test_keys_cover_the_code_and_mixed_code_is_nobodys() -> None:
    assert run_key("x", ["a"]) != run_key("x", ["b"])
    assert run_key("x", ["a", "b"]) == run_key("x", ["b", "a", "a"])
    assert code_version() == code_version()
    first = Step("train", "one label", {"model": File(Path("/a"), "d"), "n": [1, Output("s", "model")]})
    assert (
        first.content
        == Step("train", "another", {"n": (1, Output("s", "model")), "model": File(Path("/b"), "d")}).content
    )
    assert first.needs == ("s",)
    assert canonical(first.spec) == {"model": {"file": "d"}, "n": [1, {"step": "s", "name": "model"}]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"lr": float("nan")})


def test_later_fields_win_and_a_model_is_replaced_whole() -> None:
    low = {"model": {"url": "http://a", "name": "a"}, "sampling": {"temperature": 1.0, "max_tokens": 9}, "samples": 4}
    assert merged(low, None, {"model": {"path": "b"}, "sampling": {"temperature": 0.2}}) == {
        "model": {"path": "b"}, "sampling": {"temperature": 0.2, "max_tokens": 9}, "samples": 4,
    }  # fmt: skip


@pytest.mark.parametrize("count", [2, 3, 5, 50])
@pytest.mark.parametrize("seed", range(5))
def test_a_derangement_leaves_nothing_in_its_place(count: int, seed: int) -> None:
    places = derangement(count, seed)
    assert sorted(places) == list(range(count))
    assert all(place != index for index, place in enumerate(places))
    assert places == derangement(count, seed)


def test_shuffled_references_are_anothers_and_answers_stay() -> None:
    before = questions(9)
    after = shuffled_references(before, seed=3)
    assert [(q.id, q.answers, q.question) for q in after] == [(q.id, q.answers, q.question) for q in before]
    assert all(a.references != b.references for a, b in zip(after, before, strict=True))
    assert sorted(a.references[0].answer for a in after) == sorted(b.references[0].answer for b in before)
    assert after != shuffled_references(before, seed=4)
    with pytest.raises(UserError, match="shuffle_references"):
        shuffled_references(before[:1], seed=0)


def test_a_subset_is_drawn_by_its_seed_and_not_larger_than_there_are(tmp_path: Path) -> None:
    grid(tmp_path)
    source = str(tmp_path / "world" / "train.jsonl")
    drawn = []
    for seed in (0, 0, 1):
        subset({"questions": source, "count": 5, "seed": seed}, tmp_path)
        drawn.append([q.id for q in read_questions(tmp_path / "questions.jsonl")])
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5
    with pytest.raises(UserError, match="at most 12"):
        subset({"questions": source, "count": 13, "seed": 0}, tmp_path)


def test_an_evaluation_set_says_of_every_question_where_it_belongs(tmp_path: Path) -> None:
    grid(tmp_path)
    sets = {
        "near": {"file": str(tmp_path / "world" / "eval.jsonl"), "group": "in_domain"},
        "far": {"file": str(tmp_path / "world" / "train.jsonl"), "group": "out_of_domain"},
    }
    evaluation_set({"sets": sets}, tmp_path)
    found = read_questions(tmp_path / "questions.jsonl")
    assert {(q.metadata[SPLIT], q.metadata[GROUP]) for q in found} == {("near", "in_domain"), ("far", "out_of_domain")}
    assert not any(q.references for q in found)
    with pytest.raises(UserError, match="twice"):
        evaluation_set({"sets": {"a": sets["near"], "b": sets["near"]}}, tmp_path)


def test_only_takes_methods_labels_and_patterns(tmp_path: Path) -> None:
    spec = grid(tmp_path)
    assert [run.id.method for run in make_plan(spec, ["cold"]).runs] == ["cold"]
    assert [run.id.method for run in make_plan(spec, ["one.tiny.mentor.s0", "van*"]).runs] == ["vanilla", "mentor"]
    assert len(make_plan(spec, ["one.tiny.*"]).runs) == 3
    with pytest.raises(UserError, match="a method \\(teacher, vanilla, cold, mentor\\)"):
        make_plan(spec, ["mentr"])


def test_a_cell_that_two_blocks_name_is_one_run(tmp_path: Path) -> None:
    blocks = [{"methods": ["vanilla"], "seeds": [0, 1]}, {"methods": ["vanilla", "cold"], "seeds": [1]}]
    assert [run.label for run in run_ids(grid(tmp_path, grid=blocks))] == [
        "one.tiny.vanilla.s0", "one.tiny.vanilla.s1", "one.tiny.cold.s1",
    ]  # fmt: skip


def test_what_is_not_there_is_said_with_its_field(tmp_path: Path) -> None:
    worlds = grid_values()["worlds"]
    with pytest.raises(UserError) as missing:
        make_plan(grid(tmp_path, worlds={"one": worlds["one"] | {"questions": "none.jsonl"}}))
    assert missing.value.field == "worlds.one.questions"
    with pytest.raises(UserError) as nobody:
        make_plan(grid(tmp_path, worlds={"one": worlds["one"] | {"teacher": {}}}))
    assert nobody.value.field == "worlds.one.teacher.model"


def test_a_grid_laid_over_another_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "one.yaml").write_text(
        "name: one\nworlds: {w: {folder: world, evaluation: {s: {file: q.jsonl}}}}\nstudents: {small: {path: a}}\n"
        "methods: {m: {train: {lr: 1.0e-4, threads: 1}}}\ngrid: [{methods: [m], seeds: [0]}]\n"
        "defaults: {teacher: {model: {path: t}, samples: 2}}\n"
    )
    (tmp_path / "two.yaml").write_text(
        "base: one.yaml\nname: two\nstudents: {small: {path: b}}\nmethods: {m: {train: {lr: 1.0e-6}}}\n"
        "defaults: {teacher: {model: {url: 'http://x', name: t}}}\n"
    )
    found = read_experiment(tmp_path / "two.yaml")
    assert (found.name, found.students["small"].path) == ("two", "b")
    assert found.methods["m"].train == {"lr": 1e-6, "threads": 1}
    assert found.defaults.teacher == {"model": {"url": "http://x", "name": "t"}, "samples": 2}
    (tmp_path / "one.yaml").write_text("base: two.yaml\n")
    with pytest.raises(UserError, match="circle"):
        read_experiment(tmp_path / "two.yaml")
