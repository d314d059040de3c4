"""Makes a dataset folder from pictures: region features from an extractor, in several processes of one thread each.

An extractor is named `effnet-lite0` or `module:attribute`. The attribute is called once in every process, without
arguments, and returns a function from a picture (`PIL.Image.Image`, RGB, upright) to its features, a NumPy array
(regions, feature size) of finite numbers, the same shape for every picture.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from camp_bench.data.folder.staging import Progress, Staging, finite_as, require_new
from camp_bench.data.imports.captions import CaptionedImage, caption_texts
from camp_bench.data.imports.faults import Faults
from camp_bench.data.names import STRICT_FORMS, match_names, tidy_name
from camp_bench.errors import CampBenchError, ConfigError, DataError, nearest
from camp_bench.machine.extras import install_extra

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["EXTRACTORS", "Extracted", "Extractor", "extract_folder"]

Extractor: TypeAlias = "Callable[[Image], npt.NDArray[np.floating]]"

EXTRACTORS = {"effnet-lite0": "camp_bench.data.imports.effnet:make_effnet_lite0"}
MAX_PIXELS = 100_000_000
"""Of a picture that is decoded; it takes three bytes a pixel in every process."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SHOWN_NAMES = 5
REMEDY = "mend them or give --skip-bad to leave them out with their captions"
AHEAD = 4
"""Pictures a process has before it: enough that none waits, few enough that results don't heap up."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of the pictures.

    shapes: (images, regions, feature size) of each split. made: pictures that this call extracted, not an earlier one.
    bad: file and reason of those that were left out.
    """

    shapes: dict[str, tuple[int, int, int]]
    made: int
    bad: tuple[tuple[str, str], ...]


_Task: TypeAlias = tuple[str, int, str]
"""Split, row, path."""

_Result: TypeAlias = tuple[str, int, npt.NDArray[np.floating] | str]
"""Split, row, and the features or what is wrong with the picture."""


def extract_folder(
    pictures: Path,
    dest: Path,
    images: Mapping[str, Sequence[CaptionedImage]],
    *,
    captions_plan: Mapping[str, str],
    extractor: str = "effnet-lite0",
    workers: int | None = None,
    dtype: str = "float32",
    skip_bad: bool = False,
    faults: Faults | None = None,
    restart: bool = False,
    progress: Progress,
) -> Extracted:
    """Extract the features of every split's pictures, and give the folder its place once all are there.

    workers: processes, by default one a core. A picture that is missing or can't be decoded is a DataError that names
    it, or with `skip_bad` left out with its captions. Missing ones are found at once, broken ones while the others are
    extracted; what was extracted is kept beside `dest` in any case. captions_plan: what the images were read from.
    faults: what was left out of that.
    Raises ConfigError for an extractor that can't be used.
    """
    require_new(dest)
    if importlib.util.find_spec("PIL") is None:
        raise ConfigError(f"pictures: Pillow isn't installed; {install_extra('effnet')}")
    workers = _cores() if workers is None else workers
    if workers < 1:
        raise ConfigError(f"--workers: got {workers}; expected 1 or more")
    target = _find_extractor(extractor)
    tasks, missing = _find_pictures(pictures, images)
    if missing and not skip_bad:
        raise DataError(f"{pictures}: {_told(missing)}; expected every picture of the captions; {REMEDY}")
    if not tasks:
        raise DataError(f"{pictures}: has none of the {len(missing)} pictures; expected them there; give their folder")
    workers = min(workers, len(tasks))
    plan = {"pictures": str(pictures.resolve()), "extractor": extractor, "dtype": dtype} | dict(captions_plan)
    with Staging(dest, plan, restart=restart) as staging, _pool(target, workers) as pool:
        run = _Run(staging, images, dtype, workers, progress)
        bad = run.extract(pool, tasks) + missing
        if bad and not (skip_bad and run.shape[0]):
            raise DataError(f"{pictures}: {_told(bad)}; expected pictures that can be decoded; {REMEDY}")
        kept = {
            split: [image for image, done in zip(members, staging.done(split), strict=True) if done]
            for split, members in images.items()
        }
        if empty := [split for split, members in kept.items() if not members]:
            raise DataError(f"{pictures}: no picture of {empty[0]} can be used, {_told(bad)}; expected one or more")
        staging.finish(
            caption_texts(kept), {"skipped": [name for name, _ in bad], **(faults.facts() if faults else {})}
        )
    shapes = {split: (len(members), *run.shape) for split, members in kept.items()}
    return Extracted(shapes, run.made, tuple(bad))


