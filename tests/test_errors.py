"""The tree of errors, as drawn, and the hint for a misspelt name."""

from __future__ import annotations

import builtins
import re

import pytest

from camp_bench import errors
from camp_bench.errors import CampBenchError, nearest

DRAWN: dict[str, str] = dict(re.findall(r"(?:\||`)-- (\w+) +(\w+)", errors.__doc__ or ""))


def test_the_tree_is_as_drawn_in_the_docstring() -> None:
    defined = {error.__name__ for error in CampBenchError.__subclasses__() if error.__module__ == errors.__name__}
    assert set(DRAWN) == defined
    assert len(DRAWN) == 7
    assert set(errors.__all__) == {*defined, "CampBenchError", "nearest"}


@pytest.mark.parametrize(("name", "builtin"), DRAWN.items())
def test_each_is_caught_as_the_builtin_that_it_stands_for(name: str, builtin: str) -> None:
    error = getattr(errors, name)
    assert error.__bases__ == (CampBenchError, getattr(builtins, builtin))
    with pytest.raises(getattr(builtins, builtin)) as caught:
        raise error("run.toml: no key 'seed'")
    assert isinstance(caught.value, CampBenchError)
    assert str(caught.value) == "run.toml: no key 'seed'"


def test_base_is_no_builtin_but_exception() -> None:
    assert CampBenchError.__bases__ == (Exception,)


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("epoch", ["epochs", "dim"], " (did you mean 'epochs'?)"),
        ("lerning_rate", ("margin", "learning_rate"), " (did you mean 'learning_rate'?)"),
        ("zzz", ["epochs", "dim"], ""),
        ("dim", [], ""),
        ("", ["dim"], ""),
    ],
)
def test_nearest_known_name(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint
    assert nearest(name, iter(known)) == hint
    assert nearest(name, dict.fromkeys(known)) == hint


def test_the_nearest_of_several_is_named_alone() -> None:
    assert (
        nearest("scan:t2i-avgg", ["scan:t2i-lse", "scan:t2i-avg", "scan:i2t-avg"]) == " (did you mean 'scan:t2i-avg'?)"
    )
