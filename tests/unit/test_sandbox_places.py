"""The sandbox's folders say who runs what, and what a caller's code can reach is no part of the server."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mentor_sandbox

PACKAGE = Path(mentor_sandbox.__file__).parent
WHO = {
    "": ("Server.",),
    "surface": ("Server.",),
    "supervise": ("Server.",),
    "zygote": ("Zygote.", "Zygote, for the child."),
    "inside": ("Child.", "Zygote, then child."),
    "walls": ("Server.", "Zygote and child.", "Server, zygote and child."),
    "wire": ("Server and zygote.", "Server and child."),
}
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if not path.name.startswith("__"))
INSIDE = [path.removesuffix(".py").replace("/", ".") for path in MODULES if path.startswith(("inside/", "zygote/"))]


@pytest.mark.parametrize("path", MODULES)
def test_a_modules_first_words_say_who_runs_it(path: str) -> None:
    folder = path.split("/")[0] if "/" in path else ""
    said = ast.get_docstring(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))) or ""
    assert said.startswith(WHO[folder]), f"{path} begins with none of {WHO[folder]}: {said[:60]!r}"


@pytest.mark.parametrize("folder", [name for name in WHO if name])
def test_a_folder_says_what_it_may_believe(folder: str) -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "believe" in said


def test_what_runs_inside_stands_on_the_standard_library_alone() -> None:
    """In an interpreter without packages: neither ours beside this one nor anybody's are there to be imported."""
    code = f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n" + "".join(
        f"import mentor_sandbox.{module}\n" for module in INSIDE
    )
    code += "import sys; print(*(m for m in sys.modules if m.startswith('mentor_sandbox.')))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    places = {module.split(".")[1] for module in done.stdout.split()}
    assert places == {"inside", "zygote", "walls", "wire"}
