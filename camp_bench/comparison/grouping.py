"""Which runs stand in one table, and which of a table's runs one row stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from camp_bench.comparison.differences import all_but_seed, how_scored, what_scored
from camp_bench.errors import ConfigError, nearest
from camp_bench.records import EvaluationRecord, RunRecord

__all__ = ["Evaluated", "RowRuns", "choose_rows", "find_row", "group_runs", "letter_of", "rows_of"]


@runtime_checkable
class Evaluated(Protocol):
    """One evaluation of one run, with its results by image or without."""

    @property
    def record(self) -> RunRecord: ...

    @property
    def evaluation(self) -> EvaluationRecord: ...


_Run = TypeVar("_Run", bound=Evaluated)


@dataclass(frozen=True, slots=True, eq=False)
class RowRuns(Generic[_Run]):
    """The runs of one row, by seed; label: the model's name, with what tells it from its namesakes."""

    label: str
    runs: tuple[_Run, ...]


def group_runs(runs: Sequence[_Run]) -> list[list[_Run]]:
    """Return the runs of each task and protocol, in the order in which these first appear."""
    groups: dict[tuple[str, str], list[_Run]] = {}
    for run in runs:
        groups.setdefault((run.evaluation.task_fingerprint, run.evaluation.protocol), []).append(run)
    return list(groups.values())


def rows_of(runs: Sequence[_Run]) -> tuple[list[RowRuns[_Run]], list[str]]:
    """Return the rows of one group, and a note for each run that was left out.

    Weights that were evaluated twice on the same images, in a run and again by `camp-bench evaluate`, count once. Other
    weights of the same seed, an external system's other files say, are no other seed: they make a row of their own.
    """
    notes = []
    by_row: dict[tuple[bytes, str], list[list[_Run]]] = {}
    for run in runs:
        rows = by_row.setdefault((all_but_seed(run.record), how_scored(run.record, run.evaluation)), [])
        same = [(row, other) for row in rows for other in row if other.record.config.seed == run.record.config.seed]
        twin = next((other for _, other in same if what_scored(other.record) == what_scored(run.record)), None)
        if twin is not None:
            notes.append(f"{run.record.run_id} has the weights of {twin.record.run_id} and isn't counted again")
            continue
        taken = [id(row) for row, _ in same]
        row = next((row for row in rows if id(row) not in taken), None)
        if row is None:
            rows.append([run])
        else:
            row.append(run)
    groups = [row for rows in by_row.values() for row in rows]
    labels = _labels([group[0] for group in groups])
    ordered = [tuple(sorted(group, key=lambda run: run.record.config.seed)) for group in groups]
    return [RowRuns(label, group) for label, group in zip(labels, ordered, strict=True)], notes


def choose_rows(
    groups: Sequence[RowRuns[_Run]], names: Sequence[str] | None, option: str = "--models"
) -> list[RowRuns[_Run]]:
    """Return the rows of the given names, all for None: labels, models, or families such as `scan`.

    Raises ConfigError for a name that is none's.
    """
    if names is None:
        return list(groups)
    labels = list(dict.fromkeys(group.label for group in groups))
    for name in names:
        if not any(_is_called(name, label) for label in labels):
            raise ConfigError(f"{option}: no row '{name}'; there are {', '.join(labels)}{nearest(name, labels)}")
    return [group for group in groups if any(_is_called(name, group.label) for name in names)]


def find_row(labels: Mapping[str, str], name: str | None) -> str | None:
    """Return the letter of the one row of that name, None where there is none; ConfigError where there are several.

    labels: by letter.
    """
    if name is None:
        return None
    found = [letter for letter, label in labels.items() if label == name]
    found = found or [letter for letter, label in labels.items() if _is_called(name, label)]
    if len(found) > 1:
        told = ", ".join(labels[letter] for letter in found)
        raise ConfigError(f"--reference: '{name}' names {len(found)} rows, expected one of {told}")
    return found[0] if found else None


def _is_called(name: str, label: str) -> bool:
    """Return whether a name is a label, its model without the settings, or its family."""
    model = label.partition(" ")[0]
    return name in (label, model, model.partition(":")[0])


def letter_of(number: int) -> str:
    """Return a, b, ..., z, a1, b1, ... for 0, 1, ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26}"


def _labels(firsts: Sequence[Evaluated]) -> list[str]:
    """Return a label for each row: the model, followed where needed by one or two settings that differ, or a number."""
    names = [run.record.config.model for run in firsts]
    labels = list(names)
    for name in [name for name, count in Counter(names).items() if count > 1]:
        places = [place for place, other in enumerate(names) if other == name]
        facts = [_facts(firsts[place]) for place in places]
        keys = sorted({key for fact in facts for key in fact if len({repr(other.get(key)) for other in facts}) > 1})
        for number, (place, fact) in enumerate(zip(places, facts, strict=True), 1):
            told = ", ".join(f"{key}={fact.get(key)}" for key in keys)
            labels[place] = f"{name} ({told})" if 0 < len(keys) <= 2 else f"{name} #{number}"
    return labels


def _facts(run: Evaluated) -> dict[str, Any]:
    config: dict[str, Any] = msgspec.to_builtins(run.record.config)
    facts = {key: value for key, value in config.items() if key not in ("settings", "options", "seed", "data")}
    facts |= {**(config["settings"] or {}), **config["options"]}
    facts["training"] = (run.record.dataset.train_fingerprint or "")[:6]
    facts["scored"] = run.evaluation.scored_as or "all in fp32"
    facts["transductive"] = run.evaluation.transductive
    facts["features"] = (run.evaluation.features_fingerprint or "")[:6]
    return facts
