"""Server. Who may reach which hosts. Closed by default; what opens it is always a list of ``host:port``.

Three things can have a list: a registered tool (its ``network``), sources that hold the retriever's placeholder
(``search_url``), and all untrusted calls (``untrusted_hosts``). Each list has a proxy of its own (``proxy``), and a
call that may use it can connect to the proxy's port and to no other (Landlock, from ABI 4 on; on older kernels the
network stays closed for everyone).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mentor.errors import InfrastructureError, UserError
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.limits import Limits
from mentor_sandbox.supervise.network.proxy import Proxy
from mentor_sandbox.walls import landlock

SEARCH_PLACEHOLDER = "<search-url-placeholder>"
_HOST = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


class Network:
    """All allow-lists of one sandbox.

    Args:
        lists: those of registered tools.

    Raises:
        UserError: something on a list is not ``host:port``.
    """

    def __init__(self, settings: SandboxSettings, lists: Iterable[tuple[str, ...]]) -> None:
        self._search_url = settings.search_url
        search = (settings.search_host,) if settings.search_host else ()
        self._everyone = tuple(sorted(set(settings.untrusted_hosts)))
        self._searching = tuple(sorted({*self._everyone, *search}))
        wanted = {tuple(sorted(hosts)) for hosts in (*lists, self._everyone, self._searching) if hosts}
        for host in sorted({host for hosts in wanted for host in hosts}):
            if not _HOST.fullmatch(host):
                raise UserError(f"a host that tools may reach is written host:port, got {host!r}", field="network")
        self._proxies = {hosts: Proxy(hosts, ours=settings.search_host) for hosts in wanted}

    @property
    def state(self) -> str:
        """For the list of walls: what is open."""
        if not self._proxies:
            return "closed"
        if landlock.abi() < 4:
            return "closed: to open it for named hosts, Landlock ABI 4 is needed"
        hosts = sorted({host for hosts in self._proxies for host in hosts})
        return f"open through the proxy, to {', '.join(hosts)}"

    async def start(self) -> None:
        """Start the proxies."""
        for proxy in self._proxies.values():
            await proxy.start()

    async def stop(self) -> None:
        """Stop them."""
        for proxy in self._proxies.values():
            await proxy.stop()

    def placed(self, source: str) -> tuple[str, tuple[str, ...]]:
        """An untrusted source with the retriever's URL in place of the placeholder, and the hosts that it may reach."""
        if self._search_url is not None and SEARCH_PLACEHOLDER in source:
            return source.replace(SEARCH_PLACEHOLDER, self._search_url), self._searching
        return source, self._everyone

    def open(self, limits: Limits, hosts: tuple[str, ...]) -> Limits:
        """The limits of a call that may reach ``hosts``; they are as they were if it may reach none.

        Raises:
            InfrastructureError: this kernel cannot confine connections to one port.
        """
        if not hosts:
            return limits
        if landlock.abi() < 4:
            raise InfrastructureError("the network cannot be opened for named hosts: Landlock ABI 4 is needed")
        proxy = self._proxies[hosts]
        return limits.reaching(proxy.port, proxy.environment)
