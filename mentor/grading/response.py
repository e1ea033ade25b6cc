r"""The final answer in a model's whole response, wherever and however it was given.

Rewards read ``Trajectory.answer`` (a box in the final turn) and nothing else: what is read here more generously serves
evaluation alone, so that training cannot learn to please it.
"""

from __future__ import annotations

import re

from mentor.chat.answer import boxes
from mentor.grading.form import unfonted
from mentor.grading.spans import said
from mentor.grading.words import Kind, in_words
from mentor.trajectory import Termination, Trajectory

MAX_RESPONSE_CHARS = 2_000_000
"""Of a longer response only the end is read."""
_ANSWER_TAG = re.compile(r"<(/?)(?:answer|final_answer)>", re.IGNORECASE)
_BETWEEN_BOXES = re.compile(
    r"[\s$,;()\[\]\\]{0,20}(?:(?:and|or|und|oder|et|ou|y|o|和|或|或者)[\s$,;()\[\]\\]{0,20})?\Z", re.IGNORECASE
)


def final_answer(trajectory: Trajectory, kind: Kind = "math") -> str | None:
    """The answer of a trajectory's final turn; None where it did not end by answering, or gives none."""
    if trajectory.termination is not Termination.ANSWERED:
        return None
    return final_answer_of_text(trajectory.turns[-1].text, kind) if trajectory.turns else trajectory.answer


def final_answer_of_text(text: str, kind: Kind = "math") -> str | None:
    """The answer of a response as text: in an answer tag, in the last box, or in words, in this order.

    Reasoning, tool calls and tool output are no answer, closed or not. Boxes that only a comma or an "and" separates are one
    answer of several values.
    """
    spoken = said(text[-MAX_RESPONSE_CHARS:])
    tagged = _tagged(spoken)
    for part in (tagged, _ANSWER_TAG.sub(" ", spoken)) if tagged else (_ANSWER_TAG.sub(" ", spoken),):
        found = _boxed(part) or in_words(part, kind) or (part.strip() if part is tagged else None)
        if found:
            return unfonted(found) if kind == "text" else found
    return None


def _tagged(text: str) -> str | None:
    """Content of the last answer tag, up to its end or, where a stop string took that, the text's."""
    tags = list(_ANSWER_TAG.finditer(text))
    last = next((n for n in reversed(range(len(tags))) if not tags[n].group(1)), None)
    if last is None:
        return None
    end = tags[last + 1].start() if last + 1 < len(tags) else len(text)
    return text[tags[last].end() : end].strip() or None


def _boxed(text: str) -> str | None:
    """The last box, with those that stand directly before it."""
    found = sorted(box for box in boxes(text) if text[box[1] : box[2]].strip())
    if not found:
        return None
    values = [found[-1]]
    for box in reversed(found[:-1]):
        between = text[box[2] + 1 : values[0][0]] if box[2] < values[0][0] else None
        if between is None or not _BETWEEN_BOXES.match(between[:60]) or len(between) > 60:
            break
        values.insert(0, box)
    return ", ".join(text[start:end].strip() for _, start, end in values)
