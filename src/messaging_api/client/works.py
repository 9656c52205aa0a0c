"""Each of the client's methods, as work that is still to be done; `shells.py` runs it in two colours."""

from datetime import datetime, timedelta

from messaging_api.client import flows
from messaging_api.client.flows import Outgoing
from messaging_api.client.links import server_address
from messaging_api.client.results import Message, Receipt, Sent, ServerLimits
from messaging_api.client.retry import Flow, RetryPolicy


class FlowFactory:
    """What a client can be asked to do."""

    def __init__(self, server: str | None, token: str | None, policy: RetryPolicy) -> None:
        self._server = None if server is None else server_address(server)
        self._token = token
        self._patience = policy

    def send(  # noqa: PLR0913 keywords, one for each option of the contract
        self,
        text: str,
        *,
        ttl: int | timedelta | None = None,
        expires_at: datetime | None = None,
        reads: int | None = None,
        password: str | None = None,
        encrypt: bool = True,
    ) -> Flow[Sent]:
        """Encrypt `text` and send it; its link opens it.

        It lives `ttl` (seconds) or until `expires_at` (with a time zone), else as long as the service chooses, for
        `reads` readers, else for any number. `encrypt=False` lets the service see it. Raises TooLong, RequestRejected,
        ServerBusy, Unreachable, UnexpectedResponse; ValueError for an empty text or password.
        """
        out = Outgoing(text, ttl, expires_at, reads, password, encrypt)
        return flows.send(self._to(), self._token, out, self._patience)

    def read(self, link: str, password: str | None = None) -> Flow[Message]:
        """Read and decrypt a message; spends one of its reads, if they are counted.

        Raises BadLink, and PasswordMissing if the link asks for a password, before anything is spent; NoMessage,
        ReadInterrupted, ServerBusy, Unreachable, UnexpectedResponse; DecryptionFailed, with its envelope.
        """
        return flows.read(link, password, self._patience)

    def fetch(self, link: str) -> Flow[Message]:
        """As `read`, without decrypting: the text is the envelope."""
        return flows.fetch(link, self._patience)

    def receipt(self, link: str) -> Flow[Receipt]:
        """What became of the message. Raises BadLink, NoMessage, ServerBusy, Unreachable."""
        return flows.receipt(link, self._patience)

    def burn(self, link: str) -> Flow[Receipt]:
        """Make the message unreadable now; the state after that: `read` or `expired` if it came too late."""
        return flows.receipt(link, self._patience, "DELETE")

    def limits(self) -> Flow[ServerLimits]:
        """What the service accepts."""
        return flows.limits(self._to(), self._patience)

    def _to(self) -> str:
        if self._server is None:
            raise ValueError("to send, a client needs a server's address")
        return self._server
