"""A model that answers BFCL with gold, over OpenAI's protocol: it finds its place by what it is asked, as a real one does."""

from __future__ import annotations

import json
from typing import Any

from mentor_evaluator.bfcl.categories import Mode, category_of, is_multi_step
from mentor_evaluator.bfcl.entries import load_answers, load_entries
from tests.support.bfcl_gold import gold_result
from tests.support.openai_server import Reply

NOTHING = "There is nothing more to do."


class GoldModel:
    """Answers requests about entries of some categories.

    A request says by its ``x-request-id`` which entry it is about; user turns and steps are counted in its messages.
    """

    def __init__(self, categories: list[str], mode: Mode, ids: list[str] | None = None) -> None:
        self.mode = mode
        self.requests: list[dict[str, Any]] = []
        self._results: dict[str, Any] = {}
        for category in categories:
            answers = load_answers(category)
            for entry in load_entries(category, hints=False):
                if ids is None or entry["id"] in ids:
                    self._results[entry["id"]] = gold_result(entry, answers.get(entry["id"]), mode)

    def answer(self, body: dict[str, Any], request_id: str) -> Reply:
        """The reply to one request."""
        self.requests.append(body)
        if "_prereq" in request_id:
            return self._said(self._remember(body, request_id))
        entry_id, step = self._place(request_id)
        result = self._results[entry_id]
        if is_multi_step(category_of(entry_id)):
            turn = result[step[0]]
            return self._said(turn[step[1]] if step[1] < len(turn) else NOTHING)
        return self._said(result)

    def _place(self, request_id: str) -> tuple[str, tuple[int, int]]:
        """Entry, user turn and step of a request, as the agent loop names it."""
        entry_id = next(i for i in (request_id.rsplit("-", n)[0] for n in (2, 3)) if i in self._results)
        numbers = request_id[len(entry_id) + 1 :].split("-")
        return entry_id, (int(numbers[-2]), int(numbers[-1]))

    def _remember(self, body: dict[str, Any], request_id: str) -> Any:
        """Prerequisites: note down the user's words once, then go on."""
        if not request_id.endswith("-0"):
            return NOTHING
        said = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")[:200]
        name = "memory_append" if "rec_sum" in request_id else "archival_memory_add"
        number, turn = request_id.split("_prereq_")[1].split("-")[0], request_id.split("-")[-2]
        keyed = {"key": f"note_{number}_{turn}", "value": said}
        arguments = keyed if "_kv" in request_id else {"text": said}
        if self.mode == "fc":
            return [{name: json.dumps(arguments)}]
        return f"[{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})]"

    def _said(self, step: Any) -> Reply:
        message: dict[str, Any] = {"role": "assistant", "content": step}
        if isinstance(step, list):
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [_call(call, n) for n, call in enumerate(step)],
            }
        finish = "tool_calls" if isinstance(step, list) else "stop"
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _call(call: dict[str, str], number: int) -> dict[str, Any]:
    ((name, arguments),) = call.items()
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
