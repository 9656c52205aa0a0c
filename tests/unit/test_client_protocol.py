"""The client's decisions, without a network: retries, problems, links and signatures."""

import contextlib
import inspect
import pydoc
import re
from collections.abc import Iterator
from typing import get_type_hints
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging_api import client
from messaging_api.client import AsyncClient, BadLink, Client, Link, RetryPolicy, errors, protocol
from messaging_api.client.flows import Sleep, _with_retries
from messaging_api.client.links import server_address
from messaging_api.client.protocol import PROBLEMS, HttpRequest, HttpResponse, TransportFailure, retry_after
from messaging_api.web.problems import TABLE, ProblemType
from tests.unit.test_app import leaves

ID = "0b0e7c8e-2f5c-4f5e-9d0a-2b1d6f0c9a11"
SECRET = "A" * 43
OUTCOMES = st.one_of(
    st.builds(TransportFailure, st.just("x"), st.booleans(), st.floats(0, 20), st.booleans()),
    st.builds(
        HttpResponse,
        st.sampled_from([200, 400, 404, 429, 500, 502, 503, 504]),
        st.sampled_from([{}, {"retry-after": "3"}, {"retry-after": "100"}, {"retry-after": "soon"}]),
        st.just(b""),
    ),
)


def run_retries(
    outcomes: Iterator[HttpResponse | TransportFailure], policy: RetryPolicy, *, repeatable: bool
) -> tuple[list[HttpResponse | TransportFailure], list[float]]:
    """Run a request with retries. Return the outcome of each attempt, the final outcome, and the delays."""
    work = _with_retries(HttpRequest("GET", "http://x", {}, repeatable=repeatable), policy)
    seen: list[HttpResponse | TransportFailure] = []
    pauses: list[float] = []
    step = next(work)
    while True:
        try:
            if isinstance(step, Sleep):
                pauses.append(step.seconds)
                step = work.send(None)
            else:
                seen.append(next(outcomes))
                step = work.send(seen[-1])
        except StopIteration as done:
            return [*seen, done.value], pauses


@given(outcomes=st.lists(OUTCOMES, min_size=8, max_size=8), repeatable=st.booleans(), chance=st.floats(0, 1))
def test_retries_are_safe_and_limited(
    *, outcomes: list[HttpResponse | TransportFailure], repeatable: bool, chance: float
) -> None:
    """Retries follow only repeatable requests, respect Retry-After, and stay within the limits of the policy."""
    policy = RetryPolicy(random=lambda: chance)
    (*seen, given), pauses = run_retries(iter(outcomes), policy, repeatable=repeatable)
    assert given is seen[-1]
    for outcome, pause in zip(seen, pauses, strict=False):
        if isinstance(outcome, TransportFailure):
            assert not outcome.permanent
            assert repeatable or not outcome.sent
        else:
            assert outcome.status in ((429, 502, 503, 504) if repeatable else (429, 503))
            assert pause >= (retry_after(outcome) or 0)
    spent = sum(outcome.seconds for outcome in seen[:-1] if isinstance(outcome, TransportFailure)) + sum(pauses)
    assert spent <= policy.max_seconds + 1e-9
    assert len(seen) == len(pauses) + 1 <= policy.max_attempts


