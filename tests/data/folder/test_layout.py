"""Folders in SCAN's layout: what is read from good ones, and what is said of bad ones."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.data import open_dataset, open_folder
from camp_bench.data.folder.layout import SPLITS
from camp_bench.errors import CampBenchError, ConfigError, DataError

IMAGES = {"train": 4, "dev": 2, "test": 3, "testall": 3}
MakeFolder = Callable[..., Path]
Change = Callable[[Path], object]


def features_of(name: str, dtype: str = "float32") -> np.ndarray:
    shape = (IMAGES[name], 2, 3)
    return (np.arange(np.prod(shape)).reshape(shape) / 4 + SPLITS.index(name)).astype(dtype)


def caption_lines(name: str, count: int) -> str:
    return "".join(f"caption {number} of {name} .\n" for number in range(count))


def snapshot(folder: Path) -> Mapping[str, tuple[int, bytes]]:
    return {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in sorted(folder.iterdir()) if f.is_file()}


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a function that writes the splits named: each image once, five captions an image, no ids."""

    def make(*names: str, dtype: str = "float32") -> Path:
        folder = tmp_path / "mini_precomp"
        folder.mkdir()
        for name in names or ("train", "dev", "test"):
            np.save(folder / f"{name}_ims.npy", features_of(name, dtype))
            (folder / f"{name}_caps.txt").write_text(caption_lines(name, 5 * IMAGES[name]))
        return folder

    return make


def refusal(folder: Path, **options: object) -> str:
    """Return the message with which the folder is refused: one line, and the folder is left as it was."""
    before = snapshot(folder)
    with pytest.raises(DataError) as caught:
        open_folder(folder, **options)  # type: ignore[arg-type]
    assert snapshot(folder) == before
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder))
    return message


# Good folders


