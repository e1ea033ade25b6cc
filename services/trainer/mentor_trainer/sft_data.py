"""Teacher trajectories as training examples of the student: its own template and tokenizer, loss on assistant tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mentor.chat import ChatFormat
from mentor.chat.written import turn_text
from mentor.data import iter_trajectories, read_questions
from mentor.data.fates import stayed
from mentor.errors import UserError
from mentor.rollout import user_messages
from mentor.rollout.solve import CORRECT
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Frozen, Question, Termination, Trajectory, Turn
from mentor_trainer.config import TrainSpec


class Example(Frozen):
    """Token ids and their loss mask (1 = the assistant's), of equal length."""

    ids: tuple[int, ...]
    mask: tuple[int, ...]


def load_pairs(spec: TrainSpec) -> list[tuple[Question, Trajectory]]:
    """Verified trajectories with their questions, in file order.

    Raises:
        UserError: a file is malformed, or no trajectory belongs to any of the questions.
    """
    questions = {q.id: q for file in spec.train_files for q in read_questions(file, "train_files")}
    every = (t for file in spec.trajectory_files for t in iter_trajectories(file, "trajectory_files"))
    pairs = [(questions[t.question_id], t) for t in every if t.question_id in questions and usable(t)]
    if not pairs:
        raise UserError(
            "no verified trajectory belongs to a question of train_files",
            field="trajectory_files",
            allowed="the teacher's trajectories of these questions",
        )
    return pairs[: spec.train_max_samples] if spec.train_max_samples > 0 else pairs


def usable(trajectory: Trajectory) -> bool:
    """It answered, was not found wrong, and no filter of its data set dropped it."""
    right = bool(trajectory.metadata.get(CORRECT, True)) and stayed(trajectory)
    return trajectory.termination is Termination.ANSWERED and right


def examples(spec: TrainSpec, pairs: Iterable[tuple[Question, Trajectory]], chat_format: ChatFormat) -> list[Example]:
    """Tokenised pairs; those longer than ``max_sequence_length`` are left out.

    Raises:
        UserError: all are too long.
    """
    registry = ToolRegistry(default=spec.tools)
    built = [tokenise(t, schemas(registry, q), chat_format, spec.system_prompt) for q, t in pairs]
    fitting = [example for example in built if len(example.ids) <= spec.max_sequence_length]
    if not fitting:
        shortest = min(len(example.ids) for example in built)
        raise UserError("every trajectory is too long", field="max_sequence_length", allowed=f"{shortest} or more")
    return fitting


def schemas(registry: ToolRegistry, question: Question) -> list[dict[str, object]]:
    """The tools that the question's prompt shows."""
    return [tool.openai() for tool in registry.for_question(question)]


def tokenise(
    trajectory: Trajectory, tools: Sequence[dict[str, object]], chat_format: ChatFormat, system: str | None = None
) -> Example:
    """Render a trajectory as the student would have lived it: prompt, turns, observations.

    Text is the common ground: the teacher may have another tokenizer, and a black box returns no ids at all.
    """
    prompt = chat_format.render_prompt(user_messages(trajectory.question, system), list(tools))
    ids, mask = said_and_observed(trajectory.turns, chat_format)
    return Example(ids=(*prompt, *ids), mask=(*[0] * len(prompt), *mask))


def said_and_observed(turns: Iterable[Turn], chat_format: ChatFormat) -> tuple[list[int], list[int]]:
    """Ids of what follows a prompt, and their mask: 1 where the assistant spoke, 0 where its tools did."""
    ids: list[int] = []
    mask: list[int] = []
    for turn in turns:
        said = chat_format.encode(turn_text(turn) + chat_format.end_of_turn)
        observed = chat_format.render_observations(turn.tool_calls, turn.observations) if turn.observations else []
        ids += [*said, *observed]
        mask += [1] * len(said) + [0] * len(observed)
    return ids, mask
