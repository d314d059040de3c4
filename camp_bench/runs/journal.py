"""What a job has kept so far, in a folder of its own: so that a run that was killed goes on.

    results/.work/<job>/job.json   what it is: model, seed, data, the experiment, the command
                        state      how far it is: a line of JSON, then the state of the training (`runs.memory`)

Both are written whole or not at all. A state holds only where it was made: another number of threads, another device
or torch would end in other last bits, so the job then starts anew.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from camp_bench.config import Experiment
from camp_bench.machine.devices import describe_device
from camp_bench.records import WORK_NAME, claim, is_claimed, write_whole
from camp_bench.runs.memory import State

__all__ = ["Entry", "Journal", "Kept", "list_journals"]

JOB_NAME, STATE_NAME = "job.json", "state"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a job is. ignored: ids of finished runs that don't count as its own, as it was begun anew."""

    job: str
    model: str
    seed: int
    data: str
    command: tuple[str, ...]
    experiment: Experiment
    ignored: tuple[str, ...] = ()


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first line of a state. epoch: the one that it is in, or has just ended; where: it was made."""

    sha256: str
    epoch: int
    epochs: int
    where: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands in a journal. epoch: 0 where no state was kept. entry: None where it can't be read."""

    folder: Path
    entry: Entry | None
    epoch: int
    epochs: int
    claimed: bool
    size_bytes: int


class Journal:
    """The journal of one job."""

    def __init__(self, results: Path, job: str, device: torch.device) -> None:
        self.job, self._results = job, results
        self.folder = results / WORK_NAME / job[:16]
        self._where = (
            f"{torch.get_num_threads()} threads, {device} {describe_device(device)}, torch {torch.__version__}"
        )

    @contextmanager
    def claimed(self, *, wait: bool = False) -> Iterator[bool]:
        """Yield whether this process alone has the job within the block; raises as `claim` does."""
        with claim(self._results, self.folder.name, wait=wait) as mine:
            yield mine

    def place(self) -> tuple[int, int] | None:
        """Return the epoch that the state is in and how many there are; None where none can be used."""
        head = _read_head(self.folder / STATE_NAME)
        return None if head is None or head.where != self._where else (head.epoch, head.epochs)

    def entry(self) -> Entry | None:
        """Return what the job is, None where it hasn't begun."""
        return _read_entry(self.folder)

    def save(self, entry: Entry, state: State, epoch: int, epochs: int) -> None:
        """Write the state in place of the last one; raises OSError."""
        if self.entry() != entry:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / JOB_NAME, msgspec.json.encode(entry))
        stream = io.BytesIO()
        torch.save(state, stream)
        content = stream.getbuffer()
        head = _Head(sha256=hashlib.sha256(content).hexdigest(), epoch=epoch, epochs=epochs, where=self._where)
        write_whole(self.folder / STATE_NAME, b"".join((msgspec.json.encode(head), b"\n", content)))

    def load(self) -> State | None:
        """Return the last state, None where there is none, or it was damaged or made elsewhere."""
        if self.place() is None:
            return None
        try:
            line, _, content = (self.folder / STATE_NAME).read_bytes().partition(b"\n")
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != msgspec.json.decode(line, type=_Head).sha256:
            return None
        state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return state

    def remove(self) -> None:
        """Remove what was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def list_journals(results: Path) -> list[Kept]:
    """Return what unfinished jobs have kept below `results`, by their folders; raises OSError."""
    work = results / WORK_NAME
    folders = sorted(path for path in work.iterdir() if path.is_dir()) if work.is_dir() else []
    found = []
    for folder in folders:
        head = _read_head(folder / STATE_NAME)
        size = sum(file.lstat().st_size for file in folder.rglob("*"))
        epoch, epochs = (0, 0) if head is None else (head.epoch, head.epochs)
        found.append(Kept(folder, _read_entry(folder), epoch, epochs, is_claimed(results, folder.name), size))
    return found


def _read_head(file: Path) -> _Head | None:
    try:
        with file.open("rb") as stream:
            return msgspec.json.decode(stream.readline(1 << 16), type=_Head)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _read_entry(folder: Path) -> Entry | None:
    try:
        return msgspec.json.decode((folder / JOB_NAME).read_bytes(), type=Entry)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
