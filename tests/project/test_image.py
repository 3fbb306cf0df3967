"""The image and the CronJob of deploy/, without Docker and Kubernetes; see tests/image.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.image import Image, build, has_namespaces
from tests.s3_server import S3Server, s3_server
from tests.tap.command import until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UV = str(Path(sys.executable).with_name("uv"))
REQUIREMENTS = sorted((DEPLOY / "docker").glob("requirements*.txt"))
PIPE = DEPLOY / "docker" / "singer_pipe.py"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
MANIFEST = DEPLOY / "kubernetes" / "cronjob.yaml"
RESOURCES = {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}
JOB = RESOURCES["CronJob"]["spec"]["jobTemplate"]["spec"]
POD = JOB["template"]["spec"]
[CONTAINER] = POD["containers"]
NAME = CONTAINER["args"][1]
BUCKET = "my-bucket"


def pins(text: str) -> set[str]:
    """Return the lines that pin a version, with their markers."""
    lines = (line.removesuffix("\\").strip() for line in text.splitlines())
    return {line for line in lines if "==" in line and not line.startswith("#")}


def shell(line: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_the_versions_of_the_image_are_those_of_the_constraints(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert pins(text)
    assert pins(text) <= pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert "://" not in text
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


@pytest.mark.parametrize("missing", ["demandbase", "tap", "target"])
def test_a_command_that_is_not_in_the_image_is_named(tmp_path: Path, missing: str) -> None:
    for name in {"demandbase", "tap", "target"} - {missing}:
        (tmp_path / name).symlink_to("/bin/true")
    done = subprocess.run(
        [sys.executable, PIPE, NAME, "tap", "--", "target"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"singer-pipe: there is no command {missing} in this container.\n"


@pytest.mark.slow
def test_the_hashes_are_those_that_make_writes(tmp_path: Path) -> None:
    made = shell("make --dry-run hashes")
    commands = [line for line in made.splitlines() if "--generate-hashes" in line]
    assert len(commands) == len(REQUIREMENTS)
    for command in commands:
        shell(command.replace("deploy/docker", str(tmp_path)))
    for file in REQUIREMENTS:
        made_pins = pins((tmp_path / file.name).read_text(encoding="utf-8"))
        assert pins(file.read_text(encoding="utf-8")) == made_pins


def test_a_pod_that_fails_is_replaced_only_if_that_helps() -> None:
    ignored, later, failed = JOB["podFailurePolicy"]["rules"]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    codes = {"containerName": CONTAINER["name"], "operator": "In"}
    assert later == {"action": "FailJob", "onExitCodes": {**codes, "values": [75]}}
    assert failed == {"action": "FailJob", "onExitCodes": {**codes, "values": [1, 2]}}
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", operations, re.MULTILINE)}
    # What is neither success nor named in a rule is a signal, after which the pod is replaced.
    assert {code for code in documented if code > 128} == documented - {0, 75, 1, 2}
    assert JOB["backoffLimit"] > 0
    assert POD["restartPolicy"] == "Never"  # the only one that goes with podFailurePolicy
    assert RESOURCES["CronJob"]["spec"]["concurrencyPolicy"] == "Forbid"


def test_a_pod_has_no_rights_and_no_disk() -> None:
    context = POD["securityContext"] | CONTAINER["securityContext"]
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert user
    assert [context["runAsUser"], context["runAsGroup"]] == [int(user[1]), int(user[2])]
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    [volume], [mount] = POD["volumes"], CONTAINER["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": "/tmp"}  # noqa: S108 - of the pod
    assert "emptyDir" in volume


@pytest.mark.slow
def test_the_manifest_is_valid(tmp_path: Path) -> None:
    def validate(file: Path) -> int:
        command = [
            UV,
            "tool",
            "run",
            "--quiet",
            "--python",
            sys.executable,
            "--constraints",
            str(ROOT / "constraints.txt"),
            "kubernetes-validate",
            "--strict",
            str(file),
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert validate(MANIFEST) == 0
    wrong = tmp_path / "cronjob.yaml"
    wrong.write_text(MANIFEST.read_text("utf-8").replace("concurrencyPolicy", "concurrency"))
    assert validate(wrong) == 1


@dataclass
class Cluster:
    """Runs the pod of the CronJob.

    Args:
        image: The image.
        environment: Variables of the pod.
        folder: Has a scratch folder for each pod.
    """

    image: Image
    environment: dict[str, str]
    folder: Path

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        args = self.image.pod(scratch, {**self.environment, **variables}, *command)
        return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *command: str, code: int = 0, **variables: str) -> tuple[str, str]:
        process = self.start(*command or CONTAINER["args"], **variables)
        out, errors = process.communicate()
        assert process.returncode == code, out + errors
        return out, errors

    def kept(self) -> Any:  # noqa: ANN401
        """The state in the bucket."""
        return json.loads(self.run("demandbase", "state", "get", NAME)[0])


def terminate(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM to the pod's process 1, as Kubernetes does."""
    number = process.pid
    if has_namespaces():
        children = Path(f"/proc/{number}/task/{number}/children").read_text("ascii")
        [number] = map(int, children.split())
    os.kill(number, signal.SIGTERM)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the image's user can read, and which a pod's /tmp does not hide."""
    folder = Path(tempfile.mkdtemp(prefix="demandbase-image-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def bucket() -> Iterator[S3Server]:
    with s3_server() as server:
        request = urllib.request.Request(f"{server.address}/{BUCKET}", method="PUT")  # noqa: S310
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
        yield server


@pytest.mark.slow
@pytest.mark.timeout(1800)  # it installs all packages
def test_the_cron_job_runs_in_the_image(
    sandbox: Sandbox, bucket: S3Server, open_folder: Path
) -> None:
    image = build(DOCKERFILE, ROOT, open_folder / "image")
    secrets = {
        f"{plugin}_DEMANDBASE_{name}": value
        for plugin in ("TAP", "TARGET")
        for name, value in {
            "API_URL": sandbox.uapi_url,
            "CLIENT_ID": sandbox.client_id,
            "CLIENT_SECRET": sandbox.client_secret,
        }.items()
    }
    settings = {**RESOURCES["ConfigMap"]["data"], **secrets, **bucket.variables}
    cluster = Cluster(image, settings, open_folder)
    assert "Usage: demandbase" in cluster.run(*image.command)[0]
    assert " ok " in cluster.run("demandbase", "check")[0]

    out, errors = cluster.run()
    assert not out
    assert "no folder for state" not in errors
    assert len(sandbox.import_jobs()) == 1
    first = cluster.kept()
    assert first["bookmarks"]["accounts"]
    assert not [each for each in open_folder.glob("tmp*/**/*") if each.is_file()]

    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    assert "quota" in cluster.run(code=75)[1]
    sandbox.clear_faults()
    cluster.run(code=1, TAP_DEMANDBASE_CLIENT_SECRET="wrong")
    cluster.run("singer-pipe", NAME, "tap-demandbase", "--", "target-missing", code=2)
    assert cluster.kept() == first

    sandbox.clear_requests()
    # Before the first file, the list is read once.
    sandbox.add_fault(Fault("listImportJobs", Effect.STALL, seconds=60, after=1))
    process = cluster.start(*CONTAINER["args"])
    until(lambda: len(sandbox.requests("listImportJobs")) == 2, seconds=300)
    began = time.monotonic()
    terminate(process)
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert time.monotonic() - began < POD["terminationGracePeriodSeconds"]
    assert errors.count("Stopped by SIGTERM") == 2
    assert cluster.kept() == first

    sandbox.clear_faults()
    cluster.run()
    assert len(sandbox.import_jobs()) == 2