def test_images_given_once(make_folder: MakeFolder) -> None:
    folder = make_folder()
    before = snapshot(folder)
    dataset = open_folder(folder)
    assert (dataset.name, dataset.source, dataset.cache) == ("mini_precomp", str(folder), folder)
    assert list(dataset.splits) == ["train", "dev", "test"]
    split = dataset.split("test")
    assert (split.name, split.stored) == ("test", "once")
    assert (split.n_images, split.n_captions, split.n_regions, split.feature_size) == (3, 15, 2, 3)
    assert split.image_ids == ("0", "1", "2")
    assert split.captions[6] == "caption 6 of test ."
    assert split.image_of.tolist() == [caption // 5 for caption in range(15)]
    assert isinstance(split.features, np.memmap)
    np.testing.assert_array_equal(split.gather(np.array([2, 0])), features_of("test")[[2, 0]])
    assert snapshot(folder) == before


def test_images_repeated_once_a_caption_are_found_split_by_split(make_folder: MakeFolder) -> None:
    folder = make_folder()
    np.save(folder / "train_ims.npy", np.repeat(features_of("train"), 5, axis=0))
    dataset = open_folder(folder)
    assert {name: split.stored for name, split in dataset.splits.items()} == {
        "train": "repeated 5 times",
        "dev": "once",
        "test": "once",
    }
    split = dataset.split("train")
    assert (split.n_images, split.n_captions) == (4, 20)
    assert split.feature_rows.tolist() == [0, 5, 10, 15]
    np.testing.assert_array_equal(split.gather(np.arange(4)), features_of("train"))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_both_float_types_are_read_and_gathered_as_float32(make_folder: MakeFolder, dtype: str) -> None:
    split = open_folder(make_folder(dtype=dtype)).split("dev")
    assert split.features.dtype == dtype
    gathered = split.gather(np.array([1]))
    assert gathered.dtype == np.float32
    np.testing.assert_array_equal(gathered, features_of("dev")[[1]])


def test_one_vector_an_image_is_one_region(make_folder: MakeFolder) -> None:
    folder = make_folder()
    for name in ("train", "dev", "test"):
        np.save(folder / f"{name}_ims.npy", features_of(name)[:, 0])
    split = open_folder(folder).split("test")
    assert split.features.shape == (3, 1, 3)
    np.testing.assert_array_equal(split.gather(np.arange(3)), features_of("test")[:, :1])


def test_number_of_regions_may_differ_between_splits(make_folder: MakeFolder) -> None:
    folder = make_folder()
    np.save(folder / "dev_ims.npy", np.ones((2, 7, 3), dtype="float32"))
    assert open_folder(folder).split("dev").n_regions == 7


def test_index_allows_any_number_of_captions_an_image(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "test_caps.txt").write_text(caption_lines("test", 4))
    (folder / "test_index.txt").write_text("2\n0\n1\n2\n")
    split = open_folder(folder).split("test")
    assert split.stored == "once, indexed"
    assert split.image_of.tolist() == [2, 0, 1, 2]
    assert split.image_of.dtype == np.int64


def test_index_overrules_counts_that_would_mean_five_an_image(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "test_index.txt").write_text("0\n" * 13 + "1\n2\n")
    assert open_folder(folder).split("test").image_of.tolist() == [0] * 13 + [1, 2]


def test_index_overrules_one_caption_a_row(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "test_caps.txt").write_text(caption_lines("test", 3))
    (folder / "test_index.txt").write_text("0\n1\n2\n")
    assert open_folder(folder).split("test").n_images == 3


def test_testall_is_opened_where_present(make_folder: MakeFolder) -> None:
    assert list(open_folder(make_folder(*SPLITS)).splits) == list(SPLITS)


def test_only_the_splits_named_have_to_be_there(make_folder: MakeFolder) -> None:
    folder = make_folder("test", "dev")
    assert list(open_folder(folder, ["test"]).splits) == ["dev", "test"]
    assert "no train_ims.npy, train_caps.txt" in refusal(folder)


def test_ids_name_the_images(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "test_ids.txt").write_text("c.jpg\na.jpg\nb.jpg\n")
    assert open_folder(folder).split("test").image_ids == ("c.jpg", "a.jpg", "b.jpg")


@pytest.mark.parametrize("repeated", [False, True], ids=["once", "repeated"])
@pytest.mark.parametrize("every", [1, 5])
def test_ids_one_an_image_or_one_a_caption(make_folder: MakeFolder, repeated: bool, every: int) -> None:
    folder = make_folder()
    if repeated:
        np.save(folder / "test_ims.npy", np.repeat(features_of("test"), 5, axis=0))
    (folder / "test_ids.txt").write_text("".join(f"{name}\n" * every for name in "cab"))
    assert open_folder(folder).split("test").image_ids == ("c", "a", "b")


@pytest.mark.parametrize(
    ("content", "captions"),
    [
        (b"a dog .\na cat .\n", ("a dog .", "a cat .")),
        (b"a dog .\na cat .", ("a dog .", "a cat .")),
        (b"a dog .\na cat .\n\n", ("a dog .", "a cat .")),
        (b"a dog .\r\na cat .\r\n\r\n", ("a dog .", "a cat .")),
        (b"\xef\xbb\xbfa dog .\n \ta cat .  \n", ("a dog .", "a cat .")),
        ("a dog\u2028sits .\na\x0bcat\x85 naps .\n".encode(), ("a dog\u2028sits .", "a\x0bcat\x85 naps .")),
        ("un café\n猫\n".encode(), ("un café", "猫")),
        (b"b'day cake 'for a boy'\nb is not 'b'\n", ("b'day cake 'for a boy'", "b is not 'b'")),
    ],
    ids=["plain", "no last line end", "blank last line", "CRLF", "BOM and spaces", "other separators", "UTF-8", "b'"],
)
def test_caption_lines(make_folder: MakeFolder, content: bytes, captions: tuple[str, ...]) -> None:
    folder = make_folder()
    (folder / "dev_caps.txt").write_bytes(content)
    (folder / "dev_index.txt").write_text("0\n1\n")
    if content.startswith(b"b'"):
        assert "printed Python bytes" in refusal(folder)  # it can't be told from str(bytes), and never occurs
        return
    assert open_folder(folder).split("dev").captions == captions


def test_header_of_another_file_version(make_folder: MakeFolder) -> None:
    folder = make_folder()
    with (folder / "dev_ims.npy").open("wb") as stream:
        np.lib.format.write_array(stream, features_of("dev"), version=(2, 0))
    np.testing.assert_array_equal(open_folder(folder).split("dev").gather(np.arange(2)), features_of("dev"))


def test_header_of_python_2_is_read_without_a_warning(make_folder: MakeFolder) -> None:
    folder = make_folder()
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 2L, 3L), }"
    header = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + features_of("dev").tobytes()
    (folder / "dev_ims.npy").write_bytes(content)
    np.testing.assert_array_equal(open_folder(folder).split("dev").gather(np.arange(2)), features_of("dev"))


