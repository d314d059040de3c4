"""From plain values to the structs of an experiment, what doesn't fit being told in an experiment file's words."""

from __future__ import annotations

import re
import typing
from typing import Any, TypeVar

import msgspec

from camp_bench.config.structs import Stage
from camp_bench.errors import ConfigError, nearest

__all__ = ["convert", "explain_invalid"]

_Kind = TypeVar("_Kind", bound=msgspec.Struct)


def convert(values: dict[str, Any], kind: type[_Kind]) -> _Kind:
    """Return a struct of these values; ConfigError where they are no such struct."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(explain_invalid(error, kind)) from None


def explain_invalid(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """Say what msgspec found wrong with a struct of that kind, in the words of an experiment file."""
    found = re.fullmatch(r"(.*?)(?: - at `\$\.?(.*)`)?", str(error), re.DOTALL)
    assert found is not None  # both groups may be empty, so every text matches
    text, field = found[1], found[2] or ""
    unknown = re.search(r"unknown field `(.+?)`", text, re.DOTALL)
    if unknown:
        stage = re.match(r"stages\[", field)
        known = (Stage if stage else kind).__struct_fields__
        where = f"{field}: " if stage else ""
        return f"{where}unknown key '{unknown[1]}'{nearest(unknown[1], known)}; known: {', '.join(known)}"
    value = re.fullmatch(r"Invalid enum value (.+)", text, re.DOTALL)
    if value and field in kind.__struct_fields__:
        choices = [str(choice) for choice in typing.get_args(typing.get_type_hints(kind)[field])]
        got = value[1].strip("'")
        return f"{field}: got '{got}', expected {' or '.join(choices)}{nearest(got, choices)}"
    told = f"{field}: {text[:1].lower()}{text[1:]}" if field else text
    return told + _TABLES_MEANT.get((kind.__name__, field), "")


_TABLES_MEANT = {
    ("Experiment", "model"): "; name models with models = ['NAME'], and set what is one model's own in [model.NAME]",
    ("Experiment", "models"): "; write models = ['NAME'], and set what is one model's own in [model.NAME]",
}
