"""Models of other people: `package.module:Class`, or a name that an installed package registers.

A package registers `name = "package.module:Class"` in its entry-point group `camp_bench.models`. Loading one runs its
code, so that only happens where a user names it: on the command line, or in code that calls `load_plugin`. A name in a
record or in an experiment file alone loads nothing.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import msgspec

from camp_bench.errors import ConfigError, nearest
from camp_bench.models import presets
from camp_bench.models.base import PairModel, Variant

__all__ = ["GROUP", "find_plugin", "is_plugin", "load_plugin"]

GROUP = "camp_bench.models"
"""The entry-point group."""
FAMILIES = ("vsepp", "scan", "camp")
"""What stands before the colon in the names of this package's own models."""

_loaded: dict[str, Variant] = {}


def is_plugin(name: str) -> bool:
    """Return whether a model's name is that of a plug-in, loaded or not: `module:Class`, or a registered one."""
    module, colon, _ = name.partition(":")
    if module in FAMILIES:
        return False
    return bool(colon and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name)) or name in _registered()


def find_plugin(name: str) -> Variant | None:
    """Return a plug-in that was loaded before, None if the name is no plug-in's; ConfigError for one not loaded."""
    if name in _loaded or not is_plugin(name):
        return _loaded.get(name)
    raise ConfigError(
        f"model '{name}' is a plug-in, which would run its code; that is done only where you name it yourself: "
        f"pass --models {name}, or --allow-plugins for those that a file names"
    )


def load_plugin(name: str) -> Variant:
    """Import a plug-in and return it as a model that runs may name from now on.

    Modules are looked for where Python looks, then in the current folder. Raises ConfigError where there is none, where
    importing it fails, or where what it names is not a `PairModel` that can be built.
    """
    if name in _loaded:
        return _loaded[name]
    if not is_plugin(name):
        raise ConfigError(f"model '{name}' is no plug-in; expected package.module:Class{nearest(name, _registered())}")
    module, _, attribute = _registered().get(name, name).partition(":")
    found = _import(name, module, attribute)
    if not (inspect.isclass(found) and issubclass(found, PairModel)):
        raise ConfigError(f"model '{name}': {attribute} of {module} is not a class derived from camp_bench.PairModel")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ConfigError(f"model '{name}': {attribute} lacks the methods {missing}; see camp_bench.PairModel")
    _loaded[name] = _variant(name, found)
    return _loaded[name]


def _registered() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def _import(name: str, module: str, attribute: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 (another's code may raise anything; it is said, with where it comes from)
        raise ConfigError(
            f"model '{name}': importing {module} failed with {type(error).__name__}: {error}; "
            f"expected a module that can be imported from here"
        ) from None
    if not hasattr(found, attribute):
        hint = nearest(attribute, vars(found))
        raise ConfigError(f"model '{name}': {module} has no {attribute}{hint}; expected the name of a class in it")
    return getattr(found, attribute)


def _variant(name: str, model: type[PairModel]) -> Variant:
    base = {"quick": presets.QUICK, "paper-f30k": presets.PAPER, "paper-coco": presets.PAPER}
    if unknown := sorted(set(model.presets) - set(base)):
        raise ConfigError(f"model '{name}': presets has '{unknown[0]}'; expected {', '.join(base)}")
    try:
        settings = {key: msgspec.structs.replace(value, **model.presets.get(key, {})) for key, value in base.items()}
        options = model.options_type()
    except TypeError as error:
        raise ConfigError(f"model '{name}': presets or options_type can't be used: {error}") from None
    summary = (inspect.getdoc(model) or "no description").splitlines()[0].rstrip(".")
    return Variant(name=name, model=model, options=options, settings=settings, source="plug-in", summary=summary)
