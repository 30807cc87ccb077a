"""The library's source files that a metric or an app needs, laid out beside it, so that it runs without an installed evenhand.

`evaluate` fetches from a Space the metric's script and the files that the script itself imports relatively, and nothing
deeper. So whoever loads the metric from the Hub needs no installed evenhand when its library files lie beside it, import
one another relatively, and are all named in the script. An app is a folder that Python runs in, and keeps the library's
own layout, ``evenhand/evaluation/seat.py``, with nothing changed in the files.
"""

from __future__ import annotations

import ast
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "evenhand.evaluation"
# What an app may bring along; its own package is a part of the second.
PACKAGES = ("evenhand.evaluation", "evenhand.model_cards")


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


def package_sources(script: Path) -> dict[str, str]:
    """Texts by path (``evenhand/evaluation/seat.py``): every library file that ``script`` imports, directly or through others.

    The files are as they are; the packages' own ``__init__.py`` are left out, as they import what an app does not need,
    so a name must be imported from the file that holds it.

    Raises:
        ValueError: an import of a package instead of a file, or from a part of the library that cannot come along.
    """
    sources: dict[str, str] = {}
    pending = sorted(_imported_files(script.read_text(encoding="utf-8"), script.name))
    while pending:
        module = pending.pop()
        path = f"{module.replace('.', '/')}.py"
        if path in sources:
            continue
        package, _, name = module.rpartition(".")
        sources[path] = Path(str(files(package))).joinpath(f"{name}.py").read_text(encoding="utf-8")
        pending += sorted(_imported_files(sources[path], path))
    return dict(sorted(sources.items()))


def _imported_files(source: str, file: str) -> set[str]:
    """Names of the library's files that ``source`` imports when it runs, ``evenhand.evaluation.seat``."""
    tree = ast.parse(source)
    # What only a type checker reads is not needed.
    unread = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    modules = set()
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            # `from PACKAGE import FILE` names a file too
            package, known = node.module, _is_package(node.module)
            names = [f"{package}.{alias.name}" for alias in node.names] if known else [package]
        for name in names:
            if name.split(".")[0] != "evenhand":
                continue
            if not name.startswith(tuple(f"{package}." for package in PACKAGES)):
                raise ValueError(
                    f"{file}, line {node.lineno}: {name} is outside {' and '.join(PACKAGES)} and cannot come along"
                )
            if not _is_file(name):
                raise ValueError(f"{file}, line {node.lineno}: import {name} from the file that holds it")
            modules.add(name)
    return modules


def _is_package(name: str | None) -> bool:
    if (name or "").split(".")[0] != "evenhand":
        return False
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def _is_file(name: str) -> bool:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.submodule_search_locations is None


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
