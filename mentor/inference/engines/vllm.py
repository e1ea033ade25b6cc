"""vLLM's OpenAI server."""

from __future__ import annotations

from mentor.inference.engines import Launch, flags

_FLAGS = {
    "tensor_parallel": "--tensor-parallel-size", "max_model_len": "--max-model-len", "dtype": "--dtype",
    "gpu_memory_utilization": "--gpu-memory-utilization", "max_num_seqs": "--max-num-seqs",
    "max_num_batched_tokens": "--max-num-batched-tokens", "enable_chunked_prefill": "--enable-chunked-prefill",
    "enable_prefix_caching": "--enable-prefix-caching", "reasoning_parser": "--reasoning-parser",
}  # fmt: skip


class _Vllm:
    name = "vllm"
    summary = "vLLM: GPUs, or its CPU build; MENTOR_ENGINE_VLLM names its interpreter"
    module = "vllm"
    program = ("-m", "vllm.entrypoints.openai.api_server")
    takes = frozenset({*_FLAGS, "parser"})
    plain = frozenset(
        {"--enforce-eager", "--seed", "--block-size", "--kv-cache-dtype", "--quantization", "--max-logprobs",
         "--disable-custom-all-reduce", "--disable-log-stats", "--pipeline-parallel-size", "--async-scheduling"}
    )  # fmt: skip
    tokens = {"prompt": "vllm:prompt_tokens_total", "generated": "vllm:generation_tokens_total"}

    def arguments(self, launch: Launch) -> list[str]:
        return [
            f"--model={launch.folder}", f"--served-model-name={launch.name}", "--host=127.0.0.1", f"--port={launch.port}",
            "--enable-auto-tool-choice", f"--tool-call-parser={launch.options.get('parser', 'hermes')}",
            *flags(launch.options, _FLAGS),
        ]  # fmt: skip

    def environment(self, launch: Launch) -> dict[str, str]:
        return {"VLLM_API_KEY": launch.key, "VLLM_NO_USAGE_STATS": "1"}


PLUGIN = _Vllm()
