"""Carries out a Dockerfile without Docker, and runs commands as a pod does.

Absolute paths of the image are below a folder. The base image is the system's Python, so files of
other images than the Dockerfile's own stages are not there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PATH = "/usr/local/bin:/usr/bin:/bin"
_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
_READ_ONLY = 'mount --bind "$0" /tmp && mount -o remount,bind,ro / && exec "$@"'


@dataclass
class Image:
    """The files and settings of a stage.

    Args:
        root: Has the files, at the same path for all stages while they are built.
        environment: Variables that the Dockerfile sets.
        folder: The working folder in the image.
        user: User and group.
        command: What it runs by default.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)

    def path(self, path: str) -> Path:
        """Return where a file of the image is."""
        return self.root / os.path.join(self.folder, path).lstrip("/")  # noqa: PTH118

    def copy(self, arguments: list[str], source: Path) -> None:
        """Carry out COPY: files go into a folder, and of a folder its content."""
        *names, into = arguments
        target = self.path(into)
        for name in names:
            file = source / name.lstrip("/")
            if file.is_dir():
                shutil.copytree(file, target, symlinks=True, dirs_exist_ok=True)
            else:
                place = target / file.name if into.endswith("/") else target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, place)

    def run(self, line: str) -> None:
        """Carry out RUN with the system's Python."""
        line = re.sub(r"(?<![^\s=:])/(?=\w)", f"{self.root}/", line)
        own = ("PYTHON", "VIRTUAL_ENV")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        path = f"{python_folder()}{os.pathsep}{_PATH}"
        done = subprocess.run(
            ["/bin/sh", "-ec", line], cwd=self.path("."), env={**inherited, "PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    def pod(self, scratch: Path, environment: Mapping[str, str], *command: str) -> list[str]:
        """Return the command line that runs a command as a pod does.

        It has only the variables of the image and those given, and nothing else. If the system
        lets the tests do so, it is process 1 of its own, the file system is read-only but for a
        scratch folder, and it has the user of the image.

        Args:
            scratch: Mounted at ``/tmp``, or else the temporary folder.
            environment: Variables that the pod sets.
            command: The command.
        """
        path = self.environment["PATH"].replace("$PATH", _PATH)
        path = os.pathsep.join(f"{self.root}{part}:{part}" for part in path.split(os.pathsep))
        variables = {**environment, "PATH": path}
        prefix: list[str] = []
        if os.geteuid() == 0:
            user, _, group = self.user.partition(":")
            prefix = [
                "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups",
                "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
            ]  # fmt: skip
            scratch.chmod(0o777)
        if has_namespaces():
            prefix = [*_NAMESPACE, "sh", "-c", _READ_ONLY, str(scratch), *prefix]
        else:
            variables["TMPDIR"] = str(scratch)
        settings = [f"{name}={value}" for name, value in variables.items()]
        return [*prefix, "env", "-i", f"--chdir={self.folder}", *settings, *command]


def python_folder() -> Path:
    """Return the folder of a Python that the user of the image may run."""
    own = Path(sys.base_prefix) / "bin"
    others = [Path(folder) for folder in _PATH.split(os.pathsep)]
    for folder in (own, *others):
        is_open = all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))
        if is_open and (folder / "python3").exists():
            return folder
    raise AssertionError("No Python is open to all users")


def has_namespaces() -> bool:
    """Return whether the tests may mount file systems."""
    done = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False)
    return os.geteuid() == 0 and done.returncode == 0


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile and their arguments."""
    lines = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        instruction, _, arguments = line.partition(" ")
        yield instruction, arguments.strip()


def build(dockerfile: Path, context: Path, root: Path) -> Image:
    """Carry out a Dockerfile; return its last stage.

    Args:
        dockerfile: The Dockerfile.
        context: Folder that COPY takes files from.
        root: Path for the image's files, which must not exist. Its user must be able to read them.
    """
    stages: dict[str, Path] = {}
    image = Image(root)
    name = ""
    for instruction, arguments in instructions(dockerfile.read_text(encoding="utf-8")):
        if instruction == "FROM":
            if name:
                stages[name] = root.rename(root.with_name(f"{root.name}-{name}"))
            base, _, name = arguments.partition(" AS ")
            assert base == "python:${PYTHON_VERSION}-slim"
            root.mkdir(parents=True)
            image = Image(root)
        else:
            carry_out(image, instruction, arguments, context, stages)
    return image


def carry_out(
    image: Image, instruction: str, arguments: str, context: Path, stages: Mapping[str, Path]
) -> None:
    match instruction:
        case "ARG":
            assert arguments.startswith("PYTHON_VERSION=")
        case "WORKDIR":
            image.folder = arguments
            image.path(".").mkdir(parents=True)
        case "COPY":
            words = shlex.split(arguments)
            is_staged = words[0].startswith("--from=")
            image.copy(
                words, stages[words.pop(0).removeprefix("--from=")] if is_staged else context
            )
        case "RUN":
            image.run(arguments)
        case "ENV":
            variable, _, value = arguments.partition("=")
            image.environment[variable] = value
        case "USER":
            image.user = arguments
        case "CMD":
            image.command = json.loads(arguments)
        case _:
            raise AssertionError(f"{instruction} is not known here")
