"""Captions from each format that people have them in, and what is said of files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camp_bench.data.imports.caption_files import parse_caption_files, read_caption_files, with_lists
from camp_bench.data.imports.captions import CaptionedImage, caption_texts, clean_line, group_by_split
from camp_bench.data.imports.faults import Faults
from camp_bench.errors import ConfigError, DataError

KARPATHY: dict[str, Any] = {
    "dataset": "mini",
    "images": [
        {
            "filepath": "val2014",
            "filename": f"COCO_val2014_00000000000{number}.jpg",
            "split": split,
            "cocoid": number,
            "sentences": [{"raw": f" A  dog\n{number} . ", "tokens": ["a", "dog"]}, {"raw": "Ein Hund, größer"}],
        }
        for number, split in enumerate(("train", "restval", "val", "test"), 1)
    ],
}
COCO: dict[str, Any] = {
    "annotations": [
        {"image_id": 2, "id": 0, "caption": "two ."},
        {"image_id": 1, "id": 1, "caption": "one ."},
        {"image_id": 2, "id": 2, "caption": "two again .\n"},
    ],
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
}


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_karpathy(tmp_path: Path) -> None:
    file = write_json(tmp_path / "dataset_mini.json", KARPATHY)
    images = read_caption_files([(None, file)])
    assert [image.split for image in images] == ["train", "train", "dev", "test"]
    assert images[0] == CaptionedImage(
        "COCO_val2014_000000000001.jpg", "train", ["A dog 1 .", "Ein Hund, größer"], "val2014"
    )
    assert [image.key for image in images] == ["COCO 1", "COCO 2", "COCO 3", "COCO 4"]
    assert {image.split for image in read_caption_files([("test", file)])} == {"test"}


def test_coco(tmp_path: Path) -> None:
    file = write_json(tmp_path / "captions_val2014.json", COCO)
    images = read_caption_files([("dev", file)])
    assert images == [
        CaptionedImage("a.jpg", "dev", ["one ."]),
        CaptionedImage("b.jpg", "dev", ["two .", "two again ."]),
    ]
    with pytest.raises(ConfigError, match="knows no splits; name the one it is: train="):
        read_caption_files([(None, file)])


def test_table(tmp_path: Path) -> None:
    file = tmp_path / "captions.tsv"
    file.write_text("b.jpg#0\tone\ttrain\na.jpg\ttwo\tval\nb.jpg#1\tthree\ttrain\n", encoding="utf-8")
    assert read_caption_files([(None, file)]) == [
        CaptionedImage("b.jpg", "train", ["one", "three"]),
        CaptionedImage("a.jpg", "dev", ["two"]),
    ]
    file.write_text("b.jpg\tone\n")
    assert read_caption_files([("test", file)]) == [CaptionedImage("b.jpg", "test", ["one"])]


def test_the_option_names_a_split_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd=name.tsv").write_text("")
    assert parse_caption_files(["val=x.json", "y.json", "odd=name.tsv", "./a=b"]) == [
        ("dev", Path("x.json")),
        (None, Path("y.json")),
        (None, Path("odd=name.tsv")),
        (None, Path("a=b")),
    ]
    with pytest.raises(DataError, match=r"no split is called 'tran' \(did you mean 'train'\?\)"):
        parse_caption_files(["tran=x"])
    with pytest.raises(ConfigError, match="expected SPLIT=FILE"):
        parse_caption_files(["train="])


def test_groups_and_texts() -> None:
    five = CaptionedImage("a", "train", list("vwxyz"))
    one, seven = CaptionedImage("b", "test", ["q"]), CaptionedImage("c", "test", list("1234567"))
    groups = group_by_split([seven, five, one], None, None)
    assert list(groups) == ["train", "test"]
    assert caption_texts(groups) == {
        "train_caps.txt": "v\nw\nx\ny\nz\n",
        "train_ids.txt": "a\n",
        "test_caps.txt": "1\n2\n3\n4\n5\n6\n7\nq\n",
        "test_ids.txt": "c\nb\n",
        "test_index.txt": "0\n" * 7 + "1\n",
    }
    assert group_by_split([seven], ["test"], 5)["test"][0].captions == list("12345")
    assert len(seven.captions) == 7
    with pytest.raises(DataError, match="no image of dev"):
        group_by_split([five], ["train", "dev"], None)
    with pytest.raises(ConfigError, match="--max-captions: got 0"):
        group_by_split([five], None, 0)


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\u2028", "", None, b"a"])
def test_what_a_caption_file_could_not_hold_is_no_line(text: object) -> None:
    assert clean_line("\u00a0a\n\tb ", "x") == "a b"
    with pytest.raises(DataError, match=r"^x: is .*; expected a text that isn't blank"):
        clean_line(text, "x")


def changed(content: dict[str, Any], *path: Any, value: Any = None) -> dict[str, Any]:
    """Return a copy in which the field at the end of the path has another value, or is gone."""
    copy: dict[str, Any] = json.loads(json.dumps(content))
    *parents, last = path
    inner: Any = copy
    for name in parents:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return copy


BAD_KARPATHY = {
    "no filename": (changed(KARPATHY, "images", 2, "filename"), "images[2]: has no 'filename', only 'filepath'"),
    "no split": (changed(KARPATHY, "images", 1, "split"), "images[1]: has no 'split'"),
    "odd split": (changed(KARPATHY, "images", 1, "split", value="tran"), "images[1].split: is 'tran' (did you mean"),
    "no sentences": (changed(KARPATHY, "images", 0, "sentences", value=[]), "has no captions"),
    "no raw": (changed(KARPATHY, "images", 0, "sentences", 1, "raw"), "images[0].sentences[1]: has no 'raw'"),
    "blank": (changed(KARPATHY, "images", 0, "sentences", 1, "raw", value=" \n"), "sentences[1].raw: is ' \\n'"),
    "number": (changed(KARPATHY, "images", 0, "sentences", 1, "raw", value=7), "sentences[1].raw: is 7"),
    "bytes": (changed(KARPATHY, "images", 0, "sentences", 1, "raw", value="b'a dog'"), "is printed Python bytes"),
    "sentence": (
        changed(KARPATHY, "images", 0, "sentences", 1, value="a dog"),
        "sentences[1]: is 'a dog'; expected an",
    ),
    "twice": (
        changed(KARPATHY, "images", 3, "filename", value="000000000001.jpg"),
        "images[3]: image 'val2014/000000000001.jpg' is that of images[0] again",
    ),
    "no object": (changed(KARPATHY, "images", 3, value=[1]), "images[3] is [1]; expected an object"),
    "no images": ({"images": []}, "has no images; expected Karpathy's"),
    "other file": ({"info": 1}, "has no images; expected Karpathy's"),
}
BAD_COCO = {
    "no id": (changed(COCO, "images", 1, "id"), "images[1]: has no 'id'"),
    "id twice": (changed(COCO, "images", 1, "id", value=1), "images[1]: id 1 is of another image as well"),
    "id text": (changed(COCO, "images", 1, "id", value="x"), "images[1]: id 'x' is no whole number"),
    "no caption": (changed(COCO, "annotations", 2, "caption"), "annotations[2]: has no 'caption'"),
    "stray": (changed(COCO, "annotations", 2, "image_id", value=9), "annotations[2]: image_id 9 is of no image"),
    "bare": (changed(COCO, "annotations", 1, "image_id", value=2), "images[0]: image 'a.jpg' has no captions"),
    "name twice": (changed(COCO, "images", 1, "file_name", value="a.png"), "image 'a.png' is that of images[0] again"),
}
BAD_TABLES = {
    "no tab": ("a.jpg one\n", "line 1: has 0 tabs, 'a.jpg one'"),
    "tabs": ("a\tb\tc\td\n", "line 1: has 3 tabs"),
    "no split": ("a\tb\n", "line 1: names no split"),
    "odd split": ("a\tb\ttrain\na\tc\ttrian\n", "line 2: is 'trian' (did you mean 'train'?)"),
    "two splits": ("a\tb\ttrain\na\tc\tdev\n", "line 2: 'a' is of dev, before it was of train"),
    "blank": ("a\t \ttrain\n", "line 1, caption: is ' '"),
    "same": ("a.jpg\tb\ttrain\na.png\tc\ttrain\n", "line 2: image 'a.png' is that of line 1 again"),
}


@pytest.mark.parametrize("case", [*BAD_KARPATHY, *(f"coco {name}" for name in BAD_COCO)])
def test_bad_json_is_refused_with_the_place(case: str, tmp_path: Path) -> None:
    content, message = BAD_COCO[case[5:]] if case.startswith("coco ") else BAD_KARPATHY[case]
    file = write_json(tmp_path / "f.json", content)
    with pytest.raises(DataError) as caught:
        read_caption_files([("train" if case.startswith("coco ") else None, file)])
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused_with_the_line(case: str, tmp_path: Path) -> None:
    content, message = BAD_TABLES[case]
    (file := tmp_path / "f.tsv").write_text(content)
    with pytest.raises((DataError, ConfigError)) as caught:
        read_caption_files([(None, file)])
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"no json", b"\xff\xfe", b"[" * 900, b"[" * 100_000, json.dumps(KARPATHY).encode()[:-150]]
)
def test_what_is_no_whole_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (file := tmp_path / "f.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_caption_files([(None, file)])
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_an_image_stands_in_one_file(tmp_path: Path) -> None:
    one, other = tmp_path / "a.tsv", tmp_path / "b.tsv"
    one.write_text("a.jpg\tone\n")
    other.write_text("a.jpg\ttwo\n")
    with pytest.raises(DataError, match=r"b.tsv: image 'a.jpg' is in .*a.tsv as well"):
        read_caption_files([("train", one), ("test", other)])
    with pytest.raises(DataError, match="can't be read"):
        read_caption_files([("train", tmp_path / "none.json")])


LISTS: dict[str, tuple[str, str, bool]] = {
    "ALBEF, test": ('[{"image": "val2014/a.jpg", "caption": ["one", "two"]}]', ".json", False),
    "ALBEF, train": (
        '[{"caption": "one", "image": "val2014/a.jpg"}, {"caption": "two", "image": "val2014/a.jpg", "image_id": "c"}]',
        ".json",
        False,
    ),
    "CUHK-PEDES": (
        '[{"split": "val", "captions": ["one", "two"], "file_path": "val2014/a.jpg", "id": 1}]',
        ".json",
        True,
    ),
    "RSTPReid": ('[{"id": 0, "img_path": "val2014/a.jpg", "captions": ["one", "two"], "split": "val"}]', ".json", True),
    "Kaggle": ('image,caption\nval2014/a.jpg,one\nval2014/a.jpg,"two"\n', ".txt", False),
    "Flickr30K": ("image_name| comment_number| comment\nval2014/a.jpg| 0| one\nval2014/a.jpg| 1| two\n", ".csv", False),
    "Clotho": ("file_name,caption_1,caption_2\nval2014/a.jpg,one,two\n", ".csv", False),
    "MSR-VTT": ("key;vid_key;video_id;sentence\nr0;m0;val2014/a.jpg;one\nr1;m0;val2014/a.jpg;two\n", ".csv", False),
    "MSR-VTT, commas": (
        "key,vid_key,video_id,sentence\nr0,m0,val2014/a.jpg,one\nr1,m0,val2014/a.jpg,two\n",
        ".csv",
        False,
    ),
    "COCO-CN": ("val2014/a.jpg#zhm#0\tone\nval2014/a.jpg#zhm#1\ttwo\n", ".txt", False),
    "a heading": ("\ufefffile\tcaption\tsplit\nval2014/a.jpg\tone\tval\r\nval2014/a.jpg\ttwo\tval\n", ".tsv", True),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists_and_tables_of_other_programs(case: str, tmp_path: Path) -> None:
    content, suffix, own_split = LISTS[case]
    (file := tmp_path / f"x{suffix}").write_text(content, encoding="utf-8", newline="")
    expected = [CaptionedImage("val2014/a.jpg", "dev", ["one", "two"])]
    assert read_caption_files([("dev", file)]) == expected
    if own_split:
        assert read_caption_files([(None, file)]) == expected
    else:
        with pytest.raises(ConfigError, match="names no split"):
            read_caption_files([(None, file)])


def test_commas_without_quotes_belong_to_the_last_column(tmp_path: Path) -> None:
    (file := tmp_path / "captions.txt").write_text("image,caption\na.jpg,a dog , a cat\n")
    assert read_caption_files([("test", file)])[0].captions == ["a dog , a cat"]
    (file := tmp_path / "results.csv").write_text("image_name| comment_number| comment\na.jpg| 4   A dog runs .\n")
    with pytest.raises(DataError, match="line 2: has 2 columns"):
        read_caption_files([("test", file)])


def test_lists_of_names_beside_captions_say_the_splits(tmp_path: Path) -> None:
    (file := tmp_path / "Flickr8k.token.txt").write_text("a#0\tone\na#1\ttwo\nb#0\tthree\nc#0\tfour\nd#0\tfive\n")
    for split, names in (("train", "c.jpg\n"), ("dev", "b.jpg\n"), ("test", "a.jpg\n")):
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text(names)
    expected = [
        CaptionedImage("c.jpg", "train", ["four"]),
        CaptionedImage("b.jpg", "dev", ["three"]),
        CaptionedImage("a.jpg", "test", ["one", "two"]),
    ]
    assert read_caption_files(with_lists([(None, file)])) == expected
    (listed := tmp_path / "mine.txt").write_text("b.jpg\nd.jpg\n")
    assert [image.name for image in read_caption_files([(None, file), ("test", listed)])] == ["b.jpg", "d.jpg"]
    listed.write_text("b.jpg\nx.jpg\n")
    with pytest.raises(DataError, match=r"mine\.txt: line 2: 'x\.jpg' has no captions in"):
        read_caption_files([(None, file), ("test", listed)])
    with pytest.raises(DataError, match=r"line 1: 'b\.jpg' is in .*mine\.txt as well"):
        read_caption_files([(None, file), ("test", listed), ("dev", tmp_path / "Flickr_8k.devImages.txt")])


def test_blank_captions_are_told_together_or_left_out(tmp_path: Path) -> None:
    content = changed(KARPATHY, "images", 0, "sentences", 1, "raw", value=" ")
    content = changed(content, "images", 2, "sentences", value=[{"raw": "\u200b"}])
    file = write_json(tmp_path / "dataset_RSITMD.json", content)
    with pytest.raises(
        DataError, match=r"images\[0\]\.sentences\[1\]\.raw: is ' '.*; 1 more fault: .*images\[2\]\.sentences"
    ):
        read_caption_files([(None, file)])
    images = read_caption_files([(None, file)], faults := Faults(skip=True))
    assert [(image.key, len(image.captions)) for image in images] == [("COCO 1", 1), ("COCO 2", 2), ("COCO 4", 2)]
    assert faults.count == 2


def test_the_same_name_in_two_folders_is_two_images(tmp_path: Path) -> None:
    (file := tmp_path / "c.tsv").write_text("cam_a/0.png\ta\nCAM_A/0.png\tb\ncam_b/0.png\tc\n7.png\td\n007.png\te\n")
    assert len(read_caption_files([("test", file)])) == 5
    content = changed(KARPATHY, "images", 1, "filename", value="COCO_val2014_000000000001.jpg")
    content = changed(content, "images", 1, "filepath", value="train2014")
    for image in content["images"]:
        image["filename"] = image["filename"].replace("COCO_val2014_", "")[-5:]
    images = read_caption_files([(None, write_json(tmp_path / "d.json", content))])
    assert [image.name for image in images][:3] == ["val2014/1.jpg", "train2014/1.jpg", "3.jpg"]


def test_names_keep_their_spaces_and_numbers(tmp_path: Path) -> None:
    names = ("two  spaces.png", " lead.png", "trail .png", "bong2_variant#2.png", "pic#1", "a,b.png")
    (file := tmp_path / "c.tsv").write_text("".join(f"{name}\tx\n" for name in names))
    assert tuple(image.name for image in read_caption_files([("test", file)])) == names
