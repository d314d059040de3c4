"""What splits share: refused by id, told by content and by caption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_examples import Quiet

from camp_bench.cli import main
from camp_bench.config import Experiment
from camp_bench.data.leaks import shared_ids
from camp_bench.errors import DataError
from camp_bench.records import list_records, read_record
from camp_bench.runs.experiment import run_experiment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("dev", 4), ("test", 4)):
        np.save(tmp_path / f"{split}_ims.npy", rng.normal(size=(count, 2, 3)).astype(np.float32))
        lines = (f"{split} one two three {n % 3} {n}\n" for n in range(5 * count))
        (tmp_path / f"{split}_caps.txt").write_text("".join(lines))
        (tmp_path / f"{split}_ids.txt").write_text("".join(f"{split}{n}.jpg\n" for n in range(count)))
    return tmp_path


def test_ids_are_compared_whatever_their_form() -> None:
    assert shared_ids(["a.jpg", "b.jpg"], ["b.png", "c"]) == ["b.png"]
    assert shared_ids(["x", "COCO_val2014_000000000042.jpg"], ["000000000042.jpg"]) == ["000000000042.jpg"]
    assert shared_ids(["7.png"], ["007.png"]) == []
    assert shared_ids(["cam_a/1.png"], ["cam_b/1.png"]) == []
    assert shared_ids(["0", "1"], ["0", "1", "2"]) == []  # they only number the images


def test_a_run_refuses_splits_that_share_ids(folder: Path) -> None:
    (folder / "dev_ids.txt").write_text("x\ntest2.jpg\ny\nz\n")
    with pytest.raises(DataError, match=r"dev_ids\.txt, test_ids\.txt: 1 image in both, the first is 'test2\.jpg'"):
        next(run_experiment(Experiment(models=("vsepp",), data=str(folder)), Quiet()))


def test_a_run_tells_of_shared_content_and_captions_and_a_comparison_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev, test = np.load(folder / "dev_ims.npy"), np.load(folder / "test_ims.npy")
    test[3] = dev[1]
    test[2, 0] = dev[2, 0]  # one region alone is no image
    np.save(folder / "test_ims.npy", test)
    lines = (folder / "test_caps.txt").read_text().splitlines()
    lines[7] = "train one two three 1 1"
    (folder / "test_caps.txt").write_text("".join(f"{line}\n" for line in lines))
    arguments = ["run", "--models", "vsepp", "--data", str(folder), "--epochs", "1", "--results", str(tmp_path / "r")]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    content = "1 image of test with the very features of one of dev, the first is image 3 (test3.jpg), that of image 1"
    assert f"warning: {content}" in told
    assert (
        "warning: 1 of 20 captions of test are captions of train as well, the first is 'train one two three 1 1'"
        in told
    )
    (home,) = list_records(tmp_path / "r")
    assert read_record(home).dataset.leaks == (f"{content} (dev1.jpg)",)
    assert main(["compare", str(tmp_path / "r")]) == 0
    assert "splits share images: 1 image of test" in " ".join(capsys.readouterr().out.split())
