"""The Python client. `docs/client.md` shows it at work.

with Client("https://msg.example") as client:
    sent = client.send("hello", reads=1)
    print(sent.link)
"""

from messaging_api.client.client import AsyncClient, Client
from messaging_api.client.envelope import Key, decrypt, encrypt, is_envelope
from messaging_api.client.errors import (
    BadLink,
    Busy,
    CannotOpen,
    ClientError,
    Damaged,
    Full,
    KeyMissing,
    NoMessage,
    NotAnEnvelope,
    NotTheService,
    PasswordMissing,
    ReadInterrupted,
    Refused,
    TokenNeeded,
    TooLong,
    UnknownVersion,
    Unreachable,
    WrongPassword,
)
from messaging_api.client.links import Link
from messaging_api.client.results import Message, Receipt, ReceiptState, Sent, ServerLimits
from messaging_api.client.retry import RetryPolicy

__all__ = [
    "AsyncClient",
    "BadLink",
    "Busy",
    "CannotOpen",
    "Client",
    "ClientError",
    "Damaged",
    "Full",
    "Key",
    "KeyMissing",
    "Link",
    "Message",
    "NoMessage",
    "NotAnEnvelope",
    "NotTheService",
    "PasswordMissing",
    "ReadInterrupted",
    "Receipt",
    "ReceiptState",
    "Refused",
    "RetryPolicy",
    "Sent",
    "ServerLimits",
    "TokenNeeded",
    "TooLong",
    "UnknownVersion",
    "Unreachable",
    "WrongPassword",
    "decrypt",
    "encrypt",
    "is_envelope",
]
