"""The commands that the documents show exist, and those of the README and the quick start work."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.documents import DOCUMENTS, ROOT, blocks, code_spans
from tests.http_server import Reply, http_server

# The list of changes also names what is no longer there.
CURRENT = [document for document in DOCUMENTS if document.name != "CHANGELOG.md"]

BIN = Path(sys.executable).parent
SHELL = ("sh", "shell", "bash", "console")
COMMANDS = {
    "demandbase": "demandbase_cli.commands:demandbase",
    "demandbase-sandbox": "demandbase_sandbox.cli:main",
    "meltano": "meltano.cli.cli:cli",
    "tap-demandbase": "tap_demandbase.tap:CommandTap.cli",
    "target-demandbase": "target_demandbase.target:TargetDemandbase.cli",
}
"""Where the commands are defined: imported when needed, since Meltano takes a second."""
HERE_DOCUMENT = re.compile(r"<<-?'?(\w+)'?.*?\n.*?^\1$", re.MULTILINE | re.DOTALL)
SEPARATORS = {"|", "||", "&", "&&", ";", "(", ")"}


def simple_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a shell script, without what precedes its program."""
    text = HERE_DOCUMENT.sub("", text).replace("\\\n", " ")
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in SEPARATORS:
                yield words
                words = []
            elif words or not re.match(r"\w+=", word):
                words.append(word)


def check_script(text: str) -> None:
    """Check all commands of a shell script."""
    for words in simple_commands(text):
        check(words)


def check(words: list[str]) -> None:
    """Fail if a command of ours or of Meltano has no such subcommand or option."""
    name = Path(words[0]).name if words else ""
    if name == "make":
        goals = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert all("=" in word or word in goals for word in words[1:]), words
    elif name in COMMANDS:
        own = words[1:]
        if name == "meltano":
            own, of_plugin = parted(own)
            check(of_plugin)
        check_options(pkgutil.resolve_name(COMMANDS[name]), own)


def check_options(command: click.Command, words: list[str]) -> None:
    remaining = iter(words)
    for word in remaining:
        if word in {">", ">>", "<", "2>"}:
            return
        if word == "--":
            check(list(remaining))
        elif word.startswith("-") and word != "-":
            option = option_of(command, word.partition("=")[0])
            if not (option.is_flag or option.count or "=" in word):
                next(remaining, None)
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z][\w-]*", word):
            found = command.get_command(click.Context(command), word)
            assert found, f"{command.name} has no command {word}"
            command = found


def option_of(command: click.Command, name: str) -> click.Option:
    if name == "--help":
        return click.Option([name], is_flag=True)
    for parameter in getattr(command, "default", command).params:
        if name in {*parameter.opts, *parameter.secondary_opts}:
            assert isinstance(parameter, click.Option)
            return parameter
    raise AssertionError(f"{command.name} has no option {name}")


@cache
def declared_plugins() -> dict[str, Any]:
    declared = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))["plugins"]
    return {plugin["name"]: plugin for kind in declared.values() for plugin in kind}


