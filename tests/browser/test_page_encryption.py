"""The page's end-to-end encryption, compared with the examples of the format and the other implementation."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from messaging_api.client.envelope import max_text_bytes
from tests.support.relay import Relay

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "encryption.json").read_text())

MODULE = "const page = await import(document.querySelector('script[src]').src);"
BYTES = """const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));"""
SEAL = f"""async ({{ text, secret, password, iterations, salt, nonce }}) => {{
  {MODULE} {BYTES}
  const choices = {{ secret: bytes(secret), password, iterations, salt: bytes(salt), nonce: bytes(nonce) }};
  return page.envelop(text, choices);
}}"""
OPEN = f"""async ({{ envelope, fragment, password }}) => {{
  {MODULE}
  try {{
    return {{ text: await page.open(envelope, page.key(fragment), password) }};
  }} catch (error) {{
    return {{ error: error.reason ?? String(error) }};
  }}
}}"""


@pytest.fixture(scope="module")
def writer(chromium: Browser, relay: Relay) -> Page:
    """Open the page at /, whose script is the real one."""
    page = chromium.new_page()
    page.goto(relay.url)
    return page


def names(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


@pytest.mark.parametrize("vector", names(VECTORS["good"]))
def test_good_vectors_encrypt_and_decrypt(writer: Page, vector: dict[str, Any]) -> None:
    """The page makes the exact envelope and decrypts it."""
    assert writer.evaluate(SEAL, vector) == vector["envelope"]
    assert writer.evaluate(OPEN, vector) == {"text": vector["text"]}


@pytest.mark.parametrize("vector", names(VECTORS["broken"]))
def test_broken_vectors_are_rejected(writer: Page, vector: dict[str, Any]) -> None:
    """The page rejects the envelope for the reason that the format gives."""
    assert writer.evaluate(OPEN, vector) == {"error": vector["error"]}


def test_text_without_a_key_is_a_plain_message(writer: Page) -> None:
    """An empty fragment means that the message is plain."""
    for text in ("hello", "e2e1.x", "e2e.1"):
        assert writer.evaluate(OPEN, {"envelope": text, "fragment": "", "password": ""}) == {"text": text}


def test_longest_text_fits(writer: Page) -> None:
    """Both implementations compute the same limit, and a text of that length fits."""
    ask = f"async (most) => {{ {MODULE} return page.longest(most) }}"
    for most in (1, 100, 500, 5000, 5524, 65_536, 1_000_000):
        assert writer.evaluate(ask, most) == max_text_bytes(most)
    fits = f"""async (most) => {{ {MODULE}
      const sealed = await page.seal("x".repeat(page.longest(most)), "");
      const more = await page.seal("x".repeat(page.longest(most) + 1), "");
      return [sealed.envelope.length <= most, more.envelope.length <= most];
    }}"""
    assert writer.evaluate(fits, 65_536) == [True, False]


def test_each_link_has_its_own_key(writer: Page) -> None:
    """Two envelopes of the same text share nothing but the version and flags."""
    twice = f"async () => {{ {MODULE} return [await page.seal('x', ''), await page.seal('x', '')] }}"
    first, second = writer.evaluate(twice)
    assert first["fragment"] != second["fragment"]
    assert first["envelope"][:11] == second["envelope"][:11] == "e2e1.AAAAAA"
    assert first["envelope"][11:60] != second["envelope"][11:60]
