"""The tiny world's tokenizer, chat template and pre-training examples."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from examples.tiny import tokenizer as tiny_tokenizer
from examples.tiny.dialogues import END, Segment, dialogue, mixture_of, response_text, user_text
from examples.tiny.pretrain import (
    CHUNKS,
    IGNORED,
    KINDS,
    Encoder,
    Schedule,
    batches,
    drill,
    new_model,
    train,
)
from examples.tiny.world import ALL_NAMES, MATH_NAMES, SPECS, sample
from mentor.chat.formats import load_format
from mentor.rollout.prompts import user_messages
from mentor.trajectory import Observation

CHECKPOINTS = Path(__file__).parents[2] / "examples" / "tiny" / "checkpoints"


@pytest.fixture(scope="module")
def loaded() -> Any:
    """As every consumer loads it."""
    return AutoTokenizer.from_pretrained(CHECKPOINTS / "student")


@pytest.fixture(scope="module")
def encoder(loaded: Any) -> Encoder:
    return Encoder(loaded)


def test_student_and_teacher_share_one_tokenizer_which_the_script_rebuilds(loaded: Any) -> None:
    student, teacher = ((CHECKPOINTS / name / "tokenizer.json").read_bytes() for name in ("student", "teacher"))
    assert student == teacher
    rebuilt = tiny_tokenizer.train(seed=0)
    assert rebuilt.get_vocab() == loaded.get_vocab()
    text = (
        user_text("Anna has 12 eggs.") + '<tool_call>\n{"name": "add", "arguments": {"firstNumber": 12}}\n</tool_call>'
    )
    assert rebuilt.encode(text) == loaded.encode(text)


def test_a_prompt_with_twelve_tools_is_short_and_digits_are_single_tokens(loaded: Any, encoder: Encoder) -> None:
    rng = random.Random(0)
    for kind in KINDS:
        prompt = encoder.prompt(sample(rng, kind, test=True))
        assert len(prompt) < 80
    assert [loaded.decode([i]) for i in loaded.encode("1234.5")] == list("1234.5")
    assert len(loaded.encode("\n")) == 1


def test_cached_prompt_frames_equal_the_chat_template(loaded: Any, encoder: Encoder) -> None:
    rng = random.Random(1)
    chat_format = load_format(loaded)
    for kind in KINDS:
        problem = sample(rng, kind, test=True)
        tools = [SPECS[name].openai() for name in problem.tools]
        assert encoder.prompt(problem) == chat_format.render_prompt(user_messages(problem.question), tools)


def test_observations_are_rendered_as_pretraining_showed_them(loaded: Any) -> None:
    chat_format = load_format(loaded)
    for content in ("68", "2.0", "Error: unknown tool 'calculate'", '"Arvold"\nArvold is a town.'):
        seen = [Observation(name="add", content=content)]
        assert chat_format.observation_text([], seen) == response_text(content)


def test_a_dialogue_in_pieces_has_the_tokens_of_the_whole_text_and_decodes_to_it(loaded: Any, encoder: Encoder) -> None:
    rng = random.Random(2)
    for index in range(300):
        problem = sample(rng, KINDS[index % len(KINDS)], test=bool(index % 2))
        segments = dialogue(rng, problem, mixture_of(problem.kind))
        ids, labels = encoder.example(encoder.prompt(problem), segments)
        whole = loaded.decode(encoder.prompt(problem)) + "".join(segment.text for segment in segments)
        assert loaded.encode(whole) == ids
        assert loaded.decode(ids) == whole
        learned = "".join(segment.text for segment in segments if segment.learned)
        assert loaded.decode([label for label in labels if label != IGNORED]) == learned


def test_labels_cover_the_assistants_turns_only(encoder: Encoder) -> None:
    segments = [Segment("68" + END, True), Segment(response_text("5"), False), Segment("7" + END, True)]
    ids, labels = encoder.example([5, 6, 7], segments)
    own = encoder.text("68" + END), encoder.text("7" + END)
    between = len(encoder.text(response_text("5")))
    assert labels == [IGNORED] * 3 + own[0] + [IGNORED] * between + own[1]
    assert len(ids) == len(labels)


def test_batches_hold_every_row_once_and_drills_fade(encoder: Encoder) -> None:
    schedule = Schedule(steps=4, peak=1e-3, floor=1e-4, batch=8, drills=0.5, drills_end=0.1)
    for chunks in batches(encoder, mixture_of, schedule, seed=0):
        assert len(chunks) == CHUNKS
        assert sum(len(ids) for ids, _ in chunks) == 8
        assert all(ids.shape == labels.shape for ids, labels in chunks)
    shares = [schedule.drill_share(step) for step in range(4)]
    assert shares[0] == 0.5
    assert shares[-1] == pytest.approx(0.1)


def test_a_drill_repeats_the_numbers_it_was_given(loaded: Any, encoder: Encoder) -> None:
    rng = random.Random(3)
    for _ in range(20):
        ids, labels = drill(rng, encoder)
        answer = loaded.decode([label for label in labels if label != IGNORED]).removesuffix(END)
        assert f"Repeat {answer}{END}" in loaded.decode(ids)


def test_pretraining_lowers_the_loss_and_one_seed_gives_one_result(loaded: Any, encoder: Encoder) -> None:
    def run() -> list[float]:
        losses: list[float] = []
        schedule = Schedule(steps=12, peak=3e-3, floor=1e-3, batch=4, warmup=4)
        drawn = batches(encoder, mixture_of, schedule, 0)
        train(new_model(loaded, 0), drawn, schedule, lambda step, loss, seconds: losses.append(loss))
        return losses

    first = run()
    assert sum(first[-3:]) < 0.7 * sum(first[:3])
    assert first == pytest.approx(run(), rel=1e-3)


def test_tools_that_are_not_of_this_world_are_spelled_out(loaded: Any) -> None:
    tools = [{"type": "function", "function": {"name": "fly", "description": "Fly.", "parameters": {}}}]
    rendered = loaded.apply_chat_template(
        [{"role": "user", "content": "x"}], tools=tools, tokenize=False, add_generation_prompt=True
    )
    assert '{"name": "fly", "description": "Fly.", "parameters": {}}' in rendered
    assert loaded.decode(loaded.encode(rendered)) == rendered
    assert set(MATH_NAMES) < set(ALL_NAMES)
