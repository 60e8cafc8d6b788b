"""Checks of single values of the spec, each with a message of ours.

They run before pydantic's own and never convert: `"5000"` is not a port, `no` is not false.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Final

from provision.model.complaints import complain, shown
from provision.model.naming import NAME_MAX, NAME_MIN, default_name, is_name
from provision.model.suggest import choice_meant, did_you_mean
from provision.model.units import parse_size, suggested_size

Check = Callable[[object], object]

MAX_TAGS: Final = 40  # AWS allows 50 on a resource; the rest is for the program's own.
TAG_KEY_MAX: Final = 128
TAG_VALUE_MAX: Final = 256
# AWS' character set for tags; letters and digits of any script.
_TAG_TEXT: Final = re.compile(r"[\w .:/=+@-]*")
_YES: Final = ("yes", "on", "true")
_NO: Final = ("no", "off", "false")


def _text(value: object, what: str) -> str:
    """`value` if it is text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise complain(f"must be {what}, not {shown(value)}", _quotes_hint(value))


def _quotes_hint(value: object) -> str:
    if isinstance(value, float):  # as written it may have been 1.10 or 1e3
        return "write it in quotes"
    return f'write it in quotes: "{shown(value)}"' if isinstance(value, int) else ""


def check_name(value: object) -> object:
    """The name of a stack."""
    if isinstance(value, str) and is_name(value):
        return value
    written = isinstance(value, str | int | float) and value != ""
    word = value if isinstance(value, str) else shown(value)
    hint = _quotes_hint(value) if is_name(word) else did_you_mean(default_name(word))
    rule = f"{NAME_MIN} to {NAME_MAX} lower-case letters, digits and single dashes"
    message = f"must be {rule}, from a letter to a letter or digit, not {shown(value)}"
    raise complain(message, hint if written else "")


def one_of(choices: Iterable[str]) -> Check:
    """A check that a value is one of `choices`."""
    allowed = tuple(choices)

    def check(value: object) -> object:
        if isinstance(value, str) and value in allowed:
            return value
        word = value if isinstance(value, str) else shown(value)
        listed = ", ".join(f"`{choice}`" for choice in allowed)
        hint = did_you_mean(choice_meant(word, allowed))
        raise complain(f"must be one of {listed}, not {shown(value)}", hint)

    return check


def whole_number(low: int, high: int, *, or_auto: bool = False) -> Check:
    """A check that a value is a whole number from `low` to `high`, or perhaps `auto`."""
    what = ("`auto` or " if or_auto else "") + f"a whole number from {low} to {high}"

    def check(value: object) -> object:
        if or_auto and value == "auto":
            return value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise complain(f"must be {what}, not {shown(value)}", _number_hint(value, or_auto))

    return check


def _number_hint(value: object, or_auto: bool) -> str:
    if isinstance(value, str) and re.fullmatch("[0-9]+", value):
        return "write it without quotes and without a leading zero"
    if or_auto and isinstance(value, str):
        return did_you_mean(choice_meant(value, ["auto"]))
    return "write a value or remove the line" if value is None else ""


def auto_or_bool(value: object) -> object:
    """`auto`, true or false."""
    if isinstance(value, bool) or value == "auto":
        return value
    word = value.lower() if isinstance(value, str) else ""
    meant = "true" if word in _YES else "false" if word in _NO else None
    raise complain(f"must be `auto`, true or false, not {shown(value)}", did_you_mean(meant))


def auto_or_size(value: object) -> object:
    """`auto` or an amount of memory with its unit."""
    if value == "auto":
        return value
    text = value if isinstance(value, str) else ""
    try:
        if parse_size(text) > 0:
            return text
    except ValueError:
        pass
    what = "`auto` or a size with a unit such as `512MiB` or `2GB`"
    raise complain(f"must be {what}, not {shown(value)}", _size_hint(value))


def _size_hint(value: object) -> str:
    bare = isinstance(value, int | float) and not isinstance(value, bool)
    meant = suggested_size(str(value)) if bare or isinstance(value, str) else None
    return did_you_mean(meant) if meant and parse_size(meant) else ""


