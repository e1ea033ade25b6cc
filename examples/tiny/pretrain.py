"""Pre-training: batches of dialogues, the optimizer, and the loop."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from examples.tiny import corpus
from examples.tiny.dialogues import END, Mixture, Segment, dialogue, user_text
from examples.tiny.world import ALL_NAMES, COMBINATION_KINDS, RL_KINDS, SEARCH_KINDS, SPECS, Problem, sample

KINDS = RL_KINDS + COMBINATION_KINDS + SEARCH_KINDS
SEARCH_WEIGHT = 2
"""Copying names is learned later than copying numbers, so search problems come more often than other kinds."""
IGNORED = -100
NAMES_IN_DRILLS = 0.3
CHUNKS = 2
Habits = Callable[[str], Mixture]


@dataclass(frozen=True)
class Schedule:
    """One phase of pre-training: warm-up, then a cosine from ``peak`` to ``floor``.

    ``drills``: share of copy drills at the start, falling linearly to ``drills_end`` over the first half.
    """

    steps: int
    peak: float
    floor: float
    batch: int = 32
    warmup: int = 100
    drills: float = 0.0
    drills_end: float = 0.0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.floor + 0.5 * (self.peak - self.floor) * (1 + math.cos(math.pi * done))

    def drill_share(self, step: int) -> float:
        """Share of drills in a step's batch."""
        left = max(0.0, 1 - 2 * step / self.steps)
        return self.drills_end + (self.drills - self.drills_end) * left


def new_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen2ForCausalLM:
    """A Qwen2 model of about 1.1 M parameters with random weights."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=(len(tokenizer) + 31) // 32 * 32,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


class Dialogues:
    """Token ids of texts and dialogues."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def text(self, text: str) -> list[int]:
        """Ids of plain text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def example(self, prompt: list[int], segments: list[Segment]) -> tuple[list[int], list[int]]:
        """Ids and labels of a dialogue; labels are ``IGNORED`` outside the assistant's turns."""
        ids, labels = list(prompt), [IGNORED] * len(prompt)
        for segment in segments:
            tokens = self.text(segment.text)
            ids += tokens
            labels += tokens if segment.learned else [IGNORED] * len(tokens)
        return ids, labels


class Encoder(Dialogues):
    """Token ids of problems and dialogues. The template is rendered once per tool list; only the question changes."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        self._frames: dict[tuple[str, ...], tuple[str, str]] = {}

    def prompt(self, problem: Problem, tools: tuple[str, ...] | None = None) -> list[int]:
        """Ids of a problem's prompt."""
        names = tools or problem.tools
        if names not in self._frames:
            rendered = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": user_text("\0")}],
                tools=[SPECS[name].openai() for name in names],
                add_generation_prompt=True,
                tokenize=False,
            )
            head, tail = rendered.split("\0")
            self._frames[names] = (head, tail)
        head, tail = self._frames[names]
        return self.text(head + problem.question + tail)


def drill(rng: random.Random, encoder: Encoder) -> tuple[list[int], list[int]]:
    """A copy drill: numbers and names to be repeated in the order given, which forms induction heads early."""
    listed = ", ".join(_name(rng) if rng.random() < NAMES_IN_DRILLS else _number(rng) for _ in range(rng.randint(3, 8)))
    head = encoder.text(f"<|im_start|>user\nRepeat {listed}{END}\n<|im_start|>assistant\n")
    return encoder.example(head, [Segment(listed + END, True)])


def _number(rng: random.Random) -> str:
    whole = str(rng.randint(1, 10 ** rng.randint(1, 5)))
    return whole + (f".{rng.randint(1, 999)}" if rng.random() < 0.2 else "")


def _name(rng: random.Random) -> str:
    """A fact of a made-up place; never of a held-out one."""
    while True:
        name = rng.choice(corpus.HEADS) + rng.choice(corpus.TAILS)
        if name not in corpus.BY_NAME or not corpus.BY_NAME[name].held_out:
            return f"{rng.choice(sorted(corpus.FACTS))} of {name}"


def examples(encoder: Encoder, habits: Habits, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Endless dialogues on problems of the training side, every kind equally often but for the search kinds."""
    rng = random.Random(seed)
    kinds = KINDS + SEARCH_KINDS * (SEARCH_WEIGHT - 1)
    while True:
        problem = sample(rng, rng.choice(kinds), test=False)
        tools = ALL_NAMES if rng.random() < 0.1 else None
        yield encoder.example(encoder.prompt(problem, tools), dialogue(rng, problem, habits(problem.kind)))


Rows = list[tuple[list[int], list[int]]]
Chunk = tuple[torch.Tensor, torch.Tensor]


def batches(encoder: Encoder, habits: Habits, schedule: Schedule, seed: int) -> Iterator[list[Chunk]]:
    """Batches as padded chunks of ids and labels, shape [rows, longest].

    A batch is drawn at random and only then sorted into chunks of like length: batches of one length each would be
    batches of one problem kind each, and the model would forget between them.
    """
    rng = random.Random(seed + 1)
    source = examples(encoder, habits, seed)
    for step in range(schedule.steps):
        share = schedule.drill_share(step)
        yield chunked([drill(rng, encoder) if rng.random() < share else next(source) for _ in range(schedule.batch)])


def chunked(rows: Rows) -> list[Chunk]:
    """A batch's rows as padded chunks of like length."""
    rows = sorted(rows, key=lambda row: len(row[0]))
    size = -(-len(rows) // CHUNKS)
    return [_pad(rows[start : start + size]) for start in range(0, len(rows), size)]


def _pad(rows: Rows) -> Chunk:
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED)
    for index, (row, row_labels) in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        labels[index, : len(row)] = torch.tensor(row_labels)
    return ids, labels


def loss_of(model: PreTrainedModel, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy of the learned tokens; logits are computed for those positions only.

    Rows are padded on the right, so the causal mask alone keeps padding out of every learned position.
    """
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    chosen = wanted != IGNORED
    return cross_entropy(model.lm_head(hidden[chosen]).float(), wanted[chosen], reduction="sum")


def optimizers(model: PreTrainedModel) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices (it learns to copy in half the steps of AdamW), AdamW for everything else."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    chosen = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(inner, lr=1.0, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def learn(model: PreTrainedModel, steppers: list[torch.optim.Optimizer], chunks: list[Chunk], rate: float) -> float:
    """One update on a batch; the gradient is that of the mean loss over the whole batch's learned tokens.

    Returns:
        That loss.
    """
    learned = sum(int((labels[:, 1:] != IGNORED).sum()) for _, labels in chunks)
    total = 0.0
    for ids, labels in chunks:
        loss = loss_of(model, ids, labels) / learned
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for stepper in steppers:
        for group in stepper.param_groups:
            group["lr"] = rate
        stepper.step()
    model.zero_grad(set_to_none=True)
    return total


def train(
    model: PreTrainedModel,
    drawn: Iterable[list[Chunk]],
    schedule: Schedule,
    report: Callable[[int, float, float], None],
) -> float:
    """Train in place on a batch a step.

    Args:
        report: called after every step with the step's number, its loss and the seconds since the start.

    Returns:
        The mean loss of the last 50 steps.
    """
    model.train()
    steppers = optimizers(model)
    started = time.monotonic()
    recent: list[float] = []
    for step, chunks in enumerate(drawn):
        loss = learn(model, steppers, chunks, schedule.rate(step))
        recent = [*recent[-49:], loss]
        report(step, loss, time.monotonic() - started)
    model.eval()
    return sum(recent) / len(recent)
