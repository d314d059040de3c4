"""Features from pictures: processes, resuming, pictures that are broken or missing, extractors that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from camp_bench.data import open_folder
from camp_bench.data.folder.staging import partial_folder
from camp_bench.data.imports.captions import CaptionedImage
from camp_bench.data.imports.pictures import Extracted, extract_folder
from camp_bench.errors import ConfigError, DataError, OutputError

pillow = pytest.importorskip("PIL.Image", reason="the extra 'effnet' isn't installed")

COUNTS = {"train": 3, "test": 2}


def colour(split: str, row: int) -> tuple[int, int, int]:
    return 10 * row + 1, 100 if split == "train" else 200, 7


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of small pictures; the module `extractors` can be imported by the processes."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for split, count in COUNTS.items():
        for row in range(count):
            place = folder / "below" if split == "test" else folder
            pillow.new("RGB", (8, 6), colour(split, row)).save(place / f"{split}{row}.png")
    return folder


def captioned() -> dict[str, list[CaptionedImage]]:
    return {
        split: [CaptionedImage(f"{split}{row}.png", split, [f"{split} {row}"], "below") for row in range(count)]
        for split, count in COUNTS.items()
    }


def run(
    pictures: Path, dest: Path, images: dict[str, list[CaptionedImage]] | None = None, **options: object
) -> Extracted:
    settings: dict[str, object] = {
        "captions_plan": {"captions": "c"},
        "extractor": "extractors:mean_colours",
        "workers": 1,
        "progress": lambda *_: None,
    }
    return extract_folder(pictures, dest, images or captioned(), **(settings | options))  # type: ignore[arg-type]


def test_features_are_those_of_the_extractor_whatever_the_processes(pictures: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        dest = tmp_path / f"made{workers}"
        extracted = run(pictures, dest, workers=workers)
        assert extracted == Extracted({"train": (3, 2, 3), "test": (2, 2, 3)}, 5, ())
        made = open_folder(dest, ["train", "test"])
        for split, count in COUNTS.items():
            expected = [[colour(split, row)] * 2 for row in range(count)]
            assert np.array_equal(made.split(split).features, np.array(expected, dtype=np.float32))
            assert made.split(split).image_ids == tuple(f"{split}{row}.png" for row in range(count))
            assert made.split(split).image_of.tolist() == list(range(count))


def test_broken_pictures_are_named_and_left_out_on_request(pictures: Path, tmp_path: Path) -> None:
    whole = (pictures / "train1.png").read_bytes()
    (pictures / "train1.png").write_bytes(whole[:45])
    (pictures / "below" / "test0.png").write_text("no picture")
    with pytest.raises(DataError) as caught:
        run(pictures, tmp_path / "made")
    message = str(caught.value)
    assert "2 of the pictures can't be used: train1.png (" in message
    assert "test0.png (cannot identify image file" in message
    assert "--skip-bad" in message
    assert not (tmp_path / "made").exists()
    assert partial_folder(tmp_path / "made").is_dir()
    (pictures / "train1.png").write_bytes(whole)  # mended: only this one is extracted, and the first, for its shape
    extracted = run(pictures, tmp_path / "made", skip_bad=True)
    assert (extracted.shapes, extracted.made) == ({"train": (3, 2, 3), "test": (1, 2, 3)}, 1)
    assert [name for name, _ in extracted.bad] == ["test0.png"]
    made = open_folder(tmp_path / "made", ["test"]).split("test")
    assert (made.image_ids, made.captions) == (("test1.png",), ("test 1",))
    assert np.array_equal(made.features[0], [colour("test", 1)] * 2)
    assert json.loads((tmp_path / "made" / "source.json").read_text())["skipped"] == ["test0.png"]


def test_missing_pictures_are_told_at_once(pictures: Path, tmp_path: Path) -> None:
    (pictures / "train0.png").unlink()
    with pytest.raises(DataError, match=r"1 of the pictures can't be used: train0.png \(no such file\)"):
        run(pictures, tmp_path / "made", extractor="none:none")
    assert run(pictures, tmp_path / "made", skip_bad=True).shapes["train"] == (2, 2, 3)
    for file in pictures.rglob("*.png"):
        file.write_text("broken")
    with pytest.raises(DataError, match="5 of the pictures can't be used"):
        run(pictures, tmp_path / "other", skip_bad=True)
    for file in pictures.rglob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match="has none of the 5 pictures"):
        run(pictures, tmp_path / "other", skip_bad=True)
    with pytest.raises(DataError, match="no such folder"):
        run(pictures / "none", tmp_path / "other")


def test_it_goes_on_where_it_was_stopped(pictures: Path, tmp_path: Path) -> None:
    def stop(_label: str, done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "made", progress=stop)
    assert run(pictures, tmp_path / "made").made == 2
    with pytest.raises(OutputError, match="is there already"):
        run(pictures, tmp_path / "made")


def test_pictures_are_upright_rgb(pictures: Path, tmp_path: Path) -> None:
    sideways = pillow.new("L", (4, 6))
    sideways.paste(255, (0, 0, 2, 6))  # white on the left; turned by the tag, white on top
    tag = sideways.getexif()
    tag[0x0112] = 6
    sideways.save(pictures / "train0.png", exif=tag)
    run(pictures, tmp_path / "made")
    features = np.load(tmp_path / "made" / "train_ims.npy")[0]
    assert features.tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize(
    ("extractor", "message"),
    [
        (
            "effnet-lite1",
            r"--extractor: got 'effnet-lite1' \(did you mean 'effnet-lite0'\?\); expected effnet-lite0 or mod",
        ),
        ("extractors:", "expected effnet-lite0 or module:attribute"),
        ("no_such_module:make", "the extractor can't be made: ModuleNotFoundError: No module named 'no_such_module'"),
        ("extractors:none", "the extractor can't be made: AttributeError: module 'extractors' has no attribute 'none'"),
        ("extractors:failing", "the extractor can't be made: RuntimeError: no weights here"),
        ("extractors:mean_colours.__call__.x", "the extractor can't be made: AttributeError"),
        ("extractors:integers", r"the extractor gave int64 of shape \(2, 2\); expected floats"),
        ("builtins:dict", "the extractor failed: TypeError: 'dict' object is not callable"),
        ("extractors:dying", "a process that extracted features was killed or crashed"),
    ],
)
def test_extractors_that_are_wrong(extractor: str, message: str, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        run(pictures, tmp_path / "made", extractor=extractor)
    assert [file.name for file in tmp_path.iterdir()] == ["pictures"]


def test_all_pictures_have_one_shape(pictures: Path, tmp_path: Path) -> None:
    pillow.new("RGB", (9, 6)).save(pictures / "train2.png")
    with pytest.raises(DataError, match=r"train2.png: the extractor gave features of shape \(9, 2\), before \(8, 2\)"):
        run(pictures, tmp_path / "made", extractor="extractors:of_size")


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png"])
def test_no_name_leads_out_of_the_folder(name: str, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of"):
        run(pictures, tmp_path / "made", {"test": [CaptionedImage(name, "test", ["a"])]})


def test_too_many_pixels_are_refused_before_they_are_decoded(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from camp_bench.data.imports.pictures import _open_picture

    monkeypatch.setattr("camp_bench.data.imports.pictures.MAX_PIXELS", 47)
    with pytest.raises(ValueError, match="8 x 6 pixels, more than 47"):
        _open_picture(str(pictures / "train0.png"))


def test_effnet_lite0_gives_a_grid() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'effnet' isn't installed")
    import torch

    from camp_bench.data.imports.effnet import make_effnet_lite0

    extract = make_effnet_lite0()
    rng = np.random.default_rng(0)
    picture = pillow.fromarray(rng.integers(0, 255, (224, 224, 3), dtype=np.uint8))
    features = extract(picture)
    assert (features.shape, features.dtype) == ((36, 1280), np.float32)
    assert np.array_equal(features, extract(picture))
    assert torch.is_grad_enabled()
    # a region is the mean of 2 x 2 cells, so a picture turned upside down gives other features than its rows turned
    assert not np.allclose(features.reshape(6, 6, -1)[::-1].reshape(36, -1), features)
