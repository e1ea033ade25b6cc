"""How much memory a run takes of each GPU, before it is started: ``python -m mentor_trainer.memory [SPEC.yaml ...]``.

Trainer and rollout engine share the GPUs and take turns (verl's hybrid mode). With P parameters, L layers of width H and
feed-forward width F, V words, N devices, T tokens of a device's packed batch and TP devices of an engine:

==================  =====================================================================================================
state               16 P / N: weights, gradients and both moments in float32, each rank its share; in host memory while
                    the engine samples, with ``offload``. LoRA: 4 P / N, and 16 bytes of each adapter weight.
gathered            4 x the largest piece that is gathered whole (embedding, or a layer): bfloat16, this one and the next
activations         2 T H L with gradient checkpointing, and 2 T (16 H + 3 F) of the layer that is computed again;
                    2 T L (16 H + 3 F) without
logits              3 x 2 T V: the output, what the temperature makes of it, and its gradient
engine              ``gpu_memory_utilization`` x the GPU: 2 P / TP of weights, the rest for the cache, 4 L K D / TP a token
                    (K heads of D)
==================  =====================================================================================================

Training takes state + gathered + activations + logits, sampling takes state + engine. Both are lower bounds: what does not
fit by them does not fit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.errors import MentorError, UserError
from mentor.trajectory import Frozen
from mentor_trainer.config import TrainSpec, load_spec

GIB = 1024**3
_QWEN = {"vocab_size": 151936, "qkv_bias": True, "tie_word_embeddings": False}
STUDENTS: dict[str, dict[str, Any]] = {
    "Qwen2.5-1.5B-Instruct": {
        **_QWEN, "hidden_size": 1536, "num_hidden_layers": 28, "intermediate_size": 8960, "num_attention_heads": 12,
        "num_key_value_heads": 2, "tie_word_embeddings": True,
    },
    "Qwen2.5-7B-Instruct": {
        **_QWEN, "hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064,
    },
    "Qwen3-1.7B": {
        **_QWEN, "hidden_size": 2048, "num_hidden_layers": 28, "intermediate_size": 6144, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True, "qkv_bias": False,
    },
    "Qwen3-8B": {
        **_QWEN, "hidden_size": 4096, "num_hidden_layers": 36, "intermediate_size": 12288, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "qkv_bias": False,
    },
}  # fmt: skip
"""The paper's four students, by the name of their folder: what their ``config.json`` says."""


class Shape(Frozen):
    """The sizes of a model that its memory hangs on."""

    layers: int
    width: int
    feed_forward: int
    words: int
    heads: int
    cache_heads: int
    head_width: int
    tied: bool
    bias: bool = False

    @property
    def layer(self) -> int:
        """Parameters of a layer, norms left out."""
        attention = 2 * self.width * self.head_width * (self.heads + self.cache_heads)
        biases = self.head_width * (self.heads + 2 * self.cache_heads) if self.bias else 0
        return attention + biases + 3 * self.width * self.feed_forward

    @property
    def parameters(self) -> int:
        """Parameters of the whole model."""
        return self.layers * self.layer + self.words * self.width * (1 if self.tied else 2)

    @property
    def adapted(self) -> int:
        """Inputs and outputs, summed over all matrices that LoRA adapts: times the rank, its parameters."""
        attention = 4 * self.width + 2 * self.head_width * (self.heads + self.cache_heads)
        return self.layers * (attention + 3 * (self.width + self.feed_forward))


