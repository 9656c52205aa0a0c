"""TLS and ACL: every operation works with the rights in docs/scaling.md and no others."""

import re
import subprocess
from pathlib import Path

from messaging_api.core.ratelimit import WindowCounts
from messaging_api.core.store import Entry, Store
from tests.cluster.test_topology import has_one_reader
from tests.contract.test_counters import count_once
from tests.faults.test_stores import fails_in_time
from tests.support.clusters import NAME, cluster_running, hosts, trio_running
from tests.support.programs import require
from tests.support.redis_server import RedisServer
from tests.support.stores import HOUR, locator, message, on_store, receipt

ROOT = Path(__file__).parent.parent.parent
RIGHTS = re.findall(r"(?<=user messaging_api )on >\S+ (.+)$", (ROOT / "docs/scaling.md").read_text(), re.MULTILINE)
EVERYONE = "user default on nopass ~* &* +@all\n"
TLS = ("--tls-replication", "yes")
LOGIN = "messaging_api:p%40ss%3Aword"


def protected(folder: Path) -> tuple[str, ...]:
    """Return the options of a server with TLS, client certificates, and the user of the document."""
    made = [require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    made += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run([*made, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True)
    (rights,) = RIGHTS
    (folder / "users").write_text(f"{EVERYONE}user messaging_api on >p@ss:word {rights}\n")
    files = {"--tls-cert-file": "cert", "--tls-key-file": "key", "--tls-ca-cert-file": "cert", "--aclfile": "users"}
    return (*(word for option, file in files.items() for word in (option, f"{folder}/{file}")), *TLS)


def tls(folder: Path) -> str:
    return f"ca={folder}/cert&cert={folder}/cert&key={folder}/key"


async def every_operation(store: Store) -> None:
    """Run every operation of a store."""
    stored, receipt_entry, idempotency = message(reads=1), receipt(), Entry(locator(), b"record", HOUR)
    assert await store.create(stored, receipt_entry, idempotency) is None
    assert await store.create(message(), receipt(), idempotency) == b"record"
    await has_one_reader(store, stored)
    assert await store.burn(stored.locator) is not None
    assert await store.receipt(receipt_entry.locator) == receipt_entry.value
    assert isinstance(await count_once(store, (b"4\x01\x02\x03\x04", "read", "miss")), WindowCounts)
    await store.ping()
    assert (await store.stats()).records > 0


def only_logins_were_denied(*servers: RedisServer) -> None:
    """Check that only logins were denied, as intended."""
    denied = [entry for server in servers for entry in server.client().acl_log()]
    assert {entry["reason"] for entry in denied} <= {"auth"}


def test_cluster_with_tls_and_acl(tmp_path: Path) -> None:
    """rediss+cluster:// with a user, client certificates, and replicas to wait for."""
    with cluster_running(tmp_path, *protected(tmp_path), "--tls-cluster", "yes") as cluster:
        where = hosts(cluster.nodes[1])
        on_store(f"rediss+cluster://{LOGIN}@{where}?{tls(tmp_path)}#1", every_operation)
        only_logins_were_denied(*cluster.nodes)
        for wrong in (LOGIN.replace("word", "ward"), f"{LOGIN}x"):
            on_store(f"rediss+cluster://{wrong}@{where}?{tls(tmp_path)}", lambda store: fails_in_time(store.ping()))
        on_store(f"redis+cluster://{LOGIN}@{where}", lambda store: fails_in_time(store.ping()))


def test_sentinels_with_tls_and_acl(tmp_path: Path) -> None:
    """rediss+sentinel:// with a user of the servers and another of the sentinels."""
    options = protected(tmp_path)
    watcher = tmp_path / "watcher"
    watcher.write_text(f"{EVERYONE}user watcher on >t@p +sentinel|master +sentinel|get-master-addr-by-name\n")
    with trio_running(tmp_path, *options, sentinel=("--aclfile", str(watcher))) as trio:
        where = f"{hosts(*trio.sentinels)}/{NAME}/0?{tls(tmp_path)}"
        for sentinel in ("sentinel_user=watcher&sentinel_password=t%40p", ""):
            on_store(f"rediss+sentinel://{LOGIN}@{where}&{sentinel}#1", every_operation)
        only_logins_were_denied(*trio.servers, *trio.sentinels)
        wrong = "sentinel_user=watcher&sentinel_password=top"
        on_store(f"rediss+sentinel://{LOGIN}@{where}&{wrong}", lambda store: fails_in_time(store.ping()))
        on_store(f"rediss+sentinel://x{LOGIN}@{where}", lambda store: fails_in_time(store.ping()))
