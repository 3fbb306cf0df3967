"""Installs the loaders and the file tap once, for runs that may be concurrent."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLUGIN_FOLDERS = ("extractors", "loaders")


def project_files(root: Path) -> list[Path]:
    """Return the files of the Meltano project: ``meltano.yml`` and the constraints."""
    return [root / "meltano.yml", *sorted(root.glob("constraints-*.txt"))]


@contextmanager
def installed(root: Path, install: Callable[[], object]) -> Iterator[bool]:
    """Keep the plugins of a project installed; yield whether they already were.

    Args:
        root: Folder of the project.
        install: Installs the plugins and replaces what is there.
    """
    home = root / ".meltano"
    home.mkdir(exist_ok=True)
    # Users of the plugins share the lock, so that no other process replaces the plugins meanwhile.
    with (home / "shared-install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        there = _is_done(root)
        while not _is_done(root):
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_done(root):
                _done(root).unlink(missing_ok=True)
                install()
                _done(root).write_text(_digest(root), encoding="utf-8")
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield there


def share_plugins(root: Path, folder: Path) -> None:
    """Let a copy of the project use the plugins that are installed for the first."""
    home = folder / ".meltano"
    home.mkdir()
    for name in PLUGIN_FOLDERS:
        (home / name).symlink_to(root / ".meltano" / name, target_is_directory=True)


def copy_project(root: Path, folder: Path) -> None:
    """Copy the files of the project into a folder."""
    for file in project_files(root):
        shutil.copy(file, folder)


def _done(root: Path) -> Path:
    return root / ".meltano" / "shared-install.sha256"


def _is_done(root: Path) -> bool:
    done = _done(root)
    return done.is_file() and done.read_text(encoding="utf-8") == _digest(root)


def _digest(root: Path) -> str:
    """Return a digest of the project's files and its folder, to compare with what is installed."""
    digest = hashlib.sha256(str(root.resolve()).encode())
    for file in project_files(root):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
