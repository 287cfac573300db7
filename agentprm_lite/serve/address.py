"""Addresses of servers, and what came from there, in words for an error."""

from __future__ import annotations

from urllib.parse import urlsplit


def check_url(url: str) -> str:
    """A server's address without the slash at its end; one with a secret is refused unseen."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            f"url of {parts.hostname}: expected http://host:port/path without name, password or "
            "query; a key is given by an argument or the environment"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url: expected http://host:port or https://host:port, got {url!r}")
    return url.rstrip("/")


def pause(again: int) -> float:
    """Seconds to wait before a request is sent again: 0.2, 0.4, 0.8 and so on, at most 5."""
    return min(5.0, 0.2 * 2.0**again)


def short(value: object) -> str:
    """What came from a server, on one line of at most 200 characters."""
    shown = repr(value)
    return shown if len(shown) <= 200 else shown[:200] + "..."
