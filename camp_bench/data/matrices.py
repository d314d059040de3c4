"""Arrays of two dimensions that other programs wrote: score matrices, and vectors an item.

.npy            mapped, never read whole
.npz, .pt, .pth, .safetensors    the only such array in it, or the one that FILE:NAME names
.parquet        a column of lists, or a column a dimension (extra `parquet`: the package pyarrow)
"""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from camp_bench.data.imports.looks import looks_like
from camp_bench.errors import ConfigError, DataError
from camp_bench.machine.extras import install_extra
from camp_bench.records.npy import read_header

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SUFFIXES", "Matrix", "array_file", "open_matrix", "require_shape"]

Matrix: TypeAlias = npt.NDArray[np.floating[Any]]

DTYPES = (np.float16, np.float32, np.float64)
SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".bin", ".safetensors", ".parquet")
ROLES = {
    "scores": ("scores", "sims", "sim", "similarity", "score_matrix"),
    "images": ("images", "img_embs", "image_embeds", "image_features", "image_embeddings", "img_feats", "image"),
    "captions": (
        "captions",
        "cap_embs",
        "text_embeds",
        "text_features",
        "text_embeddings",
        "txt_feats",
        "text",
        "caps",
    ),
}
"""Names under which programs save what is asked for."""


def array_file(text: Path) -> tuple[Path, str]:
    """Return the file and the name in it of `FILE:NAME`, or the file and an empty name."""
    file, colon, name = str(text).rpartition(":")
    if colon and not text.exists() and Path(file).suffix.lower() in SUFFIXES:
        return Path(file), name
    return text, ""


def open_matrix(text: Path, role: str) -> Matrix:
    """Return the array of a file, two dimensions of float16, float32 or float64; what can be mapped isn't read.

    text: `FILE` or `FILE:NAME`. role: `scores`, `images` or `captions`, by which one of several is told. Raises
    DataError where it can't be read, is cut off, has another number of dimensions, dtype or order, or several may be
    meant.
    """
    file, name = array_file(text)
    suffix = file.suffix.lower()
    if suffix == ".npz":
        return _choose(_read_npz(file, name), name, role, file)
    if suffix in (".pt", ".pth", ".bin", ".safetensors"):
        return _choose(_read_tensors(file), name, role, file)
    if suffix == ".parquet":
        return _read_parquet(file)
    return _map_npy(file)


def require_shape(array: Matrix, file: Path, rows: Sequence[int], columns: Sequence[int]) -> None:
    """Raise DataError unless the array has one of the numbers of rows and of columns; none given means any."""
    height, width = array.shape
    if (rows and height not in rows) or (columns and width not in columns):
        told = " x ".join(" or ".join(f"{size:,}" for size in sizes) or "any" for sizes in (rows, columns))
        turned = "; transpose it: rows are images" if rows and columns and width in rows and height in columns else ""
        raise DataError(f"{file}: is {height:,} x {width:,}; expected {told}{turned}")


def _map_npy(file: Path) -> Matrix:
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = read_header(stream, file)
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected an array, {', '.join(SUFFIXES)}") from None
    except DataError as error:
        kind = looks_like(file)
        raise DataError(f"{error}; it looks like {kind}" if kind else str(error)) from None
    _require_matrix(header.shape, header.dtype, file)
    header.require_rows(file, size)
    return np.memmap(file, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)


def _require_matrix(shape: Sequence[int], dtype: np.dtype[Any], where: object) -> None:
    if len(shape) != 2 or dtype not in DTYPES or min(shape) < 1:
        raise DataError(
            f"{where}: shape {tuple(shape)} of {dtype}; expected two dimensions of float16, float32 or float64"
        )


def _read_npz(file: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {key: stored[key] for key in ([name] if name in stored.files else stored.files)}
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror or error}); expected a .npz") from None
    except (ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{file}: isn't a whole .npz of numbers ({' '.join(str(error).split())[:80]}); expected arrays, no objects"
        ) from None


def _read_tensors(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a file of torch or safetensors; nothing in it is ever run."""
    import torch
    from safetensors import SafetensorError

    try:
        if file.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            stored: Any = load_file(file)
        else:
            stored = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror or error}); expected tensors") from None
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:80]
        raise DataError(
            f"{file}: holds no plain tensors that can be read ({reason}); expected one, or several by name"
        ) from None
    if isinstance(stored, torch.Tensor):
        stored = {"": stored}
    if not isinstance(stored, Mapping):
        raise DataError(f"{file}: holds a {type(stored).__name__}; expected a tensor, or several by name")
    return {str(key): _as_array(value) for key, value in stored.items() if isinstance(value, torch.Tensor)}


def _as_array(tensor: Tensor) -> npt.NDArray[Any]:
    import torch

    plain = tensor.detach().to(torch.float32) if tensor.dtype == torch.bfloat16 else tensor.detach()
    array: npt.NDArray[Any] = plain.contiguous().numpy()
    return array


def _choose(arrays: Mapping[str, npt.NDArray[Any]], name: str, role: str, file: Path) -> Matrix:
    """Return the array that is meant; DataError where there is none of that name, or several may be."""
    fit = [key for key, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"]
    shown = ", ".join(f"{key or 'an array'} {array.shape}" for key, array in arrays.items()) or "nothing"
    if name:
        if name not in arrays:
            raise DataError(f"{file}: has no array '{name}', only {shown}; name one of these")
        chosen = name
    elif len(fit) == 1:
        chosen = fit[0]
    elif len(arrays) == 1:
        (chosen,) = arrays
    else:
        known = [key for key in ROLES[role] if key in fit]
        if len(known) != 1:
            raise DataError(
                f"{file}: holds {shown}; expected one array of two dimensions; name it: --{role} {file}:NAME"
            )
        chosen = known[0]
    array = arrays[chosen]
    _require_matrix(array.shape, array.dtype, file)
    return array


def _read_parquet(file: Path) -> Matrix:
    """Return the rows of a column of lists, or of a column a dimension, in the order of the file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(f"{file}: is parquet; expected the extra 'parquet'; {install_extra('parquet')}") from None
    try:
        table: Any = pyarrow.parquet.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: can't be read ({' '.join(str(error).split())[:80]}); expected parquet") from None
    columns = [name for name in table.column_names if not name.startswith("__index_level")]
    types = {name: table.schema.field(name).type for name in columns}
    others = [name for name, kind in types.items() if not (pa.types.is_floating(kind) or _is_list(kind, pa))]
    if others or not columns:
        raise DataError(
            f"{file}: has columns that are no vectors, {', '.join(others[:4]) or 'none at all'}; expected vectors "
            f"alone, in the order of the split; leave the others out when you save it"
        )
    if len(columns) == 1 and _is_list(types[columns[0]], pa):
        rows = table.column(columns[0]).to_pylist()
        if any(row is None for row in rows) or len({len(row) for row in rows}) > 1:
            raise DataError(f"{file}: its lists have different lengths; expected one vector a row; mend it")
        kind = types[columns[0]].value_type
        array = np.array(rows, dtype=kind.to_pandas_dtype())
    else:
        array = np.column_stack([table.column(name).to_numpy() for name in columns])
    _require_matrix(array.shape, array.dtype, file)
    found: Matrix = array
    return found


def _is_list(kind: Any, pa: Any) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))