class _Run:
    """Writes what the processes send. The shape is that of the first picture; before it no file can be made."""

    def __init__(
        self,
        staging: Staging,
        images: Mapping[str, Sequence[CaptionedImage]],
        dtype: str,
        workers: int,
        progress: Progress,
    ) -> None:
        self._staging, self._images, self._dtype = staging, images, dtype
        self._workers, self._progress = workers, progress
        self._label = f"extracting, {workers} process{'es' * (workers > 1)}"
        self.shape: tuple[int, int] = (0, 0)
        self.made = 0

    def extract(self, pool: ProcessPoolExecutor, tasks: Sequence[_Task]) -> list[tuple[str, str]]:
        """Extract what isn't there yet and return the pictures that can't be decoded, with the reasons."""
        bad: list[tuple[str, str]] = []
        self._progress(self._label, 0, len(tasks))
        rest = deque(tasks)
        while rest and not self.shape[0]:
            self._take(next(_in_processes(pool, [rest.popleft()], 1)), bad, len(tasks))
        if not self.shape[0]:
            return bad
        there = len(tasks) - len(rest)
        waiting = [task for task in rest if not self._staging.done(task[0])[task[1]]]
        there += len(rest) - len(waiting)
        self._progress(self._label, there, len(tasks))
        for number, result in enumerate(_in_processes(pool, waiting, self._workers), there + 1):
            self._take(result, bad, len(tasks))
            self._progress(self._label, number, len(tasks))
        return bad

    def _take(self, result: _Result, bad: list[tuple[str, str]], total: int) -> None:
        split, row, features = result
        name = self._images[split][row].name
        if isinstance(features, str):
            bad.append((name, features))
            return
        if not self.shape[0]:
            self.shape = features.shape[0], features.shape[1]
            shapes = {split: (len(members), *self.shape) for split, members in self._images.items()}
            self._staging.add_features(shapes, self._dtype, self._progress)
            self._progress(self._label, 0, total)
        if features.shape != self.shape:
            raise DataError(
                f"{name}: the extractor gave features of shape {features.shape}, before {self.shape}; expected one "
                f"shape for all; mend the extractor"
            )
        if not self._staging.done(split)[row]:
            self._staging.write(split, row, finite_as(self._dtype, features[np.newaxis], f"features of {name}", 0))
            self.made += 1


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _find_extractor(name: str) -> str:
    """Return `module:attribute` of an extractor; ConfigError where it has no such form."""
    target = EXTRACTORS.get(name, name)
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(
            f"--extractor: got '{name}'{nearest(name, EXTRACTORS)}; expected {', '.join(EXTRACTORS)} or "
            f"module:attribute"
        )
    return target


