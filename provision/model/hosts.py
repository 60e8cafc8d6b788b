"""Checks of the names under which clients may call a server, and of browser origins."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from provision.model.complaints import complain, shown

HOST_MAX: Final = 253  # RFC 1035, as text
# Top-level names that nobody can register publicly: RFC 6762 appendix G, RFC 2606, RFC 8375.
_PRIVATE: Final = frozenset(
    ("corp", "home", "internal", "intranet", "lan", "local", "localhost", "private", "test")
)
_LABEL: Final = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def check_host(value: object) -> object:
    """A host, `host:port` or `*.domain` from a client's URL, in lower case.

    MLflow compares the whole Host header, and takes any `*` in an entry as a wildcard over every
    character (`is_allowed_host_header` in mlflow/server/security_utils.py), so a wildcard is
    allowed only in front of a domain that belongs to someone.
    """
    if not isinstance(value, str) or not value:
        raise complain(f"must be a host or host:port, not {shown(value)}")
    text = value.lower()
    if text == "*":
        why = "`*` lets every host name in and switches off MLflow's protection from DNS rebinding"
        raise complain(why, "write the names that clients use, such as `*.lab.example`")
    if "://" in text or "/" in text:
        raise complain(f"must be a host without scheme and path, not {shown(value)}", _bare(text))
    _check_host_port(text.removeprefix("*."), value)
    if text.startswith("*."):
        _check_wildcard(text)
    return text


def check_domain(value: object) -> object:
    """One name of a host, without port and wildcard, in lower case; or nothing."""
    if value is None:
        return None
    text = value.lower() if isinstance(value, str) else ""
    if "." in text and _NAME.fullmatch(text) and len(text) <= HOST_MAX and not _is_number(text):
        return text
    hint = _bare(text) if "/" in text else ""
    raise complain(f"must be a name such as `mlflow.lab.example`, not {shown(value)}", hint)


def _is_number(text: str) -> bool:
    return text.rpartition(".")[2].isdigit()


def check_origin(value: object) -> object:
    """A browser origin: `http(s)://host[:port]`, in lower case."""
    if value == "*":
        why = "`*` lets scripts of every web page change what the server holds"
        raise complain(why, "write the origins that you trust, such as `https://lab.example`")
    text = value.lower() if isinstance(value, str) else ""
    match = re.fullmatch("(https?://)([^/?#]+)(/?)", text)
    if match is None:
        example = "`https://lab.example` or `http://10.0.0.5:8080`"
        raise complain(f"must be an origin such as {example}, not {shown(value)}")
    scheme, host, slash = match.groups()
    if slash:
        raise complain(f"an origin has no path: {shown(value)}", "remove the slash at its end")
    if not _is_host_port(host):
        hint = "a wildcard is for `allowed_hosts` only" if "*" in host else ""
        raise complain(f"{shown(value)} does not name a host", hint)
    return scheme + host


def _bare(text: str) -> str:
    host = re.sub("^[a-z]*://", "", text).partition("/")[0]
    return f"did you mean `{host}`?" if _is_host_port(host) else ""


def _check_host_port(text: str, written: object) -> None:
    if _is_host_port(text):
        return
    hint = "a wildcard stands in front of a domain: `*.lab.example`" if "*" in text else ""
    if _is_ip(text, 6):
        hint = f"write an IPv6 address in brackets: `[{text}]`"
    raise complain(f"must be a host or host:port, not {shown(written)}", hint)


def _check_wildcard(text: str) -> None:
    domain = text.removeprefix("*.").partition(":")[0]
    if "." in domain or domain in _PRIVATE:
        return
    why = f"`{text}` lets in names that strangers can register"
    raise complain(why, "write a wildcard of your own domain, such as `*.lab.example`")


def _is_host_port(text: str) -> bool:
    match = re.fullmatch(r"(\[[^]]*\]|[^:\[\]]+)(?::([1-9][0-9]{0,4}))?", text)
    if match is None:
        return False
    host, port = match.groups()
    return (port is None or int(port) <= 65535) and _is_host(host)


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return _is_ip(host[1:-1], 6)
    if re.fullmatch("[0-9.]+", host):
        return _is_ip(host, 4)
    return len(host) <= HOST_MAX and _NAME.fullmatch(host) is not None


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version and "%" not in text
    except ValueError:
        return False


def check_webhook(value: object) -> object:
    """An https address that notices are posted to, or nothing."""
    if value is None:
        return None
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"https://([^/?#@\s]+)(/[!-~]*)?", text)
    if match is None or not _is_host_port(match[1].lower()):
        hint = "a name or password in it would lie open in the state" if "@" in text else ""
        hint = "SNS would send it in the clear" if text.startswith("http://") else hint
        what = "an address such as `https://alerts.example.com/sns`"
        raise complain(f"must be {what}, not {shown(_without_account(value))}", hint)
    return text


def _without_account(value: object) -> object:
    """An address as a message may show it."""
    return re.sub("//[^/@]*@", "//...@", value) if isinstance(value, str) else value
