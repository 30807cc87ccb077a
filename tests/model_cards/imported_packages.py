"""What the Python files of a Space import, and what its requirements.txt names."""

import ast
import sys

PACKAGES = {"yaml": "pyyaml"}


def imported_packages(folder):
    """Names on the package index of what the files below ``folder`` import absolutely; gradio comes with the Space's SDK."""
    imported = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    return {PACKAGES.get(module, module) for module in imported - set(sys.stdlib_module_names)} - {"gradio"}


def required_packages(folder):
    """The packages that requirements.txt names."""
    return {line.split(">=")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
