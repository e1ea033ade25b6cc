"""SGLang's server. Its flags are from its source: no machine of the checks has the GPU that it needs."""

from __future__ import annotations

from mentor.inference.engines import Launch, flags

_FLAGS = {
    "tensor_parallel": "--tp-size", "max_model_len": "--context-length", "dtype": "--dtype",
    "gpu_memory_utilization": "--mem-fraction-static", "max_num_seqs": "--max-running-requests",
    "reasoning_parser": "--reasoning-parser",
}  # fmt: skip
# Both are on unless switched off.
_OFF = {"enable_chunked_prefill": "--chunked-prefill-size=-1", "enable_prefix_caching": "--disable-radix-cache"}


class _Sglang:
    name = "sglang"
    summary = "SGLang, on GPUs; MENTOR_ENGINE_SGLANG names its interpreter"
    module = "sglang"
    program = ("-m", "sglang.launch_server")
    takes = frozenset({*_FLAGS, *_OFF, "parser"})
    plain = frozenset(
        {"--random-seed", "--chunked-prefill-size", "--max-prefill-tokens", "--schedule-conservativeness",
         "--kv-cache-dtype", "--quantization", "--disable-cuda-graph", "--cuda-graph-max-bs", "--pp-size", "--dp-size"}
    )  # fmt: skip
    tokens = {"prompt": "sglang:prompt_tokens_total", "generated": "sglang:generation_tokens_total"}

    def arguments(self, launch: Launch) -> list[str]:
        return [
            f"--model-path={launch.folder}", f"--served-model-name={launch.name}", "--host=127.0.0.1",
            f"--port={launch.port}", f"--api-key={launch.key}", "--enable-metrics",
            f"--tool-call-parser={launch.options.get('parser', 'hermes')}", *flags(launch.options, _FLAGS),
            *(flag for option, flag in _OFF.items() if launch.options.get(option) is False),
        ]  # fmt: skip

    def environment(self, launch: Launch) -> dict[str, str]:
        return {}


PLUGIN = _Sglang()
