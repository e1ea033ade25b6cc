"""Tools: specs, the registry, the built-in functions, and the executors that run calls."""

from mentor.tools.builtin import MATH_SOURCE, MATH_TOOLS, WIKIPEDIA_SEARCH
from mentor.tools.spec import ToolSpec

__all__ = ["MATH_SOURCE", "MATH_TOOLS", "WIKIPEDIA_SEARCH", "ToolSpec"]
