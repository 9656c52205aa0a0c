"""The proxies in the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or small letters.

httpx is not used for this: it fails on networks of IPv6 in NO_PROXY (encode/httpx#3221).
"""

import re
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import httpx

from messaging_api.client.errors import BadProxy


class Proxies:
    """The proxies at the time when the client was made. A proxy is checked when it is first used."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Take the proxies of the environment, or those in a map from a scheme, `all` and `no` to the value."""
        self._proxies = dict(getproxies_environment() if environment is None else environment)
        self._exceptions = [entry for entry in re.split(r"[,\s]+", self._proxies.pop("no", "")) if entry]

    def proxy_for(self, url: str) -> str | None:
        """Return the address of the proxy for a request to `url`, None for none. Raise BadProxy if it is unusable."""
        parts = urlsplit(url)
        name = parts.scheme if self._proxies.get(parts.scheme) else "all"
        proxy = self._proxies.get(name)
        if not proxy or any(map(partial(_matches, parts.hostname or "", parts.port), self._exceptions)):
            return None
        return _checked(proxy if "://" in proxy else f"http://{proxy}", f"{name.upper()}_PROXY")


def _matches(host: str, port: int | None, exception: str) -> bool:
    """Return whether an entry of NO_PROXY covers a host: `*`, a name with all below it, an address or a network."""
    entry = exception.lower().rpartition("://")[2]
    name, _, suffix = entry.rpartition(":")
    if suffix.isdecimal() and (":" not in name or name.endswith("]")):
        if int(suffix) != port:
            return False
        entry = name
    entry = entry.strip("[]") if entry.startswith("[") else entry.removeprefix("*").strip(".")
    if not entry:
        return exception == "*"
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return f".{host.rstrip('.')}".endswith(f".{entry}")


def _checked(proxy: str, variable: str) -> str:
    try:
        parts, parsed = urlsplit(proxy), httpx.Proxy(proxy)
        usable = parts.port != 0 and parsed.url.host and re.fullmatch("[!-~]+", proxy)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise BadProxy(f"{variable} is not the address of a proxy, such as http://proxy.example:3128.")
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise BadProxy(f"{variable} is a SOCKS proxy, which requires the Python package socksio.")
    return proxy