def check_address(value: object) -> object:
    """An IP address to listen on, in its shortest form."""
    text = _text(value, "an IP address such as `127.0.0.1` or `::1`")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        message = f"must be an IP address such as `127.0.0.1` or `0.0.0.0`, not {shown(text)}"
        raise complain(message, _address_hint(text)) from None
    # What counts as loopback among the IPv4-mapped ones depends on Python's version.
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        raise complain(f"{shown(text)} is an IPv4 address", did_you_mean(str(mapped)))
    if address.is_multicast or "%" in text:
        raise complain(f"{shown(text)} is not an address that a server can listen on")
    return str(address)


def _address_hint(text: str) -> str:
    if text.startswith("["):
        return "write an IPv6 address without brackets"
    if re.fullmatch(r"[0-9.]+:[0-9]+|localhost:[0-9]+", text):
        return "the port belongs under `server`"
    meant = {"localhost": "127.0.0.1", "*": "0.0.0.0", "all": "0.0.0.0"}  # noqa: S104 - a hint
    return did_you_mean(meant.get(text))


def check_folder(value: object) -> object:
    """A path of a folder, or nothing. Text only: whether it exists is not looked at."""
    if value is None:
        return None
    text = _text(value, "the path of a folder")
    if not text.isprintable():
        raise complain(f"holds a character that cannot be printed: {shown(text)}")
    if re.match("[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise complain(f"must be a folder on this machine, not the URL {shown(text)}")
    if not posixpath.normpath(text).strip("./ "):
        why = "must be a folder of its own, because it goes when the stack's data is deleted"
        raise complain(f"{why}, not {shown(text)}", "name a folder, such as `artifacts`")
    if re.search(r"^~|\$[A-Za-z_({]", text):
        hint = "write the path in full, or relative to this file"
        raise complain(f"`~` and variables are not replaced here: {shown(text)}", hint)
    return text


def check_date(value: object) -> object:
    """A calendar day, or nothing."""
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    # fromisoformat alone would also take `20270131` and `2027-W04-7`.
    if isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise complain(f"{value} is not a day of the calendar") from None
    raise complain(f"must be a date such as `2027-01-31`, not {shown(value)}")


def check_tags(value: object) -> object:
    """The section of tags: its size; keys and values have their own checks."""
    tags = empty_section(value)
    if isinstance(tags, dict) and len(tags) > MAX_TAGS:
        raise complain(f"at most {MAX_TAGS} tags, not {len(tags)}")
    return tags


def check_tag_key(value: object) -> object:
    """The key of a tag, within the rules of AWS."""
    text = _tag_text(value, "the key of a tag")
    if not 1 <= len(text) <= TAG_KEY_MAX:
        raise complain(f"a tag's key has 1 to {TAG_KEY_MAX} characters, not {len(text)}")
    for prefix, owner in (("aws:", "AWS"), ("provision:", "this program")):
        if text.lower().startswith(prefix):
            raise complain(f"keys that start with `{prefix}` are reserved for {owner}")
    return text


def check_tag_value(value: object) -> object:
    """The value of a tag, within the rules of AWS; may be empty."""
    text = _tag_text(value, "the value of a tag")
    if len(text) > TAG_VALUE_MAX:
        raise complain(f"a tag's value has at most {TAG_VALUE_MAX} characters, not {len(text)}")
    return text


def _tag_text(value: object, what: str) -> str:
    text = value if value == "" and isinstance(value, str) else _text(value, f"text, as {what}")
    if _TAG_TEXT.fullmatch(text) is None:
        allowed = "letters, digits, spaces and _ . : / = + - @"
        raise complain(f"{what} may hold {allowed}, not {shown(_first_foreign(text))}")
    return text


def _first_foreign(text: str) -> str:
    return next(c for c in text if _TAG_TEXT.fullmatch(c) is None)


def empty_section(value: object) -> object:
    """A section whose settings are all commented out reads as null: that is one without any."""
    if value is None:
        return {}
    if isinstance(value, str | int | float | list | tuple):
        raise complain(f"must be a section of settings, not {shown(value)}", "indent them below it")
    return value


def as_tuple(value: object) -> object:
    """A list as the tuple that a frozen model holds; null as an empty one."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(value)
    hint = f"write it as [{shown(value)}]" if isinstance(value, str) and value else ""
    raise complain(f"must be a list, not {shown(value)}", hint)