def test_delays_grow_exponentially() -> None:
    """Delays double up to the maximum, and attempts end at their limit."""
    broken = iter([TransportFailure("x", sent=False)] * 20)
    _, pauses = run_retries(broken, RetryPolicy(max_seconds=100, max_attempts=9, random=lambda: 1.0), repeatable=False)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, 999_999_999),
        ({"retry-after": "Tue, 24 Nov 2026 07:00:30 GMT", "date": "Tue, 24 Nov 2026 07:00:00 GMT"}, 30),
        ({"retry-after": "Tue, 24 Nov 2026 06:00:00 GMT", "date": "Tue, 24 Nov 2026 07:00:00 GMT"}, 0),
        ({"retry-after": "Tue, 24 Nov 2026 07:00:30 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 07:00:30", "date": "Tue, 24 Nov 2026 07:00:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After is whole seconds, or a date on the server's own clock. Anything else is ignored."""
    assert retry_after(HttpResponse(503, headers, b"")) == seconds


EXPIRY = {"x-expires-at": "2026-12-01T08:00:00.000Z"}


@pytest.mark.parametrize(("headers", "left"), [(EXPIRY, None), ({**EXPIRY, "x-reads-left": "3"}, 3)])
def test_reads_left(headers: dict[str, str], left: int | None) -> None:
    """A message without X-Reads-Left has unlimited reads."""
    assert protocol.parse_reads_left(HttpResponse(200, headers, b"")) == left


@pytest.mark.parametrize("headers", [{}, {"x-reads-left": "3"}, {**EXPIRY, "x-reads-left": "many"}])
def test_reads_left_of_another_program(headers: dict[str, str]) -> None:
    """A response without X-Expires-At does not describe a message, so it says nothing about its reads."""
    with pytest.raises(errors.UnexpectedResponse):
        protocol.parse_reads_left(HttpResponse(200, headers, b""))


def test_every_problem_type_has_an_error() -> None:
    """The client has an error for each problem type of the server, and for no other."""
    assert set(PROBLEMS) == {row.slug for row in TABLE.values()}


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.slug)
def test_errors_contain_the_text_of_the_problem(row: ProblemType) -> None:
    """The error has the text of the server's problem."""
    body = msgspec.json.encode({"type": f"/docs#{row.slug}", "title": row.title, "detail": "So it is."})
    answer = HttpResponse(row.status, {"content-type": "application/problem+json", "retry-after": "7"}, body)
    with pytest.raises(errors.ClientError, match=f"{re.escape(row.title)}. So it is.") as caught:
        protocol.parse_receipt(answer)
    assert type(caught.value) is PROBLEMS[row.slug]
    assert getattr(caught.value, "retry_after", 7) == 7


def test_error_tree_is_complete() -> None:
    """The tree in the docstring of the errors names every class, and every class is exported."""
    assert errors.__doc__
    names = {kind.__name__ for kind in leaves(errors.ClientError)} | {
        "ClientError",
        "DecryptionFailed",
        "RequestRejected",
        "ServerBusy",
    }
    assert [name for name in names if name not in errors.__doc__] == []
    assert names <= set(client.__all__)


def test_exported_names_have_docstrings() -> None:
    """Every exported name exists, and has a docstring."""
    assert sorted(client.__all__) == client.__all__
    assert [
        name for name in client.__all__ if name != "ReceiptState" and not inspect.getdoc(getattr(client, name))
    ] == []


RETURNS = {
    "send": client.Sent,
    "read": client.Message,
    "fetch": client.Message,
    "receipt": client.Receipt,
    "burn": client.Receipt,
    "limits": client.ServerLimits,
}


def public_methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_both_clients_have_the_same_methods() -> None:
    """Client and AsyncClient have the documented methods, and one to close them."""
    assert public_methods(Client) == {*RETURNS, "close"}
    assert public_methods(AsyncClient) == {*RETURNS, "aclose"}
    assert inspect.signature(Client) == inspect.signature(AsyncClient)
    assert Client.__init__.__doc__


@pytest.mark.parametrize("name", RETURNS)
def test_both_clients_have_the_same_signatures(name: str) -> None:
    """help() shows the same parameters, annotations and summary for both; AsyncClient's methods are coroutines."""
    blocking, awaited = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.signature(blocking) == inspect.signature(awaited)
    assert get_type_hints(blocking) == get_type_hints(awaited)
    assert get_type_hints(blocking)["return"] is RETURNS[name]
    assert not inspect.iscoroutinefunction(blocking)
    assert inspect.iscoroutinefunction(awaited)
    summaries = [(inspect.getdoc(method) or "").split(".")[0] for method in (blocking, awaited)]
    assert summaries[0]
    assert summaries[0] == summaries[1]


def test_help_shows_the_parameters_of_send() -> None:
    """The interactive help shows every parameter with its default, and the type that is returned."""
    shown = pydoc.plain(pydoc.render_doc(Client.send))
    for parameter in inspect.signature(Client.send).parameters.values():
        assert str(parameter) in shown
    assert "encrypt: bool = True" in shown
    assert re.search(r"\) -> (messaging_api\.client\.messages\.)?Sent\n", shown)


@pytest.mark.parametrize(
    "text",
    [
        f"https://msg.example/msg/{ID}",
        f"https://msg.example/msg/{ID}#",
        f"  http://[::1]:5000/base/path/msg/{ID}#{SECRET}\n",
        f"https://msg.example/msg/{ID.upper()}#{SECRET}.p",
        f"https://msg.example/msg/{ID}?utm_source=chat#{SECRET}",
        f"https://msg.example/msg/{ID}/#{SECRET}",
    ],
)
def test_links_are_parsed(text: str) -> None:
    """Links may lack a key, be below a path, use upper case, and contain a query. The address has no key."""
    link = Link.parse(text, "msg")
    assert link.address.lower().endswith(f"/msg/{ID}")
    assert (link.key is None) == (SECRET not in text)
    assert Link.parse(link.with_key(link.key), "msg") == link
    assert ID not in repr(link).lower()
    assert SECRET not in repr(link)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        f"/msg/{ID}",
        f"ftp://msg.example/msg/{ID}",
        f"https:///msg/{ID}",
        f"https://me:hush@msg.example/msg/{ID}",
        f"https://msg.example:port/msg/{ID}",
        f"https://msg.example/msg/{ID[:-1]}",
        f"https://msg.example/msg/{ID}/more",
        f"https://msg.example/receipt/{ID}",
        f"https://msg.example/msg/{ID}#{SECRET[1:]}",
        f"https://mśg.example/msg/{ID}",
        f"https://msg.example/\tmsg/{ID}",
        f"https://msg example/msg/{ID}",
    ],
)
def test_invalid_links_raise_bad_link(text: str) -> None:
    """Anything else raises BadLink, which does not repeat the text."""
    with pytest.raises(BadLink) as caught:
        Link.parse(text, "msg")
    assert ID not in str(caught.value)


@given(st.text() | st.text("htps:/.?#@[]%é \t").map("https://".__add__))
def test_any_text_is_an_address_or_raises_bad_link(text: str) -> None:
    """No text makes the parser of addresses fail in another way."""
    with contextlib.suppress(BadLink):
        assert urlsplit(server_address(text)).scheme in ("http", "https")