def _find_pictures(
    folder: Path, images: Mapping[str, Sequence[CaptionedImage]]
) -> tuple[list[_Task], list[tuple[str, str]]]:
    """Return what there is to extract, and the pictures that aren't there."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the one with the pictures")
    tasks: list[_Task] = []
    missing: list[tuple[str, int, CaptionedImage]] = []
    for split, members in images.items():
        for row, image in enumerate(members):
            for name in image.names:
                path = PurePosixPath(tidy_name(name))
                if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:/", tidy_name(name)):
                    raise DataError(f"{image.name}: leads out of {folder}; expected a file below it; mend the captions")
            if there := [file for name in image.names if (file := folder / name).is_file()]:
                tasks.append((split, row, str(there[0])))
            else:
                missing.append((split, row, image))
    if not missing:
        return tasks, []
    taken = {path for _, _, path in tasks}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and str(path) not in taken]
    names = [path.relative_to(folder).as_posix() for path in files]
    places, _ = match_names([image.names for _, _, image in missing], names, STRICT_FORMS)
    for (split, row, _), place in zip(missing, places, strict=True):
        if place is not None:
            tasks.append((split, row, str(files[place])))
    bad = [(image.name, "no such file") for (*_, image), place in zip(missing, places, strict=True) if place is None]
    return sorted(tasks, key=lambda task: (list(images).index(task[0]), task[1])), bad


def _told(bad: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name} ({reason})" for name, reason in bad[:SHOWN_NAMES])
    more = f" and {len(bad) - SHOWN_NAMES} more" if len(bad) > SHOWN_NAMES else ""
    return f"{len(bad)} of the pictures can't be used: {shown}{more}"


@contextmanager
def _pool(target: str, workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield processes that each have the extractor. They start afresh: a forked torch can hang."""
    threads = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # inherited; read when torch is loaded
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _load, (target,))
    try:
        yield pool
    except BrokenProcessPool:
        raise DataError(
            f"a process that extracted features was killed or crashed; expected {workers} to fit into memory; "
            f"do the same again with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in threads.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_processes(pool: ProcessPoolExecutor, tasks: Iterable[_Task], workers: int) -> Iterator[_Result]:
    """Yield the results in the order of the tasks, a few of them under way at a time."""
    coming = iter(tasks)
    under_way: deque[Future[_Result]] = deque(pool.submit(_extract, task) for task in islice(coming, AHEAD * workers))
    while under_way:
        result = under_way.popleft().result()
        under_way.extend(pool.submit(_extract, task) for task in islice(coming, 1))
        yield result


_extractor: Extractor | str = ""
"""In a process of the pool: its extractor, or why there is none."""


def _load(target: str) -> None:
    """Make this process's extractor. An exception here would only break the pool, so its text is kept instead."""
    global _extractor
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the first one ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path.append(str(Path.cwd()))  # where people keep a module of their own
    module, _, attribute = target.partition(":")
    try:
        made: Any = importlib.import_module(module)
        for name in attribute.split("."):
            made = getattr(made, name)
        _extractor = made()
    except Exception as error:  # noqa: BLE001 (whatever an extractor of somebody else raises)
        _extractor = str(error) if isinstance(error, CampBenchError) else f"{type(error).__name__}: {error}"


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: killed, it can't end the others."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only a process of the pool runs this
    parent.join()
    os._exit(1)


def _extract(task: _Task) -> _Result:
    """Return the features of a picture, or what is wrong with it. ConfigError where the extractor itself fails."""
    split, row, path = task
    if isinstance(_extractor, str):
        raise ConfigError(f"the extractor can't be made: {_extractor}")
    try:
        picture = _open_picture(path)
    except Exception as error:  # noqa: BLE001 (a broken picture can make a decoder raise anything)
        reason = " ".join(str(error).replace(f" {path!r}", "").split()) or type(error).__name__
        return split, row, reason[:100]
    try:
        features = np.asarray(_extractor(picture))
    except Exception as error:  # noqa: BLE001 (see above)
        raise ConfigError(f"{path}: the extractor failed: {type(error).__name__}: {error}") from None
    if features.ndim != 2 or features.dtype.kind != "f" or 0 in features.shape:
        raise ConfigError(
            f"{path}: the extractor gave {features.dtype} of shape {features.shape}; expected floats of shape "
            f"(regions, feature size)"
        )
    return split, row, features


def _open_picture(path: str) -> Image:
    """Return an upright RGB picture; raises what Pillow raises, and ValueError for one that is too large."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # the limit below is told in our words
    with Image.open(path) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels, more than {MAX_PIXELS:,}")
        upright = ImageOps.exif_transpose(picture)
        return upright.convert("RGB")
