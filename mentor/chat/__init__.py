"""Chat formats: render a conversation once, parse calls and answers per model family."""

from mentor.chat.answer import extract_boxed
from mentor.chat.formats import FORMATS, ChatFormat, ParsedTurn, load_format, parse_turn
from mentor.chat.hermes import parse_tool_calls, split_reasoning

__all__ = [
    "FORMATS",
    "ChatFormat",
    "ParsedTurn",
    "extract_boxed",
    "load_format",
    "parse_tool_calls",
    "parse_turn",
    "split_reasoning",
]
