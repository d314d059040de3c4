"""What a file looks like by its first bytes, for those that are refused."""

from __future__ import annotations

from pathlib import Path

from camp_bench.errors import DataError

__all__ = ["looks_like"]

MAGIC = (
    (b"\x93NUMPY", "NumPy's .npy"),
    (b"PK\x03\x04", "a zip, such as .npz, .pt or an archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"PAR1", "parquet"),
    (b"\x1f\x8b", "gzip; unpack it first"),
    (b"BZh", "bzip2; unpack it first"),
    (b"\xfd7zXZ", "xz; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xff\xd8\xff", "a JPEG picture; make features with camp-bench features"),
    (b"\x89PNG", "a PNG picture; make features with camp-bench features"),
    (b"%PDF", "a PDF"),
    (b"MATLAB 5.0", "MATLAB's .mat; save it as .npy or HDF5"),
    (b"\x80\x02", "a Python pickle, which can run code and is not read; save arrays as .npy"),
    (b"\x80\x03", "a Python pickle, which can run code and is not read; save arrays as .npy"),
    (b"\x80\x04", "a Python pickle, which can run code and is not read; save arrays as .npy"),
    (b"\x80\x05", "a Python pickle, which can run code and is not read; save arrays as .npy"),
)


def looks_like(file: Path) -> str | None:
    """Return what a file seems to be, None for what may be text. DataError where it can't be read."""
    try:
        with file.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable file") from None
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if head[8:9] == b"{" and b'"dtype"' in head:
        return "safetensors"
    if file.suffix.lower() in (".json", ".jsonl") or head.lstrip(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return "JSON" if file.suffix.lower() != ".jsonl" else "JSON lines; make one list of them, in a .json file"
    return None
