"""Import the package's decoders and checkers without its 45 provider SDKs.

Its checker looks a model up in ``constants.model_config``, whose import loads every provider's handler, for one fact: whether
the model was shown ``a.b`` as ``a_b``. A stand-in that holds this fact under two names takes that module's place.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

DOTTED = "dotted"
"""Name of a model that was shown functions' names as they are."""
UNDERSCORED = "underscored"
"""Name of a model that was shown ``a_b`` for ``a.b``, as OpenAI's rules for names ask."""


def prepare(root: Path) -> None:
    """Make the package importable. It creates folders below ``root`` when it is imported."""
    os.environ["BFCL_PROJECT_ROOT"] = str(root)
    stand_in = ModuleType("bfcl_eval.constants.model_config")
    models = {name: SimpleNamespace(underscore_to_dot=name == UNDERSCORED) for name in (DOTTED, UNDERSCORED)}
    stand_in.MODEL_CONFIG_MAPPING = models  # type: ignore[attr-defined]
    sys.modules[stand_in.__name__] = stand_in


def preload() -> None:
    """Import what reading and checking single requests takes, once, in the process that others are forked from."""
    from bfcl_eval.eval_checker.agentic_eval import agentic_checker  # noqa: F401
    from bfcl_eval.eval_checker.ast_eval import ast_checker  # noqa: F401
    from bfcl_eval.model_handler import utils  # noqa: F401


def preload_simulators() -> None:
    """Import what conversations take besides. ``_strptime`` is what ``datetime.strptime`` would import at its first use."""
    from bfcl_eval.constants.executable_backend_config import CLASS_FILE_PATH_MAPPING
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker  # noqa: F401

    import_module("_strptime")
    for name, module in CLASS_FILE_PATH_MAPPING.items():
        if not name.startswith(("Memory", "WebSearch")):
            import_module(module)