class Estimate(Frozen):
    """Bytes on each GPU, by what holds them.

    ``held`` is what of the state stays while the engine samples; ``cache_tokens`` is how many its cache has room for.
    """

    state: int
    held: int
    gathered: int
    activations: int
    logits: int
    engine: int
    engine_weights: int
    cache_token: int

    @property
    def training(self) -> int:
        return self.state + self.gathered + self.activations + self.logits

    @property
    def sampling(self) -> int:
        return self.held + self.engine

    @property
    def cache_tokens(self) -> int:
        return max(0, self.engine - self.engine_weights) // self.cache_token


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape in a ``config.json`` of a Llama-like model."""
    heads = int(config["num_attention_heads"])
    return Shape(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        feed_forward=config["intermediate_size"],
        words=config["vocab_size"],
        heads=heads,
        cache_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or config["hidden_size"] // heads,
        tied=bool(config.get("tie_word_embeddings")),
        bias=bool(config.get("qkv_bias", config.get("model_type") == "qwen2")),
    )


def shape_of_model(folder: Path) -> Shape:
    """The shape of a model on disk, or of one of the paper's students by its folder's name.

    Raises:
        UserError: neither is there, or the configuration is of another kind of model.
    """
    file = folder / "config.json"
    if not file.is_file() and folder.name not in STUDENTS:
        allowed = f"a folder with config.json, or one named {', '.join(STUDENTS)}"
        raise UserError(f"{folder} has no config.json", field="model", allowed=allowed)
    try:
        return shape_of(json.loads(file.read_text()) if file.is_file() else STUDENTS[folder.name])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} has not the sizes of a Llama-like model: {error}",
            field="model",
            allowed="Qwen, Llama and the like",
        ) from error


def estimate(spec: TrainSpec, shape: Shape, tokens: int | None = None) -> Estimate:
    """What a run takes of each GPU; the module's docstring has the formulas. ``tokens`` replaces the spec's at a time."""
    devices = spec.n_gpus_per_node * spec.nnodes
    tokens = tokens or max(spec.max_tokens_per_gpu, spec.max_prompt_length + spec.max_response_length)
    adapters = spec.lora_rank * shape.adapted
    state = (4 * shape.parameters + 16 * adapters if adapters else 16 * shape.parameters) // devices
    layer = 2 * tokens * (16 * shape.width + 3 * shape.feed_forward)
    kept = 2 * tokens * shape.width * shape.layers + layer if spec.gradient_checkpointing else layer * shape.layers
    return Estimate(
        state=state,
        held=0 if spec.offload else state,
        gathered=4 * max(shape.words * shape.width, shape.layer),
        activations=kept,
        logits=6 * tokens * shape.words,
        engine=int(spec.gpu_memory_utilization * spec.gpu_memory_gib * GIB),
        engine_weights=2 * shape.parameters // spec.tensor_parallel,
        cache_token=max(1, 4 * shape.layers * shape.cache_heads * shape.head_width // spec.tensor_parallel),
    )


def require_fit(spec: TrainSpec, shape: Shape) -> Estimate:
    """The estimate of a run that may fit.

    Raises:
        UserError: it cannot; naming the field to change first, and a value that would do.
    """
    found, room = estimate(spec, shape), int(spec.gpu_memory_gib * GIB)
    if found.training > room:
        raise _too_much(spec, shape, found.training, room)
    if found.sampling > room:
        share = int(100 * (room - found.held) / room) / 100
        what = f"sampling takes {found.sampling / GIB:.1f} GiB of each GPU's {room / GIB:.1f}"
        allowed = "offload: true, or more GPUs" if share <= 0 else f"at most {share:g}, or offload: true"
        raise UserError(what, field="gpu_memory_utilization", allowed=allowed)
    longest = spec.max_prompt_length + spec.max_response_length
    if found.cache_tokens < longest:
        raise UserError(
            f"the engine's cache has room for {found.cache_tokens} tokens, one trajectory takes up to {longest}",
            field="tensor_parallel",
            allowed="a larger tensor_parallel or gpu_memory_utilization, or a shorter max_response_length",
        )
    return found


def _too_much(spec: TrainSpec, shape: Shape, taken: int, room: int) -> UserError:
    """Fewer tokens at a time if that is enough, else more devices."""
    what = f"training takes {taken / GIB:.1f} GiB of each GPU's {room / GIB:.1f}"
    longest = spec.max_prompt_length + spec.max_response_length
    for tokens in range(max(spec.max_tokens_per_gpu, longest) // 1024 * 1024, 0, -1024):
        if estimate(spec, shape, tokens).training <= room:
            lengths = ", and max_prompt_length with max_response_length no more" if tokens < longest else ""
            return UserError(what, field="max_tokens_per_gpu", allowed=f"at most {tokens}{lengths}")
    for nodes in range(spec.nnodes, 65):
        if estimate(spec.model_copy(update={"nnodes": nodes}), shape).training <= room:
            return UserError(what, field="nnodes", allowed=f"{nodes} or more, of {spec.n_gpus_per_node} GPUs each")
    return UserError(what, field="model", allowed="a smaller one, or lora_rank with a smaller max_tokens_per_gpu")


def table(specs: Sequence[TrainSpec]) -> str:
    """A line for each run, in GiB a GPU."""
    head = ("run", "params", "state", "gathered", "activations", "logits", "training", "sampling", "of", "cache tokens")
    rows: list[tuple[str, ...]] = [head]
    for spec in specs:
        shape = shape_of_model(Path(spec.model))
        found = estimate(spec, shape)
        sizes = (found.state, found.gathered, found.activations, found.logits, found.training, found.sampling)
        sized = [f"{size / GIB:.1f}" for size in sizes]
        counts = f"{spec.gpu_memory_gib:g}", f"{found.cache_tokens:,}"
        rows.append((spec.name, f"{shape.parameters / 1e9:.2f}e9", *sized, *counts))
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if a run cannot fit."""
    try:
        specs = [load_spec(path) for path in arguments]
        print(table(specs))
    except MentorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    refused = 0
    for spec in specs:
        try:
            require_fit(spec, shape_of_model(Path(spec.model)))
        except UserError as error:
            refused = 1
            print(f"{spec.name}: {error}")
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
