"""The places that keep messages. `open_store` is the only way in."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from messaging_api.core.store import Store
from messaging_api.errors import SettingsError
from messaging_api.stores.batching import NO_HOOKS, StoreHooks
from messaging_api.stores.redis.cluster import ClusterStore
from messaging_api.stores.redis.node import Node, connect
from messaging_api.stores.redis.replication import ReplicatedChannel
from messaging_api.stores.redis.sentinel import SentinelStore
from messaging_api.stores.redis.store import RedisStore
from messaging_api.stores.redis.url import SCHEMES as REDIS
from messaging_api.stores.redis.url import RedisUrl
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.stores.sqlite.store import SqliteFile, SqliteStore

SCHEMES = ("sqlite", *REDIS)


class StoreOptions(NamedTuple):
    """What an operation waits for: at most `timeout` seconds, and that so many `replicas` have what was written."""

    timeout: float = 1.5
    replicas: int = 0


USUAL = StoreOptions()


def open_store(
    url: str,
    clock: Callable[[], int],
    patience: StoreOptions = USUAL,
    hooks: StoreHooks = NO_HOOKS,
    counters: SharedCounters | None = None,
) -> Store:
    """The store at `url`. `clock` gives ms since the epoch.

    `counters` are those that the processes of this machine share, for a store that has no place of its own for them.

    Opening does not wait for a server: one that is away is found by the first operation. Raises SettingsError for
    an address that cannot be meant, StoreUnavailable for a file that cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite" and patience.replicas:
        raise SettingsError("replicas_to_wait is for a Redis with replicas; SQLite has none.")
    if scheme == "sqlite":
        return SqliteStore(sqlite_file(url), clock, patience.timeout, counters or SharedCounters(), hooks)
    if scheme in REDIS:
        return _open_redis(RedisUrl.parse(url), patience, hooks)
    raise SettingsError(f"store must be an address that begins with {'://, '.join(SCHEMES)}://.")


def _open_redis(address: RedisUrl, patience: StoreOptions, hooks: StoreHooks) -> Store:
    timeout, replicas = patience
    if address.kind == "cluster":
        return ClusterStore(address, timeout, hooks, replicas)
    if address.kind == "sentinel":
        return SentinelStore(address, timeout, hooks, replicas)
    open_ = partial(connect, address.hosts[0], address.login, address.tls, timeout)
    reads = Node(open_, timeout, hooks)
    writes = ReplicatedChannel(Node(open_, timeout, hooks), replicas, timeout) if replicas else reads
    return RedisStore(reads, writes, address.prefix, address.login.db)


def sqlite_file(url: str) -> SqliteFile:
    """The file that sqlite:///absolute/path.db[?max_bytes=…] means. Raises SettingsError."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.path.endswith("/"):
        raise SettingsError("store: write sqlite:///absolute/path.db, with three slashes.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = options.pop("max_bytes", "0")
    if options or not size.isascii() or not size.isdecimal():
        raise SettingsError("store: the one option of sqlite:// is max_bytes, a whole number of bytes.")
    return SqliteFile(parts.path, int(size))
