"""A malformed URL or token is reported with its setting, before any call."""

from __future__ import annotations

import pytest

from demandbase_api.config import api_url
from demandbase_api.connection import Connection
from demandbase_api.errors import ConfigurationError
from demandbase_api.http.client import HttpClient
from demandbase_api.v1.exports import V1ExportApi
from demandbase_sandbox import Sandbox


@pytest.mark.parametrize(
    "token", ["s3cret\ns3cret", "s3cret s3cret", "s3crét", "s3cret\x00", "s3cret\u2028s3cret"]
)
def test_a_token_that_does_not_fit_a_header_is_rejected_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match="setting access_token contains a space") as caught:
        Connection("https://api.example", token)
    assert "s3cr" not in str(caught.value)


def test_an_empty_token_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="setting access_token is empty"):
        Connection("https://api.example", " \n")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost:99999", "its port is not a number from 1 to 65535"),
        ("http://localhost:abc", "its port is not a number"),
        ("http://user:s3cret@localhost", "contains a user name or a password"),
        ("http://s3cret@localhost:99999", "contains a user name or a password"),
        ("http://s3cret\\@localhost", "contains a space, a backslash or a control character"),
        ("http://local\x1bhost", "a control character"),
        ("http://local%host", "its host cannot be parsed"),
        ("http://localhost:0", "its port is not a number"),
        ("http://[::1", "its host cannot be parsed"),
        ("http://", "it has no host"),
        ("http://:8080", "it has no host"),
        ("api.example", "does not begin with https://"),
        ("ftp://api.example", "does not begin with https://"),
        ("https://api. example", "contains a space"),
        ("https://api.example?s3cret", "has a query or a fragment"),
        ("https://api.example/gateway#s3cret", "has a query or a fragment"),
        ("https://api.example/?", "has a query or a fragment"),
        ("https://api.example#", "has a query or a fragment"),
        ("https://api.example/s3cret/v1", "its path contains /v1, a part"),
        ("https://api.example/s3cret/export/V1/", "its path contains /export/v1, a part"),
        ("https://api.example/import/v1/jobs", "its path contains /import/v1, a part"),
        ("https://api.example/data/export", "its path contains /data/export, a part"),
        ("https://api.example/data/export/v1/job", "its path contains /data/export/v1, a part"),
        ("https://api.example/auth/v1//", "its path contains /auth/v1, a part"),
    ],
)
def test_a_malformed_url_is_rejected_and_not_shown(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="setting api_url cannot be used") as caught:
        Connection(url, "token")
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix", ["/demandbase", "/v1/demandbase", "/data", "/export", "/api/v10", "/data/exports"]
)
def test_the_prefix_of_a_gateway_stays(prefix: str) -> None:
    url = f"https://gateway.example{prefix}"
    assert Connection(f"{url}/", "token").api_url == url


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example/", " https://a.example// "]
)
def test_imports_of_one_api_are_known_however_its_url_is_written(url: str) -> None:
    assert api_url({"api": "v1", "api_url": url}) == "https://a.example"


def test_white_space_around_url_and_token_is_stripped(sandbox: Sandbox) -> None:
    http = HttpClient(Connection(f" {sandbox.url}/ ", f"\t{sandbox.token}\r\n"))
    assert V1ExportApi(http).entities()
