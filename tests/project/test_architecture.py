from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "demandbase_api": {"demandbase_api"},
    "demandbase_sandbox": {"demandbase_sandbox"},
    "tap_demandbase": {"tap_demandbase", "demandbase_api"},
    "target_demandbase": {"target_demandbase", "demandbase_api"},
}


def imported_packages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert imported_packages(file) & ROOMS.keys() <= ROOMS[room], file.name


def test_the_api_room_knows_nothing_of_singer() -> None:
    for file in (ROOT / "demandbase_api").rglob("*.py"):
        assert "singer_sdk" not in imported_packages(file), file.name


@pytest.mark.parametrize("room", ROOMS)
def test_files_stay_short(room: str) -> None:
    for file in (ROOT / room).rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 320, file.name
