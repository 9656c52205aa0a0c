"""Addresses of Redis: of one server, of servers watched by sentinels, or of a cluster.

    redis[s]://[[user]:password@]host[:port][/db][?options]
    redis[s]+sentinel://[[user]:password@]host[:port],…/name[/db][?options]
    redis[s]+cluster://[[user]:password@]host[:port],…[?options]

The hosts of `+sentinel` are sentinels (default port 26379), and `name` is their name of the master. The hosts of
`+cluster` are some of its nodes. User and password are those of the servers that store the messages. Options:
`prefix`; `sentinel_user` and `sentinel_password`; `ca`, `cert` and `key`, paths of PEM files, for rediss only, where
all connections use TLS. Without `ca` the system's certificate authorities are trusted.
"""

import re
import ssl
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from messaging_api.errors import SettingsError

KEY_PREFIX = "messaging_api:"
SCHEMES = tuple(f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster"))

_SHAPES = {
    "": "redis://[user:password@]host[:port][/db]",
    "sentinel": "redis+sentinel://[user:password@]host[:port],…/name[/db]",
    "cluster": "redis+cluster://[user:password@]host[:port],…",
}
_HASH_TAG = re.compile(r"[^{]*\{[^}]+\}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@,\s]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[^\[\]/@,\s\x00-\x1f\x7f]+")


class Endpoint(NamedTuple):
    """The address that a server listens on."""

    host: str
    port: int

    @classmethod
    def parse(cls, host: str, port: str) -> "Endpoint":
        """Return the endpoint of a host, which may be an IPv6 address without brackets, and the digits of a port.

        Raises ValueError for what no connection can be opened to.
        """
        host.encode("idna")  # as when the name is looked up; a UnicodeError is a ValueError
        if not _NAME.fullmatch(host) or not re.fullmatch("[0-9]{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
            raise ValueError
        return cls(host, int(port))


class Credentials(NamedTuple):
    """The login of a connection, and its database."""

    user: str | None = None
    password: str | None = None
    db: int = 0

    def commands(self) -> list[tuple[bytes | str, ...]]:
        """Return the commands that log in and select the database."""
        commands: list[tuple[bytes | str, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", self.user, self.password) if self.user else ("AUTH", self.password))
        if self.db:
            commands.append(("SELECT", str(self.db)))
        return commands


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed address. `kind` is "", "sentinel" or "cluster"; `tls` is None for plain TCP."""

    kind: str
    hosts: tuple[Endpoint, ...]
    name: str
    prefix: bytes
    login: Credentials = field(repr=False)
    sentinel_login: Credentials = field(repr=False)
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str) -> "RedisUrl":
        """Parse an address. Raises SettingsError, whose text never repeats the address: it may hold a password."""
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix = options.pop("prefix", KEY_PREFIX)
        sentinel_login = _sentinel_login(options) if kind == "sentinel" else Credentials()
        tls = _context(options) if scheme == "rediss" else None
        name, db = _path(kind, parts.path)
        credentials, _, hosts = parts.netloc.rpartition("@")
        endpoints = tuple(_endpoint(host, 26379 if kind == "sentinel" else 6379) for host in hosts.split(","))
        too_many_hosts = not kind and len(endpoints) > 1
        if kind == "cluster" and "{" in prefix and not _HASH_TAG.match(prefix):
            raise SettingsError("store: a brace in the prefix of a cluster must begin a hash tag, such as {name}.")
        if options or too_many_hosts or not (db.isascii() and db.isdecimal()) or bool(name) != (kind == "sentinel"):
            raise SettingsError(f"store: write {_SHAPES[kind]}[?prefix=…], rediss instead of redis for TLS.")
        user, _, password = (unquote(part) for part in credentials.partition(":"))
        return cls(
            kind,
            endpoints,
            name,
            prefix.encode(),
            Credentials(user or None, password or None, int(db)),
            sentinel_login,
            tls,
        )


def _path(kind: str, path: str) -> tuple[str, str]:
    """Return the name of the master and the number of the database, as text."""
    first, _, rest = path.removeprefix("/").partition("/")
    if kind == "sentinel":
        return first, rest or "0"
    return "", (path.removeprefix("/") or "0") if not kind else ("0" if path in ("", "/") else "none")


def _endpoint(text: str, default_port: int) -> Endpoint:
    host, port = found.groups() if (found := _HOST.fullmatch(text)) else ("", None)
    try:
        return Endpoint.parse(host.strip("[]"), port or str(default_port))
    except ValueError:
        raise SettingsError("store: each server is host or host:port, with a port from 1 to 65535.") from None


def _sentinel_login(options: dict[str, str]) -> Credentials:
    return Credentials(options.pop("sentinel_user", None), options.pop("sentinel_password", None))


def _context(options: dict[str, str]) -> ssl.SSLContext:
    ca, cert, key = (options.pop(name, None) for name in ("ca", "cert", "key"))
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"store: a TLS file cannot be used: {error.__class__.__name__}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
