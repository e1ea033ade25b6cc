"""The local engine's server (``mentor.inference.local``): small models, on a CPU or one GPU."""

from __future__ import annotations

from mentor.inference.engines import Launch
from mentor.rpc.credentials import API_KEY_VARIABLE


class _Local:
    name = "local"
    summary = "the local engine in a process of its own: small models, on a CPU or one GPU (--device)"
    module = "torch"
    program = ("-m", "mentor.inference.local")
    takes = frozenset({"max_num_seqs"})
    plain = frozenset({"--device", "--max-queue", "--seed"})
    tokens = {"prompt": "mentor_model_prompt_tokens_total", "generated": "mentor_model_generated_tokens_total"}

    def arguments(self, launch: Launch) -> list[str]:
        batch = launch.options.get("max_num_seqs")
        return [
            f"--model={launch.folder}", f"--served-model-name={launch.name}", "--host=127.0.0.1", f"--port={launch.port}",
            f"--threads={launch.threads}", "--set=access_log=false", *([f"--max-batch={batch}"] if batch else []),
        ]  # fmt: skip

    def environment(self, launch: Launch) -> dict[str, str]:
        return {API_KEY_VARIABLE: launch.key}


PLUGIN = _Local()
