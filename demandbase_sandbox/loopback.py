"""Keeps a proxy out of the way between a program and a server on the same machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = "127.0.0.1"


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which calls to 127.0.0.1 go through no proxy."""
    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    # A lone asterisk exempts all hosts, and only as long as it is alone.
    if hosts != ["*"] and LOOPBACK not in hosts:
        hosts.append(LOOPBACK)
    # Which of the two spellings counts differs from program to program.
    return {**environment, "no_proxy": ",".join(hosts), "NO_PROXY": ",".join(hosts)}