def test_features_can_be_links_to_another_folder(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    (folder / "dev_ims.npy").rename(tmp_path / "elsewhere.npy")
    (folder / "dev_ims.npy").symlink_to(tmp_path / "elsewhere.npy")
    assert open_folder(folder).split("dev").n_images == 2


# Bad folders


def write_npy(name: str, array: np.ndarray) -> Change:
    def change(folder: Path) -> None:
        np.save(folder / f"{name}_ims.npy", array, allow_pickle=True)

    return change


def write(name: str, content: bytes | str) -> Change:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, length: int) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, features=features_of("dev"))
    return stream.getvalue()


OTHER_ORDER = ">f4" if sys.byteorder == "little" else "<f4"
FIFTEEN = np.arange(90, dtype="float32").reshape(15, 2, 3)
TWO_LINES = both(write("dev_caps.txt", "a\nb\n"), write("dev_index.txt", "0\n1\n"))
BAD: dict[str, tuple[Change, list[str]]] = {
    "no captions file": (
        lambda folder: (folder / "dev_caps.txt").unlink(),
        ["no dev_caps.txt;", "the folder holds dev_ims.npy, test_caps.txt", "for each of train, dev, test", "add it"],
    ),
    "half an optional split": (write("testall_caps.txt", "a\n"), ["no testall_ims.npy", "train, dev, test, testall"]),
    "features empty": (write("dev_ims.npy", b""), ["dev_ims.npy: not a whole .npy", "empty (0 bytes)", "again"]),
    "features a web page": (write("dev_ims.npy", "<!DOCTYPE html><html>"), ["starts with b'<!DOCTYPE html><'"]),
    "features a pickle": (write("dev_ims.npy", b"\x80\x04\x95\x0b\x00"), ["not a whole .npy file"]),
    "features an npz": (write("dev_ims.npy", npz()), ["not a whole .npy file", "starts with b'PK"]),
    "features cut in the magic": (cut("dev_ims.npy", 4), ["not a whole .npy file"]),
    "features cut in the header": (cut("dev_ims.npy", 40), ["not a whole .npy file"]),
    "features cut in the data": (cut("dev_ims.npy", 150), ["is cut off", "(2, 2, 3) float32", "176", "150", "again"]),
    "features of a damaged header": (
        write("dev_ims.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((\n" + bytes(64)),
        ["not a whole .npy file"],
    ),
    "features of a huge shape": (
        write(
            "dev_ims.npy",
            b"\x93NUMPY\x01\x00\x76\x00"
            + b"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296), }".ljust(117)
            + b"\n",
        ),
        ["is cut off", "4294967296"],
    ),
    "features float64": (write_npy("dev", np.ones((2, 2, 3))), ["float64", "expected float16 or float32", "astype"]),
    "features int": (write_npy("dev", np.ones((2, 2, 3), dtype=int)), ["int64", "float16 or float32"]),
    "features objects": (write_npy("dev", np.array([[1], [2, 3]], dtype=object)), ["object", "save one array"]),
    "features of another byte order": (write_npy("dev", np.ones((2, 2, 3), OTHER_ORDER)), [OTHER_ORDER, "byte order"]),
    "features in Fortran order": (
        write_npy("dev", np.asfortranarray(features_of("dev"))),
        ["Fortran order", "expected C order", "np.ascontiguousarray"],
    ),
    "no images": (write_npy("dev", np.ones((0, 2, 3), "f4")), ["(0, 2, 3)", "each 1 or more"]),
    "no regions": (write_npy("dev", np.ones((2, 0, 3), "f4")), ["(2, 0, 3)", "each 1 or more"]),
    "no features": (write_npy("dev", np.ones((2, 0), "f4")), ["(2, 0)", "each 1 or more"]),
    "one dimension": (write_npy("dev", np.ones(2, "f4")), ["(2,)", "(images, regions, feature size)"]),
    "four dimensions": (write_npy("dev", np.ones((2, 2, 3, 3), "f4")), ["(2, 2, 3, 3)", "one region a cell"]),
    "two feature sizes": (
        write_npy("dev", np.ones((2, 2, 5), "f4")),
        ["train have size 3", "dev 5", "expected one size", "in the same way"],
    ),
    "counts that don't fit": (
        write("test_caps.txt", caption_lines("test", 14)),
        ["14 captions for 3 rows", "expected 15", "or 3 (images repeated)", "test_index.txt"],
    ),
    "one caption a row": (
        write("test_caps.txt", caption_lines("test", 3)),
        ["3 rows and as many captions", "multiple of 5", "expected 5 captions an image", "test_index.txt"],
    ),
    "one caption a row, a multiple of five": (
        write_npy("test", FIFTEEN),
        ["15 rows", "rows 0 to 4 aren't 5 times the same image", "expected 5 captions an image", "test_index.txt"],
    ),
    "last group differs": (
        write_npy("test", np.concatenate([np.repeat(FIFTEEN[:2], 5, axis=0), FIFTEEN[:5]])),
        ["rows 10 to 14"],
    ),
    "captions of no lines": (write("dev_caps.txt", "\n"), ["dev_caps.txt: has no lines"]),
    "captions empty": (write("dev_caps.txt", ""), ["dev_caps.txt: has no lines"]),
    "empty caption": (
        write("dev_caps.txt", caption_lines("dev", 6) + " \t\n" + caption_lines("dev", 3)),
        ["dev_caps.txt: line 7 is empty", "expected a caption on every line"],
    ),
    "two blank lines at the end": (write("dev_caps.txt", caption_lines("dev", 10) + "\n\n"), ["line 11 is empty"]),
    "captions in Latin-1": (
        write("dev_caps.txt", "one\ntwo\nun café\n".encode("latin-1")),
        ["is not UTF-8", "byte 0xe9 at offset 14 (line 3)", "as UTF-8"],
    ),
    "captions in UTF-16": (write("dev_caps.txt", "a dog".encode("utf-16")), ["not UTF-8", "at offset 0 (line 1)"]),
    "captions in UTF-16, no BOM": (write("dev_caps.txt", "a dog".encode("utf-16-le")), ["byte 0x00 at offset 1"]),
    "captions of printed bytes": (
        write("dev_caps.txt", "fine\nb'a dog runs .'\n"),
        ["line 2 is printed Python bytes", "a dog runs", "expected plain text", "decode('utf-8')"],
    ),
    "captions of printed bytes, double": (write("dev_caps.txt", 'b"a dog\'s ball"\n'), ["line 1 is printed Python"]),
    "index too short": (write("dev_index.txt", "0\n1\n"), ["dev_index.txt: 2 lines for 10 captions", "one line a"]),
    "index out of range": (both(TWO_LINES, write("dev_index.txt", "0\n2\n")), ["line 2 is '2'", "0 to 1"]),
    "index negative": (both(TWO_LINES, write("dev_index.txt", "-1\n1\n")), ["line 1 is '-1'", "0-based"]),
    "index no number": (both(TWO_LINES, write("dev_index.txt", "0\n1.0\n")), ["line 2 is '1.0'"]),
    "index of other digits": (both(TWO_LINES, write("dev_index.txt", "0\n\u0661\n")), ["line 2 is"]),
    "index of an endless number": (both(TWO_LINES, write("dev_index.txt", "0\n" + "9" * 9000)), ["line 2 is '999"]),
    "index blank line": (both(TWO_LINES, write("dev_index.txt", "\n1\n")), ["line 1 is ''"]),
    "image without captions": (
        both(TWO_LINES, write("dev_index.txt", "1\n1\n")),
        ["1 of 2 images have no caption", "row 0", "one or more captions an image"],
    ),
    "ids too few": (write("dev_ids.txt", "a\n"), ["1 ids for 2 images", "expected 2 or 10", "remove it"]),
    "ids a caption beside an index": (
        both(TWO_LINES, write("dev_ids.txt", "a\n" * 5 + "b\n" * 5)),
        ["10 ids for 2 images; expected 2;"],
    ),
    "ids twice": (write("test_ids.txt", "a\nb\na\n"), ["line 3 repeats 'a' of line 1", "id of its own"]),
    "ids twice, one a caption": (write("dev_ids.txt", "a\n" * 10), ["line 6 repeats 'a' of line 1"]),
    "ids that disagree in a group": (
        write("dev_ids.txt", "a\n" * 4 + "b\n" * 6),
        ["line 5 is 'b'", "whose other id is 'a'", "5 equal lines an image"],
    ),
    "ids with a blank line": (write("test_ids.txt", "a\n\nc\n"), ["test_ids.txt: line 2 is empty", "an id on every"]),
    "ids not UTF-8": (write("test_ids.txt", b"a\n\xff\nc\n"), ["test_ids.txt: is not UTF-8", "offset 2 (line 2)"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folder_is_refused(make_folder: MakeFolder, case: str) -> None:
    change, fragments = BAD[case]
    folder = make_folder()
    change(folder)
    message = refusal(folder)
    for fragment in fragments:
        assert fragment in message
    assert message.count("; ") >= 1, "says what is wrong and what to do"


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; expected one with \{train,dev,test\}_ims.npy"):
        open_folder(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_of_the_folder(make_folder: MakeFolder) -> None:
    file = make_folder() / "train_ims.npy"
    with pytest.raises(DataError, match=r"train_ims.npy: is a file; expected the folder"):
        open_folder(file)


def test_empty_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert "the folder holds nothing" in message
    assert "no train_ims.npy, train_caps.txt, dev_ims.npy" in message


def test_no_split_required_and_none_there(tmp_path: Path) -> None:
    assert "no split" in refusal(tmp_path, splits=[])


def test_folder_above_the_data_is_told_from_it(make_folder: MakeFolder) -> None:
    folder = make_folder()
    assert f"did you mean {folder}?" in refusal(folder.parent)


def test_long_listing_is_cut(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.jpg").touch()
    assert "holds 00.jpg, 01.jpg, 02.jpg, 03.jpg, 04.jpg, 05.jpg, 06.jpg, 07.jpg and 12 more" in refusal(tmp_path)


def test_unknown_split_is_named_with_the_nearest(make_folder: MakeFolder) -> None:
    with pytest.raises(DataError, match=r"no split is called 'tset' \(did you mean 'test'\?\); there are train, dev"):
        open_folder(make_folder(), ["tset"])


@pytest.mark.parametrize("file", ["dev_ims.npy", "dev_caps.txt", "dev_ids.txt"])
def test_folder_in_place_of_a_file(make_folder: MakeFolder, file: str) -> None:
    folder = make_folder()
    (folder / file).unlink(missing_ok=True)
    (folder / file).mkdir()
    assert f"{file}: can't be read (Is a directory)" in refusal(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "dev_caps.txt").chmod(0)
    with pytest.raises(DataError, match=r"dev_caps.txt: can't be read \(Permission denied\)"):
        open_folder(folder)


@given(content=st.binary(max_size=200), file=st.sampled_from(["dev_ims.npy", "dev_caps.txt", "dev_ids.txt"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, file: str) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    np.save(folder / "dev_ims.npy", features_of("dev"))
    (folder / "dev_caps.txt").write_text(caption_lines("dev", 10))
    (folder / file).write_bytes(content)
    refused = None
    try:
        split = open_folder(folder, ["dev"]).split("dev")
    except DataError as error:
        refused = str(error)
    if refused is None:
        assert split.n_images == 2
    else:
        assert file in refused
        assert "\n" not in refused


@given(st.binary(max_size=130))
def test_any_header_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, header: bytes) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "dev_caps.txt").write_text(caption_lines("dev", 10))
    (folder / "dev_ims.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(DataError, match=r"dev_ims\.npy"):
        open_folder(folder, ["dev"])


# Names of datasets


def test_open_dataset_of_a_folder(make_folder: MakeFolder) -> None:
    folder = make_folder()
    assert open_dataset(str(folder)).split("dev").n_captions == 10
    assert open_dataset(f"{folder}/").source == f"{folder}/"


def test_folder_called_toy_needs_its_path_and_keeps_it(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder()
    folder.rename(folder.parent / "toy")
    monkeypatch.chdir(folder.parent)
    dataset = open_dataset("./toy")
    assert (dataset.source, dataset.name, dataset.split("dev").n_images) == ("./toy", "toy", 2)
    assert open_dataset("toy:train=2,dev=2,test=2").cache is None


def test_home_is_expanded(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_dataset("~/mini_precomp").source == "~/mini_precomp"


def test_toy_options_are_those_of_the_toy_data() -> None:
    dataset = open_dataset("toy:train=3,dev=2,test=2,seed=1")
    assert dataset.source == "toy:train=3,dev=2,test=2,seed=1"
    assert dataset.split("train").n_images == 3
    with pytest.raises(ConfigError, match="sead"):
        open_dataset("toy:sead=1")


@pytest.mark.parametrize("source", ["tyo", "toys", "Toy", "TOY:seed=1", " toy", "toy;seed=1", "toi"])
def test_near_miss_of_toy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"did you mean 'toy'\?"):
        open_dataset(source)


def test_folder_whose_name_is_close_to_toy_is_a_folder(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder()
    folder.rename(folder.parent / "toys")
    monkeypatch.chdir(folder.parent)
    assert open_dataset("toys").split("dev").n_images == 2


@pytest.mark.parametrize(
    "source", ["", "  ", "f30k", "data/toy", "x" * 5000, "a\0b", "toy\0", "/dev/null", "~/nowhere"]
)
def test_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CampBenchError) as caught:
        open_dataset(source)
    assert isinstance(caught.value, DataError)
    if "toy" not in source or "/" in source:
        assert "did you mean" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
