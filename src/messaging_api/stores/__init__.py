"""The stores of messages; `open_store` is their only entry point."""

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
from messaging_api.stores.sqlite.confirmed_clock import ConfirmedClock, boot_time_ms
from messaging_api.stores.sqlite.database import SqliteFile
from messaging_api.stores.sqlite.shared_counters import SharedCounters
from messaging_api.stores.sqlite.store import SqliteStore

SCHEMES = ("sqlite", *REDIS)


class StoreOptions(NamedTuple):
    """Options of a store: the `timeout` of an operation in seconds, and the `replicas` that must confirm each write.

    `create` says whether a missing file is created; `steady_clock` returns ms, and nobody can set it.
    """

    timeout: float = 1.5
    replicas: int = 0
    create: bool = True
    steady_clock: Callable[[], int] = boot_time_ms


DEFAULT_OPTIONS = StoreOptions()


def open_store(
    url: str,
    clock: Callable[[], int],
    options: StoreOptions = DEFAULT_OPTIONS,
    hooks: StoreHooks = NO_HOOKS,
    counters: SharedCounters | None = None,
) -> Store:
    """Open the store at `url`. `clock` returns ms since the epoch; a ConfirmedClock may come from an earlier process.

    `counters` are shared by the processes of this machine, for a store without counters of its own. Opening does not
    wait for a server; the first operation does. Raises SettingsError for an invalid address, NotExecuted for a
    file that cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite" and options.replicas:
        raise SettingsError("replicas_to_wait is for a Redis with replicas; SQLite has none.")
    if scheme == "sqlite":
        file = sqlite_file(url)._replace(create=options.create)
        clocks = clock if isinstance(clock, ConfirmedClock) else ConfirmedClock(clock, options.steady_clock)
        return SqliteStore(file, clocks, options.timeout, counters or SharedCounters(), hooks)
    if scheme in REDIS:
        return _open_redis(RedisUrl.parse(url), clock, options, hooks)
    raise SettingsError(f"store must be an address that begins with {'://, '.join(SCHEMES)}://.")


def _open_redis(address: RedisUrl, clock: Callable[[], int], options: StoreOptions, hooks: StoreHooks) -> Store:
    timeout, replicas, *_ = options
    if address.kind == "cluster":
        return ClusterStore(address, clock, timeout, hooks, replicas)
    if address.kind == "sentinel":
        return SentinelStore(address, clock, timeout, hooks, replicas)
    connect_ = partial(connect, address.hosts[0], address.login, address.tls, timeout)
    reads = Node(connect_, timeout, hooks)
    if not replicas:
        return RedisStore(reads, reads, clock, address.prefix, address.login.db)
    writes = ReplicatedChannel(Node(connect_, timeout, hooks), replicas, timeout, hooks.on_failure)
    return RedisStore(reads, writes, clock, address.prefix, address.login.db)


def sqlite_file(url: str) -> SqliteFile:
    """Parse sqlite:///absolute/path.db[?max_bytes=…]. Raises SettingsError."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.path.endswith("/"):
        raise SettingsError("store: write sqlite:///absolute/path.db, with three slashes.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = options.pop("max_bytes", "0")
    if options or not size.isascii() or not size.isdecimal():
        raise SettingsError("store: the one option of sqlite:// is max_bytes, a whole number of bytes.")
    return SqliteFile(parts.path, int(size))
