"""Addresses of servers, and what came from there, in words for an error."""

from __future__ import annotations

from urllib.parse import urlsplit


def check_url(url: str) -> str:
    """A server's address without the slash at its end; one with a secret is refused unseen."""
    try:
        parts = urlsplit(url)
        host, good = parts.hostname, parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        host, good = None, False
    if not set("@?#").isdisjoint(url):  # in whatever stands there
        raise ValueError(
            f"url of {host}: expected http://host:port/path without name, password or query; a key "
            "is given by an argument or the environment"
        )
    if not good or not host or not url.isascii() or any(c.isspace() for c in url):
        raise ValueError(f"url: expected http://host:port or https://host:port, got {url!r}")
    return url.rstrip("/")


def pause(again: int) -> float:
    """Seconds to wait before a request is sent again: 0.2, 0.4, 0.8 and so on, at most 5."""
    return min(5.0, 0.2 * 2.0**again)


def short(value: object) -> str:
    """What came from a server, on one line of at most 200 characters."""
    shown = repr(value)
    return shown if len(shown) <= 200 else shown[:200] + "..."
