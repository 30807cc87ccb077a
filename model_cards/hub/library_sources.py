"""The library's source files that a metric needs, laid out flat beside it.

`evaluate` fetches from a Space the metric's script and the files that the script itself imports relatively, and nothing
deeper. So whoever loads the metric from the Hub needs no installed evenhand when its library files lie beside it, import
one another relatively, and are all named in the script.
"""

from __future__ import annotations

import ast
import sys
from importlib.resources import files
from pathlib import Path

LIBRARY = "evenhand.evaluation"


def flat_sources(script: Path) -> dict[str, str]:
    """Texts by file name: ``script`` and every library file that it imports, directly or through others.

    Only the lines that import from `LIBRARY` are changed, and the script names the files that others import.

    Raises:
        ValueError: an import that cannot be made relative, or a file whose name is taken by the script or by Python.
    """
    library = Path(str(files(LIBRARY)))
    main, direct = relative_imports(script.read_text(encoding="utf-8"), script.name)
    sources: dict[str, str] = {}
    pending = sorted(direct)
    while pending:
        module = pending.pop()
        file = f"{module}.py"
        if file in sources:
            continue
        if file == script.name or module in sys.stdlib_module_names:
            raise ValueError(f"{script.name} needs {LIBRARY}.{module}, whose name is taken; rename the library's file")
        sources[file], needed = relative_imports((library / file).read_text(encoding="utf-8"), file)
        pending.extend(sorted(needed))
    indirect = sorted({Path(file).stem for file in sources} - direct)
    return {script.name: _naming(main, indirect), **dict(sorted(sources.items()))}


def relative_imports(source: str, file: str) -> tuple[str, set[str]]:
    """``source`` with its imports from the library made relative, and the names of the library's files it imports."""
    lines = source.splitlines(keepends=True)
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "evenhand" for alias in node.names):
            raise ValueError(f"{file}, line {node.lineno}: write 'from {LIBRARY}.NAME import …' instead of 'import …'")
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "evenhand":
            continue
        if node.module != LIBRARY and not node.module.startswith(f"{LIBRARY}."):
            raise ValueError(f"{file}, line {node.lineno}: {node.module} is outside {LIBRARY} and cannot come along")
        name = node.module.removeprefix(LIBRARY).removeprefix(".")
        modules.update([name] if name else [alias.name for alias in node.names])
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line.replace(f"from {node.module} import", f"from .{name} import", 1)
    return "".join(lines), modules


def _naming(script: str, modules: list[str]) -> str:
    """``script`` with one import of each of ``modules`` after its own imports, in the form that `evaluate` looks for."""
    if not modules:
        return script
    # No comment may follow on such a line: evaluate's scanner reads it as an address to download.
    named = [f"from .{module} import __name__ as _{module}\n" for module in modules]
    lines = script.splitlines(keepends=True)
    top = [node for node in ast.parse(script).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    end = top[-1].end_lineno
    note = "# Files that those above import: evaluate fetches only what this one names.\n"
    return "".join([*lines[:end], "\n", note, *named, *lines[end:]])
