"""How signals are connected, which decides what happens when the dock opens."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])


def slots(tree: ast.AST) -> Iterator[ast.expr]:
    """Return all that signals are connected to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "connect":
            yield from (*node.args, *(keyword.value for keyword in node.keywords))


def bound_emits(tree: ast.AST) -> list[int]:
    """Return the lines that connect a signal to the bound `emit` of another one."""
    return [
        slot.lineno
        for slot in slots(tree)
        if isinstance(slot, ast.Attribute) and slot.attr == "emit"
    ]


def test_no_signal_is_connected_to_the_bound_emit_of_another():
    """psygnal calls such an `emit` once when it is connected."""
    wrong = [
        (path.relative_to(ROOT).as_posix(), line)
        for path in FILES
        for line in bound_emits(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("button.clicked.connect(self.undo_wanted.emit)", 1),
        ("button.clicked.connect(slot=signal.emit)", 1),
        ("button.clicked.connect(lambda: self.undo_wanted.emit())", 0),
        ("button.clicked.connect(self._on_undo_clicked)", 0),
    ],
)
def test_guard_sees_a_bound_emit(source, count):
    assert len(bound_emits(ast.parse(source))) == count
