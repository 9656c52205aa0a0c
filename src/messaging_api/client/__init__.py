"""The Python client, described in `docs/client.md`.

with Client("https://msg.example") as client:
    sent = client.send("hello", reads=1)
    print(sent.link)
"""

from messaging_api.client.client import AsyncClient, Client
from messaging_api.client.envelope import Key, decrypt, encrypt, is_envelope
from messaging_api.client.errors import (
    BadLink,
    BadProxy,
    ClientError,
    Damaged,
    DecryptionFailed,
    KeyMissing,
    NoMessage,
    NotAnEnvelope,
    PasswordMissing,
    ProblemDetails,
    ReadInterrupted,
    RequestRejected,
    ServerBusy,
    ServerFull,
    TokenRequired,
    TooLong,
    UnexpectedResponse,
    UnknownVersion,
    Unreachable,
    WrongPassword,
)
from messaging_api.client.links import Link
from messaging_api.client.messages import Message, Receipt, ReceiptState, Sent, ServerLimits
from messaging_api.client.retry import RetryPolicy

__all__ = [
    "AsyncClient",
    "BadLink",
    "BadProxy",
    "Client",
    "ClientError",
    "Damaged",
    "DecryptionFailed",
    "Key",
    "KeyMissing",
    "Link",
    "Message",
    "NoMessage",
    "NotAnEnvelope",
    "PasswordMissing",
    "ProblemDetails",
    "ReadInterrupted",
    "Receipt",
    "ReceiptState",
    "RequestRejected",
    "RetryPolicy",
    "Sent",
    "ServerBusy",
    "ServerFull",
    "ServerLimits",
    "TokenRequired",
    "TooLong",
    "UnexpectedResponse",
    "UnknownVersion",
    "Unreachable",
    "WrongPassword",
    "decrypt",
    "encrypt",
    "is_envelope",
]
