from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from demandbase_sandbox.cli import past_proxies

pytestmark = pytest.mark.thorough

COMMAND = str(Path(sys.executable).with_name("demandbase-sandbox"))


def test_serve_prints_where_it_is_and_ends_on_sigterm() -> None:
    with subprocess.Popen([COMMAND, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())
        headers = {"Authorization": f"Bearer {address['token']}"}
        response = requests.get(f"{address['url']}/export/v1/entities", headers=headers, timeout=10)
        assert len(response.json()["entities"]) == 6
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


WITHOUT = """
import sys
sys.modules[{package!r}] = None  # as if it were not installed
from demandbase_sandbox.command import main
main()
"""


@pytest.mark.parametrize("package", ["fastapi", "pydantic", "uvicorn"])
def test_without_the_extra_the_command_says_what_to_install(package: str) -> None:
    words = [sys.executable, "-c", WITHOUT.format(package=package)]
    done = subprocess.run(
        [*words, "run", "--", "true"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert f"needs the package {package}, which the extra sandbox brings: run “pip install" in line
    assert "[sandbox]'" in line


def test_run_hands_on_settings_and_exit_code() -> None:
    script = (
        "import os, sys; "
        "sys.exit(7 if os.environ['TAP_DEMANDBASE_ACCESS_TOKEN'] and "
        "os.environ['TARGET_DEMANDBASE_API_URL'].startswith('http://127.0.0.1') else 1)"
    )
    done = subprocess.run([COMMAND, "run", "--", sys.executable, "-c", script], check=False)
    assert done.returncode == 7


def test_run_passes_settings_of_the_published_api_on_request() -> None:
    script = (
        "import os, requests; "
        "found = {name: os.environ.get('TAP_DEMANDBASE_' + name) for name in "
        "('API', 'API_URL', 'CLIENT_ID', 'CLIENT_SECRET', 'ACCESS_TOKEN')}; "
        "assert found['API'] == os.environ['TARGET_DEMANDBASE_API'] == 'uapi'; "
        "assert found['ACCESS_TOKEN'] is None; "
        "body = {'grantType': 'client_credentials', 'clientId': found['CLIENT_ID'], "
        "'clientSecret': found['CLIENT_SECRET']}; "
        "response = requests.post(found['API_URL'] + '/auth/v1/token', json=body, timeout=10); "
        "assert response.json()['expiresIn'] == 28800"
    )
    done = subprocess.run(
        [COMMAND, "run", "--api", "uapi", "--", sys.executable, "-c", script],
        env={**os.environ, "TAP_DEMANDBASE_ACCESS_TOKEN": "from outside"},
        check=False,
    )
    assert done.returncode == 0


def test_serve_prints_the_credentials_of_the_published_api() -> None:
    command = [COMMAND, "serve", "--api", "uapi", "--client-id", "me", "--client-secret", "key"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())
        assert (address["client_id"], address["client_secret"]) == ("me", "key")
        response = requests.get(f"{address['url']}/data/export/v1/jobs", timeout=10)
        assert response.json()["errorCode"] == "401-100"
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_run_goes_past_a_proxy() -> None:
    script = (
        "import os, requests; "
        "requests.get(os.environ['DEMANDBASE_SANDBOX_URL'] + '/export/v1/entities', timeout=10)"
    )
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
    exempt = dict.fromkeys(("no_proxy", "NO_PROXY"), "internal.example")
    done = subprocess.run(
        [COMMAND, "run", "--", sys.executable, "-c", script],
        env={**os.environ, **proxies, **exempt},
        check=False,
    )
    assert done.returncode == 0


def test_hosts_that_went_past_the_proxy_still_do() -> None:
    assert past_proxies({})["no_proxy"] == past_proxies({"NO_PROXY": ""})["NO_PROXY"] == "127.0.0.1"
    assert past_proxies({"NO_PROXY": "a, b"})["no_proxy"] == "a,b,127.0.0.1"
    assert past_proxies({"no_proxy": "*"})["NO_PROXY"] == "*"
    assert past_proxies({"no_proxy": "127.0.0.1"})["NO_PROXY"] == "127.0.0.1"


def test_a_bad_fault_file_is_rejected_in_one_sentence(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('[{"operation": "getExportJob", "effect": "explode"}]')
    done = subprocess.run(
        [COMMAND, "serve", "--faults", str(faults)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "rule 1: effect: Input should be 'status'" in done.stderr
