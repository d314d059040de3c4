"""All that a reviewer needs to check figures, in one zip: records, tables, figures, environment, checksums.

    manifest.json            every other file with its SHA-256, and the command that makes it again
    records/RUN/             record.json without paths of the machine, and the per-query results; no weights
    tables/ figures/         what `compare` and `plot` write
    report.html              the page
    environment.json         versions and licences of what is installed

The same runs give the same bytes. `verify` trusts nothing in a file: it checks names, sizes, checksums, paths, figures.
"""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from camp_bench.comparison import CompareOptions, load_runs
from camp_bench.comparison.study import Study, studies
from camp_bench.errors import RecordError
from camp_bench.records import RECORD_NAME, RunRecord, find_records, read_file, read_record
from camp_bench.records.history import encode_record
from camp_bench.report.comparison import comparison_document
from camp_bench.report.figures import KINDS
from camp_bench.report.figures.style import figure_bytes
from camp_bench.report.page import report_page
from camp_bench.report.writers import WRITERS

__all__ = ["make_bundle", "verify_bundle", "without_paths"]

MANIFEST = "manifest.json"
TABLES = {"comparison.md": "markdown", "comparison.csv": "csv", "comparison.tex": "latex"}
LARGEST = 2**31
"""Bytes that a bundle may unpack to."""
PATH = re.compile(r"(?<![\w.:/\\~-])(?:~?/|[A-Za-z]:\\|\\\\)(?:[^\s/\\'\",;:=]+[/\\])+([^\s/\\'\",;:=]*)")
STAMP = (1980, 1, 1, 0, 0, 0)


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """files: SHA-256 by name. commands: what makes a file again, from the folder of the unpacked bundle."""

    schema_version: int
    camp_bench: str
    files: dict[str, str]
    commands: dict[str, str]


def without_paths(value: Any) -> Any:
    """Return JSON's values with what looks like a path of a machine cut down to its last part."""
    if isinstance(value, str):
        return PATH.sub(lambda found: found[1] or "…", value)
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    return [without_paths(item) for item in value] if isinstance(value, list | tuple) else value


def make_bundle(paths: Sequence[Path], version: str) -> bytes:
    """Return the zip of all runs that `paths` hold; raises what reading and comparing them raises."""
    files: dict[str, bytes] = {}
    for file in find_records(paths):
        files |= _record_files(file)
    commands: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:  # all is made from the records as they are in the bundle
        _unpack(files, Path(scratch))
        found, _ = studies([Path(scratch) / "records"], CompareOptions())
        for name, content, command in _made(found, version):
            files[name], commands[name] = content, command
    files["environment.json"] = _json(_environment(found))
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    files[MANIFEST] = _json(_Manifest(1, version, checksums, commands))
    return _zip(files)


def verify_bundle(file: Path) -> tuple[int, int]:
    """Check a bundle, and return how many files and runs it holds; RecordError for the first thing that is wrong."""
    files = _read_zip(file)
    try:
        manifest = msgspec.json.decode(files.pop(MANIFEST, b""), type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: {MANIFEST}: {error}; expected what `camp-bench bundle` writes") from None
    for name in sorted({*manifest.files, *files}):
        if name not in files:
            raise RecordError(f"{file}: {name} is missing")
        if hashlib.sha256(files[name]).hexdigest() != manifest.files.get(name):
            raise RecordError(f"{file}: {name}: its checksum is not the manifest's")
        if name.endswith(".json") and (told := PATH.search(files[name].decode("utf-8", "replace"))):
            raise RecordError(f"{file}: {name}: holds a path of a machine ({told[0]})")
    with tempfile.TemporaryDirectory() as scratch:
        _unpack(files, Path(scratch))
        try:
            runs, _ = load_runs([Path(scratch) / "records"])
        except RecordError as error:
            raise RecordError(f"{file}: {str(error).replace(f'{scratch}/', '')}") from None
    return len(files), len(runs)


def _record_files(file: Path) -> dict[str, bytes]:
    """Return a run's record and per-query results by their names in a bundle; weights and score matrices stay out."""
    record = read_record(file)
    kept = [str(name) for item in record.evaluations for name in (item.queries, item.examples) if name]
    clean = msgspec.convert(without_paths(msgspec.to_builtins(record)), RunRecord)
    evaluations = tuple(msgspec.structs.replace(item, scores=None) for item in clean.evaluations)
    files = {name: checksum for name, checksum in record.files.items() if name in kept}
    clean = msgspec.structs.replace(clean, evaluations=evaluations, files=files)
    home = f"records/{PurePosixPath(record.run_id).name}"
    content = {f"{home}/{name}": read_file(file.parent, record, name) for name in dict.fromkeys(kept)}
    return content | {f"{home}/{RECORD_NAME}": encode_record(clean)}


def _made(found: list[Study], version: str) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, content and command of each table and figure, and of the page."""
    document = comparison_document([study.table for study in found])
    for name, form in TABLES.items():
        output = f"tables/{name}"
        yield output, WRITERS[form](document).encode(), _command("compare", output)
    for number, study in enumerate(found, 1):
        one = f"-{number}" if len(found) > 1 else ""
        for kind, draw in KINDS.items():
            drawn = draw(study)
            if drawn is not None:
                output = f"figures/{kind}{one}.pdf"
                yield output, figure_bytes(drawn.figure, "pdf"), _command("plot", output, "--kind", kind)
    command = _command("report", "report.html")
    yield "report.html", report_page(found, command=command, version=version).encode("utf-8", "replace"), command


def _command(verb: str, output: str, *more: str) -> str:
    return shlex.join(["camp-bench", verb, "records", *more, "-o", output])


def _environment(found: list[Study]) -> dict[str, Any]:
    """Return where the runs took place, and the licences of what is installed here."""
    places = [run.record.environment for study in found for row in study.rows for run in row.runs]
    packages = {item.metadata["Name"]: {"version": item.version, "licence": _licence(item)} for item in distributions()}
    seen = list(dict.fromkeys(msgspec.json.encode(place) for place in places))
    runs = [without_paths(msgspec.json.decode(place)) for place in seen]
    return {"runs": runs, "packages": without_paths(dict(sorted(packages.items())))}


def _licence(item: Distribution) -> str:
    """Return what a package's metadata say, the first line of a whole text."""
    told = [*(item.metadata.get_all("License-Expression") or []), *(item.metadata.get_all("License") or [])]
    trove = [line for line in item.metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    return (told[0].partition("\n")[0][:80] if told else ", ".join(trove)) or "unknown"


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _unpack(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, STAMP)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            bundle.writestr(entry, content)
    return buffer.getvalue()


def _read_zip(file: Path) -> dict[str, bytes]:
    """Return the files of a bundle; RecordError for names that lead out of it and for what unpacks to too much."""
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(file) as bundle:
            entries = [entry for entry in bundle.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise RecordError(f"{file}: would unpack to more than {LARGEST:,} bytes")
            for entry in entries:
                parts = PurePosixPath(entry.filename).parts
                if ".." in parts or entry.filename.startswith("/") or "\\" in entry.filename or entry.filename in files:
                    raise RecordError(f"{file}: {entry.filename}: leads out of the bundle, or stands in it twice")
                with bundle.open(entry) as stream:
                    buffer = io.BytesIO()
                    shutil.copyfileobj(stream, buffer)
                files[entry.filename] = buffer.getvalue()
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise RecordError(
            f"{file}: can't be read ({getattr(error, 'strerror', None) or error}); expected a bundle"
        ) from None
    return files
