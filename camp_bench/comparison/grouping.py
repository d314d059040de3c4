"""Which runs stand in one table, and which of a table's runs one row stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from camp_bench.comparison.differences import all_but_seed
from camp_bench.comparison.loading import FinishedRun

__all__ = ["RowRuns", "group_runs", "letter_of", "rows_of"]


@dataclass(frozen=True, slots=True, eq=False)
class RowRuns:
    """The runs of one row, by seed; label: the model's name, with what tells it from its namesakes."""

    label: str
    runs: tuple[FinishedRun, ...]


def group_runs(runs: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """Return the runs of each task and protocol, in the order in which these first appear."""
    groups: dict[tuple[str, str], list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault((run.evaluation.task_fingerprint, run.evaluation.protocol), []).append(run)
    return list(groups.values())


def rows_of(runs: Sequence[FinishedRun]) -> tuple[list[RowRuns], list[str]]:
    """Return the rows of one group, and a note for each run that was left out.

    Weights that were evaluated twice on the same images, in a run and again by `camp-bench evaluate`, count once.
    """
    notes = []
    by_row: dict[bytes, list[FinishedRun]] = {}
    for run in runs:
        own = all_but_seed(run.record) + run.evaluation.features_fingerprint.encode()
        members = by_row.setdefault(own, [])
        twin = next((other for other in members if _same_weights(run, other)), None)
        if twin is None:
            members.append(run)
        else:
            notes.append(f"{run.record.run_id} has the weights of {twin.record.run_id} and isn't counted again")
    groups = list(by_row.values())
    labels = _labels([group[0] for group in groups])
    ordered = [tuple(sorted(group, key=lambda run: run.record.config.seed)) for group in groups]
    return [RowRuns(label, group) for label, group in zip(labels, ordered, strict=True)], notes


def letter_of(number: int) -> str:
    """Return a, b, ..., z, a1, b1, ... for 0, 1, ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26}"


def _same_weights(one: FinishedRun, other: FinishedRun) -> bool:
    same = (one.record.weights_sha256, one.record.config.seed) == (
        other.record.weights_sha256,
        other.record.config.seed,
    )
    return same and np.array_equal(one.results.t2i_ranks, other.results.t2i_ranks)


def _labels(firsts: Sequence[FinishedRun]) -> list[str]:
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


def _facts(run: FinishedRun) -> dict[str, Any]:
    config: dict[str, Any] = msgspec.to_builtins(run.record.config)
    facts = {key: value for key, value in config.items() if key not in ("settings", "options", "seed", "data")}
    facts |= {**config["settings"], **config["options"]}
    facts["training"] = run.record.dataset.train_fingerprint[:6]
    facts["features"] = run.evaluation.features_fingerprint[:6]
    return facts
