"""The form of record.json: what each version of it holds, and how an old one is read as the newest.

1   the fields of `RunRecord`; what isn't known of another system or program is 0, empty or false
2   what isn't known is left out (null); `sha256`, last in the file, is that of all before it, so that a record whose
    bytes were changed is found
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from camp_bench.errors import RecordError
from camp_bench.records.run import SCHEMA_VERSION, RunRecord

__all__ = ["decode_record", "encode_record"]


def encode_record(record: RunRecord) -> bytes:
    """Return what record.json holds."""
    content = msgspec.to_builtins(record)
    return msgspec.json.format(msgspec.json.encode(content | {"sha256": _checksum(content)}), indent=2) + b"\n"


def decode_record(data: bytes, path: str) -> RunRecord:
    """Return the record that the bytes of `path` hold.

    Raises RecordError for another version or another checksum, and what msgspec raises for what is no record.
    """
    content = msgspec.json.decode(data)
    if not isinstance(content, dict):
        raise msgspec.ValidationError("expected an object")
    version = content.get("schema_version")
    if isinstance(version, bool) or version not in (1, SCHEMA_VERSION):
        raise RecordError(f"{path}: schema version {version}, this camp-bench reads 1 to {SCHEMA_VERSION}")
    if version == 1:
        content = _from_version_1(content)
    elif content.pop("sha256", None) != _checksum(content):
        raise RecordError(f"{path}: its checksum differs, the record is damaged or was edited; take the run's own")
    return msgspec.convert(content, RunRecord, strict=True)


def _checksum(content: dict[str, Any]) -> str:
    """Return the sha256 of a record as JSON without spaces, in the order in which its fields stand."""
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return the same in version 2; what is of another form than version 1's is left for the reader to refuse."""
    content = content | {"schema_version": SCHEMA_VERSION}
    try:
        training, evaluations = content["training"], content["evaluations"]
        dataset = content["dataset"] | {"train_fingerprint": content["dataset"]["train_fingerprint"] or None}
        content["evaluations"] = [
            item | {"features_fingerprint": item["features_fingerprint"] or None} for item in evaluations
        ]
        if training.get("checkpoint") is not None:
            content["training"] = training | {"steps": training["steps"] or None, "pairs_seen": None}
        if content.get("external") is not None:
            content |= {"training": None, "vocabulary": None, "weights_sha256": None}
            content["config"] = content["config"] | {"settings": None}
            dataset |= {"regions": None, "feature_size": None}
            content["external"] = content["external"] | {"measure": content["external"]["measure"] or None}
            content["evaluations"] = [
                item | {"tile_images": None, "tile_captions": None} for item in content["evaluations"]
            ]
        content["dataset"] = dataset
    except (KeyError, TypeError, AttributeError):
        return content
    return content