def parted(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of Meltano, and those of the command ``demandbase`` that it runs."""
    plugins = declared_plugins()
    for place, word in enumerate(words):
        name, colon, command = word.partition(":")
        if colon and name in plugins:
            assert command in plugins[name]["commands"], word
            return words[:place], ["demandbase", command, *words[place + 1 :]]
    return words, []


@pytest.mark.thorough
@pytest.mark.parametrize("document", CURRENT, ids=lambda path: path.name)
def test_the_commands_of_the_documents_exist(document: Path) -> None:
    for block in blocks(document, *SHELL):
        check_script(block.text)
    for span in code_spans(document):
        # A description of the options: demandbase jobs [--exports] [--since 2d]
        text = re.sub(r"[\[\]…]", " ", span)
        if text.split(" ")[0] in {*COMMANDS, "make"} and "'" not in text:
            check_script(text)


@pytest.mark.parametrize(
    "line",
    [
        "tap-demandbase --config=ENV --discovery > catalog.json",
        "demandbase job --unknown ID",
        "demandbase jobz",
        "A=b demandbase-sandbox run --api uapi -- .venv/bin/target-demandbase --tests",
        "cat FILE | meltano invoke tap-demandbase:jobz",
        "meltano invoke tap-demandbase:jobs --sinc 2d",
        "meltano config test | meltano --log-levels=debug run",
        "make tests",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        check_script(line)


SANDBOX = (str(BIN / "demandbase-sandbox"), "run", "--api")
CREDENTIALS = {"v1": ["ACCESS_TOKEN"], "uapi": ["CLIENT_ID", "CLIENT_SECRET"]}
START = """
set -euo pipefail
for name in {names}; do
  variable=TAP_DEMANDBASE_$name
  export $name=${{!variable}}
  unset TAP_DEMANDBASE_$name TARGET_DEMANDBASE_$name
done
unset TAP_DEMANDBASE_API TARGET_DEMANDBASE_API name variable
"""
"""Gives the credentials of the sandbox the names that they have in the documents."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "singer-demandbase"
    git = shutil.which("git")
    assert git
    subprocess.run([git, "clone", "--quiet", ROOT, folder], check=True, capture_output=True)
    return folder


def script(document: Path, api: str) -> str:
    """Return the shell blocks of a document as they stand, without those for the other API.

    The paragraph before such a block ends with the API: ``With an access token (`v1`):``.
    """
    [other] = CREDENTIALS.keys() - {api}
    return "".join(
        f"# {document.name}, line {block.line}\n{block.text}"
        for block in blocks(document, *SHELL)
        if not block.text.startswith("make ") and not block.before.endswith(f"(`{other}`):")
    )


def pip_script(readme: Path, api: str) -> str:
    """Return the README's blocks for pip, without those for Meltano and the sandbox."""
    sections = re.split(r"^(?=# README.md, line )", script(readme, api), flags=re.MULTILINE)
    return "".join(text for text in sections if not re.search(r"meltano|sandbox]", text))


def run_as_user(folder: Path, home: Path, *command: str, **extra: str) -> str:
    """Run a command as a user who has only git, make and Python."""
    own = ("DEMANDBASE_", "MELTANO_", "TAP_", "TARGET_", "PYTHON", "VIRTUAL_ENV", "XDG_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    home.mkdir()
    user = Path.home()
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **inherited,
            "HOME": str(home),
            "PATH": f"{sys.base_prefix}/bin{os.pathsep}{os.defpath}",
            # Where packages come from, and those that were downloaded before.
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(user / ".config")),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(user / ".cache")),
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
            **extra,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def hub() -> Iterator[str]:
    """Stands in for Meltano Hub, which has one loader; yields its address."""
    definition = {
        "name": "target-jsonl",
        "namespace": "target_jsonl",
        "variant": "andyh1203",
        "pip_url": "target-jsonl==0.1.4",
        "settings": [{"name": "destination_path", "kind": "string", "value": "output"}],
    }
    with http_server({"/plugins/loaders/one": Reply.json(definition)}) as server:
        variants = {"andyh1203": {"ref": f"{server.url}/plugins/loaders/one"}}
        plugin = {"default_variant": "andyh1203", "logo_url": "", "variants": variants}
        server.replies["/plugins/loaders/index"] = Reply.json({"target-jsonl": plugin})
        yield server.url


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "api"),
    [("README.md", "v1"), ("README.md", "uapi"), ("docs/quick-start.md", "uapi")],
)
def test_the_blocks_work_as_they_stand(
    clone: Path, tmp_path: Path, hub: str, document: str, api: str
) -> None:
    start = START.format(names=" ".join(CREDENTIALS[api]))
    text = script(clone / document, api)
    command = (*SANDBOX, api, "--", "bash", "-c", f"{start}{text}")
    run_as_user(clone, tmp_path / "home", *command, MELTANO_HUB_API_ROOT=hub)


NIGHT = """
test "$(cat accounts-*.jsonl | wc -l)" -ge 200
test "$(stat -c %a credentials.env)" = 600
sed -i -E 's/(TOKEN|SECRET)=.*/\\1=wrong/' credentials.env
cp state.json before.json
! ./nightly.sh > mail.txt
grep 'exit code 1' mail.txt
grep 'CRITICAL.*did not accept' mail.txt
cmp state.json before.json
"""
"""The accounts are there; a night with wrong credentials says so and keeps the state."""


@pytest.mark.slow
@pytest.mark.parametrize("api", ["v1", "uapi"])
def test_the_script_for_cron_works(clone: Path, tmp_path: Path, api: str) -> None:
    start = START.format(names=" ".join(CREDENTIALS[api]))
    text = pip_script(clone / "README.md", api) + script(clone / "docs" / "cron.md", api)
    command = (*SANDBOX, api, "--", "bash", "-c", f"{start}{text}{NIGHT}")
    run_as_user(clone, tmp_path / "home", *command)


ARRIVED = """
test "$(cat output/accounts*.jsonl | wc -l)" -gt 200
test "$(wc -l < "$(ls rejects/dry-run-*/0001-people.csv)")" = 3
meltano invoke target-demandbase:jobs --imports --json > jobs.json
python -c '
import json
[job] = json.load(open("jobs.json"))  # the dry run has sent nothing
assert job["status"] == "completed", job
'
"""
"""The accounts have arrived in files, and two people in Demandbase, once."""


@pytest.mark.slow
@pytest.mark.timeout(1800)  # some forty commands of Meltano
@pytest.mark.parametrize("api", ["v1", "uapi"])
def test_a_meltano_project_works_in_both_directions(
    clone: Path, tmp_path: Path, hub: str, api: str
) -> None:
    start = START.format(names=" ".join(CREDENTIALS[api]))
    text = script(clone / "docs" / "meltano.md", api)
    command = (*SANDBOX, api, "--", "bash", "-c", f"{start}{text}{ARRIVED}")
    run_as_user(clone, tmp_path / "home", *command, MELTANO_HUB_API_ROOT=hub)


@pytest.mark.slow
def test_the_demo_works_in_a_fresh_clone(clone: Path, tmp_path: Path) -> None:
    made = [block.text for block in blocks(clone / "README.md", *SHELL) if "make " in block.text]
    assert {*map(str.strip, made)} == {"make demo", "make test"}
    run_as_user(clone, tmp_path / "home", "make", "demo")
