"""Settings: where values come from, and what is refused."""

import re
from pathlib import Path

import pytest

from messaging_api.errors import SettingsError, StoreUnavailable
from messaging_api.settings.fields import comma_separated, whole
from messaging_api.settings.server import load
from messaging_api.stores import StoreOptions, open_store
from messaging_api.stores.redis.url import RedisUrl
from tests.support.stores import Clock


def test_an_option_wins_over_a_variable_over_a_default() -> None:
    """Each value comes from the nearest source, and says which."""
    settings, told = load({"port": "1"}, {"MESSAGING_API_PORT": "2", "MESSAGING_API_WORKERS": "3", "OTHER": "x"})
    assert (settings.port, settings.workers, settings.max_ttl) == (1, 3, 604_800)
    sources = {row.name: row.source for row in told}
    assert (sources["port"], sources["workers"], sources["max_ttl"]) == ("option", "environment", "default")


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    """MESSAGING_API_STORE_FILE names a file with the value; its line end is not part of it."""
    (tmp_path / "store").write_text("redis://:hush@h\n")
    settings, told = load({}, {"MESSAGING_API_STORE_FILE": str(tmp_path / "store")})
    assert settings.store == "redis://:hush@h"
    assert "hush" not in repr(settings)
    assert "hush" not in str(told)
    assert next(row for row in told if row.name == "store").source == "file"


def test_the_default_life_follows_a_shorter_longest() -> None:
    """max_ttl alone shortens the default life too; a default that is longer on purpose is refused."""
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
    ],
)
def test_values_out_of_shape(name: str, text: str) -> None:
    """A value out of shape is refused with the name of its option and the shape it has."""
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
def test_passwords_in_the_store_url_are_masked(url: str) -> None:
    """The explanation of the settings shows the host, and none of the passwords."""
    shown = next(row.value for row in load({"store": url}, {})[1] if row.name == "store")
    assert "secret" not in shown
    assert "***" in shown
    assert re.search("[/@]h(/|$)", shown)


def test_a_url_without_passwords_is_shown() -> None:
    """There is nothing to mask in a path, not even behind an @."""
    shown = [row.value for row in load({"store": "sqlite:////a@b/m.db?max_bytes=1"}, {})[1] if row.name == "store"]
    assert shown == ["sqlite:////a@b/m.db?max_bytes=1"]


def test_the_shape_of_a_list() -> None:
    """A list takes any number of items, each in the shape of its reader."""
    numbers = comma_separated(whole(1, 9))
    assert numbers.shape == "1 to 9[,…]"
    assert (numbers.parse(" 1, 9 "), numbers.parse("")) == ((1, 9), ())
    with pytest.raises(SettingsError, match=re.escape("--trusted-proxies must be: network[,…]")):
        load({"trusted_proxies": "10.0.0.0/8,x"}, {})


def test_values_in_shape() -> None:
    """Fractions of seconds, links without a slash at the end."""
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
        "redis+sentinel://h:0/name",
        "redis+cluster://h/1",
        "redis+cluster://h,h:x",
        "redis+cluster://",
        "redis+other://h",
    ],
)
def test_store_addresses_that_cannot_be_meant(url: str) -> None:
    """A store's address is checked before anything is opened; the text repeats nothing of it."""
    with pytest.raises(SettingsError):
        open_store(url.replace("//h", "//:hush@h"), Clock())


def test_redis_addresses() -> None:
    """User, password, port, database and prefix, with their defaults; secrets stay out of repr."""
    address = RedisUrl.parse("redis://me:p%40ss@[::1]:7000/2?prefix=a:")
    assert (address.hosts, address.prefix) == ((("::1", 7000),), b"a:")
    assert address.login.commands() == [("AUTH", "me", "p@ss"), ("SELECT", "2")]
    assert "p@ss" not in repr(address)
    plain = RedisUrl.parse("redis://h")
    assert (plain.hosts, plain.prefix, plain.login.commands()) == ((("h", 6379),), b"messaging_api:", [])
    assert RedisUrl.parse("rediss://h").tls is not None


def test_addresses_of_sentinels() -> None:
    """Several hosts, the master's name and database; sentinels log in by themselves or not at all."""
    address = RedisUrl.parse("rediss+sentinel://:p@a,b:1,[::1]/name/3?sentinel_user=s&sentinel_password=t")
    assert (address.kind, address.name) == ("sentinel", "name")
    assert address.hosts == (("a", 26379), ("b", 1), ("::1", 26379))
    assert address.login.commands() == [("AUTH", "p"), ("SELECT", "3")]
    assert address.sentinel_login.commands() == [("AUTH", "s", "t")]
    assert address.tls is not None
    assert RedisUrl.parse("redis+sentinel://:p@a/name").sentinel_login.commands() == []


def test_addresses_of_clusters() -> None:
    """Several nodes, one login, no database."""
    address = RedisUrl.parse("redis+cluster://me:p@a:1,b/?prefix=x")
    assert (address.kind, address.hosts, address.prefix) == ("cluster", (("a", 1), ("b", 6379)), b"x")
    assert address.login.commands() == [("AUTH", "me", "p")]
    assert address.tls is None


def test_sqlite_has_no_replicas(tmp_path: Path) -> None:
    """Waiting for replicas where there are none is refused, and nothing is opened."""
    with pytest.raises(SettingsError, match="replicas_to_wait"):
        open_store(f"sqlite://{tmp_path}/m.db", Clock(), StoreOptions(replicas=1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    """A path that cannot be a file is told with its reason."""
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        open_store(f"sqlite://{tmp_path}", Clock())


def test_what_the_client_is_told_is_not_the_services_business() -> None:
    """Variables of the client may be there, known or not; another case of our own prefix is a mistake."""
    assert load({}, {"MESSAGING_API_CLIENT_SERVER": "x", "MESSAGING_API_CLIENT_FUTURE": "x"})[0] == load({}, {})[0]
    with pytest.raises(SettingsError, match="MESSAGING_API_port is not a setting"):
        load({}, {"MESSAGING_API_port": "1"})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is named for a value and is not there, or is no text, is told with its reason."""
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, reason in (("nowhere", "No such file"), ("binary", "not UTF-8")):
        with pytest.raises(SettingsError, match=reason):
            load({}, {"MESSAGING_API_STORE_FILE": str(tmp_path / name)})
