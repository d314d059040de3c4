"""Imports of bottom-up-attention's TSV: round trips, uneven numbers of boxes, resuming, and rows that are wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from camp_bench.data import open_folder
from camp_bench.data.folder.staging import partial_folder
from camp_bench.data.imports.captions import CaptionedImage
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.region_tsv import RegionTsv
from camp_bench.data.imports.rows import RowsRequest, assemble
from camp_bench.errors import ConfigError, DataError

IMAGES = {
    "train": [CaptionedImage(f"COCO_val2014_{n:012d}.jpg", "train", [f"c{n}{k}" for k in range(5)]) for n in (7, 8, 9)],
    "test": [CaptionedImage(f"COCO_val2014_{n:012d}.jpg", "test", [f"c{n}"]) for n in (1, 2)],
}


def encoded(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def features(number: int, boxes: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(boxes, 3)).astype(np.float32)


def row(number: int, boxes: int = 4) -> list[str]:
    return [str(number), "640", "480", str(boxes), encoded(np.ones((boxes, 4))), encoded(features(number, boxes))]


def write_tsv(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    path.write_text("".join("\t".join(fields) + "\n" for fields in rows))
    return path


def run(files: Sequence[Path], dest: Path, **options: object) -> dict[str, tuple[int, int, int]]:
    options.setdefault("progress", lambda *_: None)
    options.setdefault("faults", Faults())
    plan = {"captions": "c"}
    asked = RowsRequest(dest=dest, images=IMAGES, captions_plan=plan, **options)  # type: ignore[arg-type]
    return assemble(RegionTsv(files), asked)


def refusal(files: Sequence[Path], dest: Path, **options: object) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        run(files, dest, **options)
    assert not dest.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip_from_two_files_in_any_order(tmp_path: Path) -> None:
    one = write_tsv(tmp_path / "a.tsv", [row(9), row(1), row(55)])  # 55 has no captions
    other = write_tsv(tmp_path / "b.tsv", [row(2), row(7), row(8)])
    shapes = run([one, other], tmp_path / "made")
    assert shapes == {"train": (3, 4, 3), "test": (2, 4, 3)}
    made = open_folder(tmp_path / "made", ["train", "test"])
    assert made.split("train").image_ids[0] == "COCO_val2014_000000000007.jpg"
    assert made.split("train").captions[5] == "c80"
    assert made.split("test").image_of.tolist() == [0, 1]  # by an index, as there are not five captions
    for split, numbers in (("train", (7, 8, 9)), ("test", (1, 2))):
        assert np.array_equal(made.split(split).features, np.stack([features(number, 4) for number in numbers]))
    facts = json.loads((tmp_path / "made" / "source.json").read_text())
    assert (facts["images_cut"], facts["images_filled"]) == (0, 0)
    assert set(facts["made_from"]) == {str(one), str(other), "captions", "regions", "repeat_boxes", "dtype"}


def test_a_header_crlf_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    header = "image_id\timage_w\timage_h\tnum_boxes\tboxes\tfeatures"
    lines = [header, "", *("\t".join(row(number)) for number in (7, 8, 9, 1, 2)), "", ""]
    (file := tmp_path / "a.tsv").write_bytes("\r\n".join(lines).encode())
    run([file], tmp_path / "made", dtype="float16")
    assert np.array_equal(np.load(tmp_path / "made" / "test_ims.npy")[1], features(2, 4).astype(np.float16))


def test_uneven_numbers_of_boxes(tmp_path: Path) -> None:
    counts = {7: 5, 8: 2, 9: 4, 1: 3, 2: 4}
    file = write_tsv(tmp_path / "a.tsv", [row(number, boxes) for number, boxes in counts.items()])
    message = refusal([file], tmp_path / "made")
    assert message.startswith(f"{file}: line 2 (image 8) has 2 boxes and {file}: line 1 (image 7) 5;")
    assert "--boxes 36" in message
    message = refusal([file], tmp_path / "made", boxes=4)
    assert f"{file}: line 2 (image 8): has 2 boxes, and 1 other images have fewer than 4" in message
    assert "give --boxes 2, or --repeat-boxes" in message
    assert "--repeat-boxes: fills up to --boxes" in refusal([file], tmp_path / "made", repeat_boxes=True)
    assert "--boxes: got 0" in refusal([file], tmp_path / "made", boxes=0)
    run([file], tmp_path / "cut", boxes=2)
    assert np.array_equal(np.load(tmp_path / "cut" / "train_ims.npy")[0], features(7, 5)[:2])
    run([file], tmp_path / "filled", boxes=5, repeat_boxes=True)
    assert np.array_equal(np.load(tmp_path / "filled" / "train_ims.npy")[1], features(8, 2)[[0, 1, 0, 1, 0]])
    facts = json.loads((tmp_path / "filled" / "source.json").read_text())
    assert (facts["images_cut"], facts["images_filled"]) == (0, 4)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    rows = [row(number) for number in (7, 8, 9, 1, 2)]
    good = rows[3]
    rows[3] = [*good[:5], "!" + good[5][1:]]
    file = write_tsv(tmp_path / "a.tsv", rows)
    message = refusal([file], tmp_path / "made")
    assert message.startswith(f"{file}: line 4 (image 1): features isn't base64 (")
    assert partial_folder(tmp_path / "made").is_dir()
    rows[3] = good
    write_tsv(file, rows)
    assert "a.tsv was '" in refusal([file], tmp_path / "made")  # what was read before was another file
    done: list[int] = []

    def stop(label: str, count: int, _total: int) -> None:
        if label.startswith("importing"):
            done.append(count)
            if len(done) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([file], tmp_path / "made", restart=True, progress=stop)
    run([file], tmp_path / "made", progress=lambda label, count, _: done.append(count))
    assert done[:3] == [0, 1, 2]
    assert done[-4:] == [2, 3, 4, 5]
    assert np.array_equal(np.load(tmp_path / "made" / "train_ims.npy"), [features(n, 4) for n in (7, 8, 9)])


def replaced(fields: Sequence[str], at: int, value: str) -> list[str]:
    return [*fields[:at], value, *fields[at + 1 :]]


BAD = {
    "columns": (row(1)[:5], "line 4: has 5 columns, '1 640 480 4"),
    "no boxes": (replaced(row(1), 3, "0"), "line 4 (image 1): num_boxes is '0'"),
    "odd boxes": (replaced(row(1), 3, "4.0"), "line 4 (image 1): num_boxes is '4.0'"),
    "many boxes": (replaced(row(1), 3, "9" * 30), "line 4 (image 1): num_boxes is '99999"),
    "wrong boxes": (replaced(row(1), 3, "5"), "line 4 (image 1): boxes holds 64 bytes for 5 boxes; expected 80"),
    "wrong features": (
        replaced(row(1), 5, encoded(np.ones((5, 3)))),
        "line 4 (image 1): features holds 60 bytes for 4 boxes; expected a multiple of 16",
    ),
    "other size": (replaced(row(1), 5, encoded(np.ones((4, 5)))), "line 4 (image 1): has features of size 5, "),
    "length": (replaced(row(1), 5, row(1)[5][:-1]), "line 4 (image 1): features isn't base64, it has"),
    "rubbish": (replaced(row(1), 4, "-" * len(row(1)[4])), "line 4 (image 1): boxes holds 66 bytes"),
    "bytes": (replaced(row(1), 5, f"b'{row(1)[5][:-3]}"), "line 4 (image 1): features "),
    "NaN": (
        replaced(row(1), 5, encoded(np.full((4, 3), np.nan))),
        "line 4 (image 1): row 0, region 0, feature 0 is nan",
    ),
    "twice": (row(7, 3), "line 4 (image 7): the same image as "),
    "missing": (row(3), "no row for 1 of 2 images of test, the first is COCO_val2014_000000000001.jpg"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_refused_with_line_and_reason(case: str, tmp_path: Path) -> None:
    fields, message = BAD[case]
    file = write_tsv(tmp_path / "a.tsv", [row(7), row(8), row(9), fields, row(2)])
    told = refusal([file], tmp_path / "made")
    assert told.startswith(f"{file}: ")
    assert message in told


def test_lines_without_an_end_are_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camp_bench.data.imports.region_tsv.LINE_BYTES", 1000)
    (file := tmp_path / "a.tsv").write_bytes(b"x" * 5000)
    assert f"{file}: the line at byte 0 is longer than 1,000 bytes" in refusal([file], tmp_path / "made")
    file.write_bytes(b"")
    assert "no row for 3 of 3 images of train" in refusal([file], tmp_path / "made")
