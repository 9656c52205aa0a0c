"""The settings of the service: sources, precedence and validation; URLs of stores."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from messaging_api.cli.serve import GROUPS
from messaging_api.errors import NotExecuted, SettingsError
from messaging_api.settings.fields import comma_separated, whole
from messaging_api.settings.server import Settings, load
from messaging_api.stores import StoreOptions, open_store
from messaging_api.stores.redis.url import RedisUrl
from tests.support.stores import Clock


def test_option_takes_precedence_over_variable_over_default() -> None:
    """Each value comes from the first source that has one, and its explanation names that source."""
    settings, explained = load({"port": "1"}, {"MESSAGING_API_PORT": "2", "MESSAGING_API_WORKERS": "3", "OTHER": "x"})
    assert (settings.port, settings.workers, settings.max_ttl) == (1, 3, 604_800)
    sources = {row.name: row.source for row in explained}
    assert (sources["port"], sources["workers"], sources["max_ttl"]) == ("option", "environment", "default")


def test_value_is_read_from_a_file(tmp_path: Path) -> None:
    """MESSAGING_API_STORE_FILE names a file that contains the value; the line break at its end is ignored."""
    (tmp_path / "store").write_text("redis://:hush@h\n")
    settings, explained = load({}, {"MESSAGING_API_STORE_FILE": str(tmp_path / "store")})
    assert settings.store == "redis://:hush@h"
    assert "hush" not in repr(settings)
    assert "hush" not in str(explained)
    assert next(row for row in explained if row.name == "store").source == "file"


def test_default_ttl_follows_a_shorter_max_ttl() -> None:
    """max_ttl limits the default of default_ttl; a default_ttl that is set and longer is an error."""
    assert load({"max_ttl": "60"}, {})[0].default_ttl == 60
    with pytest.raises(SettingsError, match="default_ttl"):
        load({"max_ttl": "60", "default_ttl": "61"}, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "65536"),
        ("port", "٣"),
        ("port", ""),
        ("store_timeout", "0"),
        ("store_timeout", "1e3"),
        ("host", ""),
        ("public_url", "ftp://x"),
        ("public_url", "https://x/?q"),
        ("public_url", "example.org"),
        ("public_url", "https://x.example:99999"),
        ("public_url", "https://x.example/a b"),
        ("public_url", "https://ä.example"),
    ],
)
def test_malformed_value_is_an_error(name: str, text: str) -> None:
    """The error names the option and the expected shape."""
    with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} must be: "):
        load({name: text}, {})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:topsecret@h",
        "redis://me:top/secret@h/0",
        "redis://:x@topsecret@h/0",
        "redis+sentinel://h/m?sentinel_password=topsecret",
        "redis+sentinel://:topsecret@h/m?sentinel_user=u&sentinel_password=topsecret&prefix=p",
    ],
)
def test_explanation_masks_passwords_in_the_store_url(url: str) -> None:
    """The explanation of the settings shows the host, and none of the passwords."""
    shown = next(row.value for row in load({"store": url}, {})[1] if row.name == "store")
    assert "secret" not in shown
    assert "***" in shown
    assert re.search("[/@]h(/|$)", shown)


def test_explanation_shows_a_store_url_without_passwords() -> None:
    """There is nothing to mask in a path, not even behind an @."""
    shown = [row.value for row in load({"store": "sqlite:////a@b/m.db?max_bytes=1"}, {})[1] if row.name == "store"]
    assert shown == ["sqlite:////a@b/m.db?max_bytes=1"]


def test_list_takes_any_number_of_items() -> None:
    """Each item has the shape of the reader of items."""
    numbers = comma_separated(whole(1, 9))
    assert numbers.shape == "1 to 9[,…]"
    assert (numbers.parse(" 1, 9 "), numbers.parse("")) == ((1, 9), ())
    with pytest.raises(SettingsError, match=re.escape("--trusted-proxies must be: network[,…]")):
        load({"trusted_proxies": "10.0.0.0/8,x"}, {})


def test_well_formed_values() -> None:
    """Seconds may have a fraction; the slash at the end of a base URL is removed."""
    settings, _ = load({"store_timeout": "0.25", "public_url": "https://x.example/base/"}, {})
    assert (settings.store_timeout, settings.public_url) == (0.25, "https://x.example/base")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "mysql://x",
        "sqlite://m.db",
        "sqlite:///folder/",
        "sqlite:////tmp/m.db?max_bytes=x",
        "sqlite:////tmp/m.db?size=1",
        "redis://",
        "redis://h/x",
        "redis://h:99999",
        "redis://a..b",
        f"redis://{64 * 'a'}",
        "redis://h?unknown=1",
        "redis://h?ca=/x",
        "rediss://h?ca=/nowhere",
        "rediss://h?cert=/nowhere",
        "redis://h,h",
        "redis://h?sentinel_user=x",
        "redis+sentinel://h",
        "redis+sentinel://h/",
        "redis+sentinel://h/name/db",
        "redis+sentinel://h,,h/name",
        "redis+cluster://h?prefix=a{b",
        "redis+cluster://h?prefix=a{}b",
        "redis+sentinel://h:0/name",
        "redis+cluster://h/1",
        "redis+cluster://h,h:x",
        "redis+cluster://",
        "redis+other://h",
    ],
)
def test_malformed_store_url_is_an_error(url: str) -> None:
    """The URL is validated before anything is opened."""
    with pytest.raises(SettingsError):
        open_store(url.replace("//h", "//:hush@h"), Clock())


def test_redis_url() -> None:
    """It has a user, password, port, database and prefix, with defaults; the repr contains no secret."""
    address = RedisUrl.parse("redis://me:p%40ss@[::1]:7000/2?prefix=a:")
    assert (address.hosts, address.prefix) == ((("::1", 7000),), b"a:")
    assert address.login.commands() == [("AUTH", "me", "p@ss"), ("SELECT", "2")]
    assert "p@ss" not in repr(address)
    plain = RedisUrl.parse("redis://h")
    assert (plain.hosts, plain.prefix, plain.login.commands()) == ((("h", 6379),), b"messaging_api:", [])
    assert RedisUrl.parse("rediss://h").tls is not None


def test_sentinel_url() -> None:
    """It has several hosts, the name of the master and a database; sentinels have a login of their own or none."""
    address = RedisUrl.parse("rediss+sentinel://:p@a,b:1,[::1]/name/3?sentinel_user=s&sentinel_password=t")
    assert (address.kind, address.name) == ("sentinel", "name")
    assert address.hosts == (("a", 26379), ("b", 1), ("::1", 26379))
    assert address.login.commands() == [("AUTH", "p"), ("SELECT", "3")]
    assert address.sentinel_login.commands() == [("AUTH", "s", "t")]
    assert address.tls is not None
    assert RedisUrl.parse("redis+sentinel://:p@a/name").sentinel_login.commands() == []


def test_cluster_url() -> None:
    """It has several nodes and one login, and no database."""
    address = RedisUrl.parse("redis+cluster://me:p@a:1,b/?prefix=x")
    assert (address.kind, address.hosts, address.prefix) == ("cluster", (("a", 1), ("b", 6379)), b"x")
    assert address.login.commands() == [("AUTH", "me", "p")]
    assert address.tls is None


def test_replicas_to_wait_with_sqlite_is_an_error(tmp_path: Path) -> None:
    """SQLite has no replicas to wait for; no file is created."""
    with pytest.raises(SettingsError, match="replicas_to_wait"):
        open_store(f"sqlite://{tmp_path}/m.db", Clock(), StoreOptions(replicas=1))
    assert list(tmp_path.iterdir()) == []


def test_sqlite_url_of_a_folder_is_an_error(tmp_path: Path) -> None:
    """The error states the reason."""
    with pytest.raises(NotExecuted, match="cannot be opened"):
        open_store(f"sqlite://{tmp_path}", Clock())


def test_variables_of_the_client_are_ignored() -> None:
    """This holds for known and unknown ones; a variable of the service in lower case is an error."""
    assert load({}, {"MESSAGING_API_CLIENT_SERVER": "x", "MESSAGING_API_CLIENT_FUTURE": "x"})[0] == load({}, {})[0]
    with pytest.raises(SettingsError, match="MESSAGING_API_port is not a setting"):
        load({}, {"MESSAGING_API_port": "1"})


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    """The error states whether the file is missing or not text."""
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, reason in (("nowhere", "No such file"), ("binary", "not UTF-8")):
        with pytest.raises(SettingsError, match=reason):
            load({}, {"MESSAGING_API_STORE_FILE": str(tmp_path / name)})


def test_help_has_each_setting_in_one_group() -> None:
    """A group names no setting that does not exist, or that another group has."""
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) <= {spec.name for spec in fields(Settings)}
