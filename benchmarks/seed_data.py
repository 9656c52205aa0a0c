"""Insert very many messages quickly: records of the shape and size that the service writes, which nobody can read."""

import os
import sqlite3
import time

import redis

from messaging_api.core.message import RECEIPT_EXTRA_MS
from messaging_api.core.record import HEAD
from messaging_api.stores import sqlite_file
from messaging_api.stores.redis.url import KEY_PREFIX

LIFE_MS = 604_800_000
_NONCE_AND_TAG = 28
RECEIPT = 26 + _NONCE_AND_TAG
"""Bytes of a receipt's value."""
_BATCH = 100_000

_LUA = """
local from, to, size = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local text, receipt = string.rep('x', size), string.rep('x', tonumber(ARGV[4]))
for n = from, to do
  local digest = redis.sha1hex(n)
  local function half(at)
    return (string.gsub(string.sub(digest, at, at + 15), '..', function(two) return string.char(tonumber(two, 16)) end))
  end
  local first, second = half(1), half(17)
  redis.call('SET', KEYS[1] .. first .. second, text, 'PX', ARGV[5])
  redis.call('SET', KEYS[1] .. second .. first, receipt, 'PX', ARGV[6])
end
"""


def insert_messages(url: str, count: int, size: int) -> None:
    """Insert `count` messages of `size` bytes, each with its receipt."""
    value = HEAD + _NONCE_AND_TAG + size
    if url.startswith("sqlite:"):
        _insert_into_sqlite(sqlite_file(url).path, count, value)
    else:
        _insert_into_redis(url, count, value)


def _insert_into_sqlite(path: str, count: int, value: int) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    ends = time.time_ns() // 1_000_000 + LIFE_MS
    for start in range(0, count, _BATCH):
        rows = [
            row
            for _ in range(min(_BATCH, count - start))
            for row in (
                (os.urandom(16), ends, os.urandom(value)),
                (os.urandom(16), ends + RECEIPT_EXTRA_MS, os.urandom(RECEIPT)),
            )
        ]
        database.execute("BEGIN")
        database.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
    database.close()


def _insert_into_redis(url: str, count: int, value: int) -> None:
    with redis.Redis.from_url(url, socket_timeout=600) as client:
        for start in range(0, count, _BATCH):
            last = min(start + _BATCH, count) - 1
            client.eval(_LUA, 1, KEY_PREFIX, start, last, value, RECEIPT, LIFE_MS, LIFE_MS + RECEIPT_EXTRA_MS)
