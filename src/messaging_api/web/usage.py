"""The help that `curl URL` shows."""

_USAGE = """\
messaging_api: post a message, get a link that nobody can guess. Whoever has the link can read the message.

  curl -F message=hello -F reads=1 -F ttl=1h {url}      # for one reader, for one hour
  echo hello | curl -F message='<-' {url}               # standard input
  curl -T notes.txt {url}/                              # a file
  curl --data-urlencode 'message=salt & pepper' {url}   # any text
  curl -H 'Accept: text/plain' LINK                     # read a message: spends one of its reads

The longest ttl is {max_ttl} seconds. The response has a receipt: it shows the state, and DELETE burns the message.
More examples: {url}/docs   For programs: {url}/openapi.json, and Accept: application/json
"""


def is_command_line(user_agent: bytes) -> bool:
    """Return whether a person probably reads the response, in a terminal."""
    return user_agent.startswith((b"curl/", b"Wget/"))


def usage(url: str, max_ttl: int) -> bytes:
    """Return the help of the service at this address. `max_ttl` is in seconds."""
    return _USAGE.format(url=url, max_ttl=max_ttl).encode()
