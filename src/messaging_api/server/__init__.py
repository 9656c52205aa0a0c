"""The HTTP server: sockets, TLS, HTTP/1.1, limits and timeouts."""
