"""Entries and possible answers of every category, read from the files of the installed package without importing it.

The dictionaries have the very shape that the package's own loader gives them (a test compares all of them): ids of backends
in place, functions of simulators filled in, those held back for a later turn moved aside, notes on languages added.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from mentor_evaluator.bfcl.categories import (
    FORMAT_SENSITIVITY,
    MEMORY,
    WEB_SEARCH,
    category_of,
    is_multi_step,
    package_root,
)
from mentor_evaluator.bfcl.hints import add_hints

Entry = dict[str, Any]

SCENARIOS = ("student", "customer", "finance", "healthcare", "notetaker")
_DOCS = {
    "GorillaFileSystem": "gorilla_file_system", "MathAPI": "math_api", "MessageAPI": "message_api", "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api", "TradingBot": "trading_bot", "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control", "WebSearchAPI": "web_search", "MemoryAPI_kv": "memory_kv",
    "MemoryAPI_vector": "memory_vector", "MemoryAPI_rec_sum": "memory_rec_sum",
}  # fmt: skip
AGENTIC_SYSTEM = (
    "For your final answer to the user, you must respond in this format: {'answer': A short and precise answer to the "
    "question, 'context': A brief explanation of how you arrived at this answer or why it is correct}. If you do not know "
    "the answer, respond with {'answer': 'I do not know', 'context': 'I do not know'}. If you think the question cannot be "
    "properly answered, response with {'answer': 'I cannot answer this question', 'context': A short reason explaining why "
    "this question cannot be answered}.\n"
)


def load_entries(category: str, *, prerequisites: bool = False, hints: bool = True) -> list[Entry]:
    """The entries of a category, in the official order; callers may change them.

    Args:
        prerequisites: with the conversations that fill a memory, before the questions about it.
        hints: with the notes on language in the functions' descriptions, as models see them; checkers take them without.

    Raises:
        UserError: the package is not installed.
    """
    if category == FORMAT_SENSITIVITY:
        entries = _format_sensitivity()
    elif category in WEB_SEARCH:
        entries = [_renamed(entry, "web_search", category) for entry in _read("BFCL_v4_web_search.json")]
    elif category in MEMORY:
        entries = _memory(category, prerequisites)
    else:
        entries = _read(f"BFCL_v4_{category}.json")
    for entry in entries:
        _ask_for_format(entry)
        _fill_functions(entry)
        if hints:
            add_hints(entry["function"], category)
    return entries


def load_answers(category: str) -> dict[str, Any]:
    """Possible answers by entry id; empty for irrelevance and relevance, which have none."""
    if "relevance" in category:
        return {}
    if category == FORMAT_SENSITIVITY:
        sources = {source for ids in _sensitivity_ids().values() for source in ids}
        known = {k: v for name in _sensitivity_ids() for k, v in load_answers(name).items() if k in sources}
        return {entry["id"]: known[entry["id"].split(":")[2]] for entry in _format_sensitivity()}
    if category in (*MEMORY, *WEB_SEARCH):
        family = "memory" if category in MEMORY else "web_search"
        rows = _read(f"possible_answer/BFCL_v4_{family}.json")
        return {row["id"].replace(family, category): row["ground_truth"] for row in rows}
    return {row["id"]: row["ground_truth"] for row in _read(f"possible_answer/BFCL_v4_{category}.json")}


def format_configs() -> list[str]:
    """The 26 variations of the system prompt, by their official names."""
    name = "ret_fmt={}&tool_call_tag={}&func_doc_fmt={}&prompt_fmt={}&style={}"
    grid = [
        name.format(result, tag, doc, "plaintext", "classic")
        for result in ("python", "json", "verbose_xml", "concise_xml")
        for tag in ("True", "False")
        for doc in ("python", "xml", "json")
    ]
    plain = ("python", "False", "json")
    return [*grid, name.format(*plain, "markdown", "classic"), name.format(*plain, "plaintext", "experimental")]


@cache
def _text(name: str) -> tuple[str, ...]:
    return tuple((package_root() / "data" / name).read_text(encoding="utf-8").splitlines())


def _read(name: str) -> list[Entry]:
    return [json.loads(line) for line in _text(name)]


def _renamed(entry: Entry, family: str, category: str) -> Entry:
    return entry | {"id": entry["id"].replace(family, category)}


def _memory(category: str, prerequisites: bool) -> list[Entry]:
    backend = [f"MemoryAPI_{category.removeprefix('memory_')}"]
    questions = [_renamed(entry, "memory", category) for entry in _read("BFCL_v4_memory.json")]
    first: list[Entry] = []
    for scenario in SCENARIOS:
        chain: list[str] = []
        written = []
        for row in _read(str(Path("memory_prereq_conversation") / f"memory_{scenario}.json")):
            entry = _renamed(row, "memory", category) | {"depends_on": list(chain), "involved_classes": list(backend)}
            chain.append(entry["id"])
            written.append(entry)
        first = [*written, *first]  # the official loader puts each scenario before those that it has read
        for entry in questions:
            if entry["scenario"] == scenario:
                entry |= {"depends_on": list(chain), "involved_classes": list(backend)}
    return [*first, *questions] if prerequisites else questions


def _ask_for_format(entry: Entry) -> None:
    if category_of(entry["id"]) in (*MEMORY, *WEB_SEARCH) and "prereq" not in entry["id"]:
        entry["question"][0].insert(0, {"role": "system", "content": AGENTIC_SYSTEM})


def _fill_functions(entry: Entry) -> None:
    """Simulators' functions; what ``missed_function`` names is taken out and kept under the turn that brings it back."""
    if not is_multi_step(category_of(entry["id"])):
        return
    entry["function"] = [doc for name in entry["involved_classes"] for doc in _read(_doc_file(name))]
    for turn, names in entry.get("missed_function", {}).items():
        entry["missed_function"][turn] = [doc for name in names for doc in _take(entry["function"], name)]


def _doc_file(class_name: str) -> str:
    return str(Path("multi_turn_func_doc") / f"{_DOCS[class_name]}.json")


def _take(functions: list[Entry], name: str) -> list[Entry]:
    place = next((n for n, doc in enumerate(functions) if doc["name"] == name), None)
    return [] if place is None else [functions.pop(place)]


@cache
def _sensitivity_ids() -> dict[str, list[str]]:
    ids: dict[str, list[str]] = json.loads("\n".join(_text("BFCL_v4_format_sensitivity.json")))
    return {category: wanted for category, wanted in ids.items() if wanted}


def _format_sensitivity() -> list[Entry]:
    """Every chosen entry under every variation. Their functions carry the note on language already (the official loader's
    own doing: models see it twice)."""
    chosen = [entry for category, ids in _sensitivity_ids().items() for entry in _chosen(category, set(ids))]
    texts = [(entry["id"], json.dumps(entry)) for entry in chosen]  # reading text again is the quickest copy
    varied = ((source, text, config) for source, text in texts for config in format_configs())
    return [
        json.loads(text) | {"id": f"{FORMAT_SENSITIVITY}_{number}:{config}:{source}"}
        for number, (source, text, config) in enumerate(varied)
    ]


def _chosen(category: str, ids: set[str]) -> Iterable[Entry]:
    return (entry for entry in load_entries(category) if entry["id"] in ids)
