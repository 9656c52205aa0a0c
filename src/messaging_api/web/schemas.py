"""JSON bodies of requests and responses, as types.

The service decodes and encodes by these types, and the build derives the schemas of the OpenAPI contract from them. A
constraint in `_json_schema` is shown to clients and not checked on decoding: the service checks it later, against its
settings and with an error text of its own. The contract has no numbers that depend on settings; GET / returns them.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from messaging_api.core.message import MAX_READS, MIN_TTL
from messaging_api.web.options import TTL_FORMS, TTL_PATTERN


def _json_schema(description: str | None = None, **keywords: object) -> Meta:
    """Return JSON schema keywords that msgspec does not enforce."""
    return Meta(description=description, extra_json_schema=keywords)


Status = Annotated[Literal[200], Meta(description="The HTTP status, repeated.")]
Id = Annotated[str, _json_schema(format="uuid")]
Url = Annotated[str, _json_schema(format="uri")]
Time = Annotated[str, _json_schema(format="date-time")]
Text = Annotated[str, _json_schema("The text, not empty. At most max_message_bytes of GET /, as UTF-8.", minLength=1)]
Ttl = Annotated[int, _json_schema(f"Lifetime: {TTL_FORMS}. At most max_ttl of GET /.", minimum=MIN_TTL)]
Reads = Annotated[
    int,
    _json_schema("How often the message can be read; absent: unlimited.", minimum=1, maximum=MAX_READS),
]
TtlText = Annotated[str, _json_schema(pattern=f"^({TTL_PATTERN})$")]
ReadsText = Annotated[str, _json_schema(pattern="^[0-9]{1,9}$")]
ReadLimit = Annotated[int, _json_schema(minimum=1, maximum=MAX_READS)]


class CreateMessageBody(Struct, forbid_unknown_fields=True):
    """The JSON body of POST /."""

    message: Text
    ttl: Ttl | TtlText | None = None
    expires_at: Annotated[Time | None, Meta(description="When the message expires (RFC 3339), instead of ttl.")] = None
    reads: Reads | ReadsText | None = None


class CreateMessageForm(Struct, forbid_unknown_fields=True):
    """The fields of a form sent to POST /."""

    message: Text
    ttl: Ttl | TtlText | UnsetType = UNSET
    expires_at: (
        Annotated[Time, Meta(description="When the message expires (RFC 3339), instead of ttl.")] | UnsetType
    ) = UNSET
    reads: Reads | UnsetType = UNSET


class CreatedMessageBody(Struct, forbid_unknown_fields=True):
    """The response to POST /."""

    status: Status
    message_id: Annotated[Id, Meta(description="The last part of the link. It is the key: treat it as a secret.")]
    url: Annotated[Url, Meta(description="The link for the readers.")]
    expires_at: Annotated[Time, Meta(description="When the message expires.")]
    reads: Annotated[ReadLimit | None, Meta(description="How often the message can be read; null: unlimited.")]
    receipt: Annotated[Url, Meta(description="The receipt link, for the sender only.")]


class OpenedMessageBody(Struct, forbid_unknown_fields=True):
    """The response to GET /msg/{message_id}."""

    status: Status
    message: Annotated[str, Meta(description="The text of the message.")]
    expires_at: Annotated[Time, Meta(description="When the message expires.")]
    reads_left: Annotated[
        Annotated[int, _json_schema(minimum=0, maximum=MAX_READS - 1)] | None,
        Meta(description="How often the message can still be read after this; null: unlimited."),
    ]


class ReceiptBody(Struct, forbid_unknown_fields=True):
    """The response to GET and DELETE /receipt/{receipt_id}."""

    status: Status
    state: Annotated[
        Literal["available", "read", "burned", "expired"],
        Meta(description="`read`: no reads are left. `burned`: deleted by the sender."),
    ]
    expires_at: Annotated[Time, Meta(description="When the message expires, or expired.")]
    reads: Annotated[ReadLimit | None, Meta(description="How often the message could be read; null: unlimited.")]
    reads_left: Annotated[
        Annotated[int, _json_schema(minimum=0, maximum=MAX_READS)] | None,
        Meta(description="How often it can still be read: 0 in every state but `available`; null: unlimited."),
    ]


class ServiceLimits(Struct):
    """The limits of the service."""

    max_message_bytes: Annotated[int, Meta(description="Longest message, in bytes of UTF-8.")]
    max_ttl: Annotated[int, Meta(description="Longest lifetime of a message, in seconds.")]
    default_ttl: Annotated[int, Meta(description="Lifetime of a message that asks for none, in seconds.")]
    max_reads: Annotated[int, Meta(description="Highest number of reads that a message can be limited to.")]
    resume_seconds: Annotated[
        int, Meta(description="Seconds in which a read can be repeated with its Idempotency-Key; 0 = not at all.")
    ]


class DescriptionBody(Struct, forbid_unknown_fields=True):
    """The response to GET /."""

    status: Status
    service: Annotated[Literal["messaging_api"], Meta(description="The name of this software.")]
    version: Annotated[str, Meta(description="The version of the service.")]
    documentation: Annotated[str, Meta(description="The path of the documentation.")]
    limits: Annotated[ServiceLimits, Meta(description="What this service accepts.")]


class ProblemBody(Struct):
    """An error (RFC 9457)."""

    type: Annotated[str, Meta(description="Identifies the kind of error; leads to its row in /docs.")]
    title: Annotated[str, Meta(description="The kind of error, in words.")]
    status: Annotated[int, Meta(description="The HTTP status, repeated.")]
    detail: Annotated[str, Meta(description="What is wrong in this case, and what to do about it.")]


COMPONENTS = {
    "Draft": CreateMessageBody,
    "Form": CreateMessageForm,
    "Posted": CreatedMessageBody,
    "Shown": OpenedMessageBody,
    "Receipt": ReceiptBody,
    "Description": DescriptionBody,
    "Problem": ProblemBody,
}
"""The name of each schema in the contract. Generated clients use these names, so they stay as they are."""
