"""What a redis:// or rediss:// address says.

    redis[s]://[[user]:password@]host[:port][/db][?prefix=…&ca=…&cert=…&key=…]

`ca`, `cert` and `key` are paths of PEM files and only for rediss://. Without `ca` the system's authorities count.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from messaging_api.errors import SettingsError

PREFIX = "messaging_api:"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is and how to log in. `tls` is None for plain TCP."""

    host: str
    port: int
    db: int
    prefix: bytes
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Raises SettingsError; its text never repeats the address, which may hold a password."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix = options.pop("prefix", PREFIX)
        tls = _context(options) if parts.scheme == "rediss" else None
        db = parts.path.removeprefix("/") or "0"
        if options or not parts.hostname or not (db.isascii() and db.isdecimal()):
            raise SettingsError("store: write redis://[user:password@]host[:port][/db][?prefix=…], rediss:// for TLS.")
        try:
            port = parts.port or 6379
        except ValueError:
            raise SettingsError("store: the port is a number from 1 to 65535.") from None
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(parts.hostname, port, int(db), prefix.encode(), user, password, tls)

    def login(self) -> list[tuple[bytes | str, ...]]:
        """The commands that open a connection."""
        commands: list[tuple[bytes | str, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", self.user, self.password) if self.user else ("AUTH", self.password))
        if self.db:
            commands.append(("SELECT", str(self.db)))
        return commands


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
