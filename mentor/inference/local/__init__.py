"""The embedded model server: a transformers engine on the CPU, in process or behind OpenAI's HTTP interface.

Needs the extra ``local-engine``; nothing else in ``mentor`` imports torch.
"""

from mentor.inference.local.engine import EngineStats, LocalEngine

__all__ = ["EngineStats", "LocalEngine"]
