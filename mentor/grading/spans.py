"""A response without what was not said to the reader: reasoning, tool calls, tool output, other speakers, markup.

Which tags models and published scripts write: think (DeepSeek, Qwen), channels (gpt-oss), [THINK] (Mistral), ◁think▷ (Kimi),
tool_response (Hermes), information (Search-R1), result (ReCall), output fences (ToRA). One pass over the text.
"""

from __future__ import annotations

import re

_REASONING = (
    "think thinking thought thoughts reasoning reason analysis scratchpad reflection inner_monologue begin_of_thought"
)
_OUTPUT = (
    "tool_response tool_responses tool_output tool_outputs tool_result tool_results information result results observation "
    "observations output documents document search_results search_result function_results function_result function_response "
    "context execution interpreter"
)
_CALL = "tool_call tool_calls function_call function_calls search query python code tool invoke"
_KINDS = {name: kind for kind, names in (("r", _REASONING), ("o", _OUTPUT), ("c", _CALL)) for name in names.split()}
_TAG = re.compile(
    rf"<(?P<end>/?)(?P<name>{'|'.join(sorted(_KINDS, key=len, reverse=True))})(?:\s[^<>]{{0,300}})?>"
    r"|\[(?P<end2>/?)(?P<name2>THINK)\]|◁(?P<end3>/?)(?P<name3>think)▷"
    r"|<\|(?P<word4>begin|end)_of_(?P<name4>thought)\|>",
    re.IGNORECASE,
)
_CALL_MARK = re.compile(r"<\|python_tag\|>|<｜tool▁calls▁begin｜>|\[TOOL_CALLS\]")
_FENCE = re.compile(r"```(?:python|py|output|text_output|tool_code|tool_output)\b.*?(?:```|\Z)", re.DOTALL)
_SPEAKER = re.compile(r"<\|(?:im_start\|>|start_header_id\|>)\s*(\w{1,20})(?:<\|end_header_id\|>)?")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w{1,20})[^<]{0,100}<\|message\|>")
_BARE_CHANNELS = re.compile(r"\Aanalysis(?=[A-Z\W])")
_TOKEN = re.compile(r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</?s>|<eos>|<end_of_turn>")


def said(response: str) -> str:
    """What the reader is told in the end; empty where a response stops in its reasoning or at a tool."""
    text = _outside(_FENCE.sub("\n", _final_channel(_last_speaker(response))))
    return _TOKEN.sub(" ", text).strip()


def _last_speaker(text: str) -> str:
    """Of a transcript, the assistant's last word; nothing where somebody else has it."""
    last = None
    for last in _SPEAKER.finditer(text):  # noqa: B007 (the last one is wanted)
        pass
    if last is None:
        return text
    return text[last.end() :] if last.group(1).lower() in ("assistant", "model") else ""


def _final_channel(text: str) -> str:
    """Of a response in channels, what went to the final one."""
    if "<|channel|>" in text:
        last = None
        for last in _CHANNEL.finditer(text):  # noqa: B007
            pass
        return text[last.end() :].split("<|", 1)[0] if last is not None and last.group(1) == "final" else ""
    if _BARE_CHANNELS.match(text) and "assistant" in text:
        return text.rpartition("assistantfinal")[2] if "assistantfinal" in text else ""
    return text


def _outside(text: str) -> str:
    """Text outside of every span.

    A span that never closes takes the rest with it. An end of reasoning or of tool output that nothing opened says that
    the span began before the text: what was collected so far belongs to it.
    """
    mark = _CALL_MARK.search(text)
    text = text[: mark.start()] if mark else text
    kept: list[str] = []
    inside: str | None = None
    start = 0
    for tag in _TAG.finditer(text):
        name = (tag["name"] or tag["name2"] or tag["name3"] or tag["name4"]).lower()
        closes = bool(tag["end"] or tag["end2"] or tag["end3"] or (tag["word4"] or "").lower() == "end")
        if inside is not None:
            if closes and name == inside:
                inside, start = None, tag.end()
            continue
        kept.append(text[start : tag.start()])
        start = tag.end()
        if not closes:
            inside = name
        elif _KINDS.get(name) != "c":
            kept.clear()
    return "\n".join(kept if inside is not None else [*kept, text[start:]])
