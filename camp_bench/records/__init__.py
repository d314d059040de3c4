"""What a run did: the record on disk, the only seam between computing and reporting.

    results/<run-id>/record.json        everything below, strict JSON with a schema version
                     queries_test.npz   per query b, n, p and the top 100 ids and scores, both directions
                     examples_test.npz  attention and gates of a few captions, where asked for
                     weights.safetensors, vocabulary.json

A run is written into a hidden folder beside its place and renamed when it is complete, so a record is whole or absent
and never overwritten. Reading is strict: an unknown field or a missing file is a RecordError, and so is another
checksum when a file is read.
"""

from __future__ import annotations

from camp_bench.records.claims import WORK_NAME, claim, is_claimed, locked
from camp_bench.records.facts import (
    CascadeFacts,
    CheckpointFacts,
    DatasetFacts,
    Environment,
    ExternalFacts,
    Measurement,
    RelevanceFacts,
    ScoreCheck,
    StartedFrom,
    VocabularyFacts,
)
from camp_bench.records.files import flush_to_disk, whole_file, write_whole
from camp_bench.records.finding import find_records, list_records
from camp_bench.records.folder import RunFolder
from camp_bench.records.folders import new_folder, new_run_folder, require_writable
from camp_bench.records.reading import (
    array_name,
    file_sha256,
    read_arrays,
    read_file,
    read_record,
    read_versioned,
    require_version,
)
from camp_bench.records.run import (
    RECORD_NAME,
    SCHEMA_VERSION,
    VOCABULARY_NAME,
    WEIGHTS_NAME,
    EpochLog,
    EvaluationRecord,
    RunRecord,
    TrainingRecord,
)
from camp_bench.records.writing import create_scores, storable, write_arrays, write_file, write_record

__all__ = [
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "VOCABULARY_NAME",
    "WEIGHTS_NAME",
    "WORK_NAME",
    "CascadeFacts",
    "CheckpointFacts",
    "DatasetFacts",
    "Environment",
    "EpochLog",
    "EvaluationRecord",
    "ExternalFacts",
    "Measurement",
    "RelevanceFacts",
    "RunFolder",
    "RunRecord",
    "ScoreCheck",
    "StartedFrom",
    "TrainingRecord",
    "VocabularyFacts",
    "array_name",
    "claim",
    "create_scores",
    "file_sha256",
    "find_records",
    "flush_to_disk",
    "is_claimed",
    "list_records",
    "locked",
    "new_folder",
    "new_run_folder",
    "read_arrays",
    "read_file",
    "read_record",
    "read_versioned",
    "require_version",
    "require_writable",
    "storable",
    "whole_file",
    "write_arrays",
    "write_file",
    "write_record",
    "write_whole",
]
