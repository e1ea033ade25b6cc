"""One verdict: decode a result, ask the package's checker. The rules around the checkers are those of the official runner."""

from __future__ import annotations

from typing import Any

from mentor_evaluator.bfcl.categories import (
    AGENTIC,
    FORMAT_SENSITIVITY,
    IRRELEVANCE,
    MULTI_TURN,
    RELEVANCE,
    Mode,
    category_of,
)
from mentor_evaluator.bfcl.child.decoding import decode_calls, decode_steps
from mentor_evaluator.bfcl.child.official import DOTTED, UNDERSCORED
from mentor_evaluator.bfcl.child.simulation import methods_of, present_names
from mentor_evaluator.bfcl.child.vetting import Refused, vet_call
from mentor_evaluator.bfcl.child.walls import Guard
from mentor_evaluator.bfcl.entries import Entry

Verdict = dict[str, Any]
RIGHT: Verdict = {"valid": True, "reason": "right"}


class Judge:
    """Checks results of entries, each on its own.

    Args:
        entries: by category and id, without notes on language, as checkers take them.
        answers: possible answers likewise.
        guard: armed while a result is decoded and checked.
        underscored: whether models were shown ``a_b`` for ``a.b``.
    """

    def __init__(
        self, entries: dict[str, dict[str, Entry]], answers: dict[str, dict[str, Any]], guard: Guard, underscored: bool
    ) -> None:
        self._entries, self._answers, self._guard = entries, answers, guard
        self._model = UNDERSCORED if underscored else DOTTED

    def verdict(self, entry_id: str, result: Any, mode: Mode) -> Verdict:
        """``valid``, ``reason`` (the official error type, ``refused``) and ``detail``."""
        self._guard.seen = None
        try:
            with self._guard.armed():
                verdict = self._check(entry_id, result, mode)
        except Refused as refused:
            return wrong("refused", str(refused))
        if self._guard.seen is not None:
            return wrong("refused", self._guard.seen)
        return verdict

    def _check(self, entry_id: str, result: Any, mode: Mode) -> Verdict:
        category = category_of(entry_id)
        if category in (*IRRELEVANCE, *RELEVANCE):
            return _check_relevance(category, result, mode)
        entry, answer = self._entries[category][entry_id], self._answers[category][entry_id]
        if category in MULTI_TURN:
            return _check_turns(entry, answer, result, mode, self._model)
        if category in AGENTIC:
            return _check_answer(answer, result, mode)
        return _check_calls(entry, answer, result, mode, self._model)


def wrong(reason: str, detail: str = "") -> Verdict:
    """A verdict against the model."""
    return {"valid": False, "reason": reason, "detail": detail[:500]}


def _of(outcome: dict[str, Any]) -> Verdict:
    if outcome["valid"]:
        return RIGHT
    return wrong(outcome["error_type"], str(outcome.get("error_message") or outcome.get("error") or ""))


def _check_calls(entry: Entry, answer: Any, result: Any, mode: Mode, model: str) -> Verdict:
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
    from bfcl_eval.utils import is_function_calling_format_output

    category = category_of(entry["id"])
    language = {"simple_java": Language.JAVA, "simple_javascript": Language.JAVASCRIPT}.get(category, Language.PYTHON)
    returned, tagged = language.value, False
    if category == FORMAT_SENSITIVITY:
        returned, tagged = varied_format(entry["id"])
        category = entry["id"].split(":")[-1]  # the source's id names what is parallel or multiple
    try:
        calls = decode_calls(result, mode, returned, tagged)
    except Refused:
        raise
    except Exception as error:
        return wrong("ast_decoder:decoder_failed", str(error))
    if not is_function_calling_format_output(calls):
        return wrong("ast_decoder:decoder_wrong_output_format")
    return _of(ast_checker(entry["function"], calls, answer, language, category, model))


def varied_format(entry_id: str) -> tuple[str, bool]:
    """The format that a variation asks for, and whether it asks for tags."""
    from bfcl_eval.model_handler.utils import parse_prompt_variation_params

    returned, tagged, *_ = parse_prompt_variation_params(entry_id.split(":")[1])
    return returned, tagged


def _check_relevance(category: str, result: Any, mode: Mode) -> Verdict:
    from bfcl_eval.utils import is_empty_output

    try:
        called = not is_empty_output(decode_calls(result, mode))
    except Refused:
        raise
    except Exception:
        called = False
    if category in IRRELEVANCE:
        return wrong("irrelevance_error:decoder_success") if called else RIGHT
    return RIGHT if called else wrong("relevance_error:decoder_failed")


def _check_answer(possible: list[str], result: Any, mode: Mode) -> Verdict:
    """The last message of the conversation that is no call must hold a possible answer."""
    from bfcl_eval.eval_checker.agentic_eval.agentic_checker import agentic_checker

    if not isinstance(result, list) or len(result) != 1:
        return wrong("agentic:inference_error")
    last = None
    for step in result[0]:
        if not _steps(step, mode):
            last = step
    if not last:
        return wrong("agentic:no_last_message")
    return _of(agentic_checker(last, possible))


def _check_turns(entry: Entry, answer: list[list[str]], result: Any, mode: Mode, model: str) -> Verdict:
    """Replay calls turn by turn beside the right ones; states and what came back must agree."""
    from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker import multi_turn_checker

    if not isinstance(result, list):
        return wrong("multi_turn:inference_error")
    if len(result) != len(answer):
        return wrong("multi_turn:force_terminated", f"{len(result)} of {len(answer)} turns")
    turns = [[calls for step in turn if (calls := _steps(step, mode))] for turn in result]
    methods = methods_of(entry["involved_classes"])
    present = present_names()
    for call in (call for turn in turns for step in turn for call in step):
        vet_call(call, methods, present)
    return _of(multi_turn_checker(turns, answer, entry, category_of(entry["id"]), model))


def _steps(step: Any, mode: Mode) -> list[str]:
    """A step's calls; empty where there is none or it cannot be read."""
    from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_utils import is_empty_execute_response

    try:
        calls = decode_steps(step, mode)
        return [] if is_empty_execute_response(calls) else calls
    except Refused:
        raise
    except Exception:
        return []
