"""Which names mean the same picture, and which only look so."""

from __future__ import annotations

import unicodedata

import pytest

from camp_bench.data.names import coco_number, match_names, name_forms, tidy_name


@pytest.mark.parametrize(
    "name",
    [
        "COCO_val2014_000000391895.jpg",
        "val2014/COCO_val2014_000000391895.jpg",
        "val2014\\COCO_val2014_000000391895.jpg",
        ".\\val2017\\000000391895.png",
        "COCO_val2014_000000391895",
        "391895",
        "391895.tif",
    ],
)
def test_coco_s_number_in_every_form(name: str) -> None:
    assert coco_number(name) == 391895
    assert name_forms(name)[-1] == "391895"
    assert match_names([["COCO_val2014_000000391895.jpg"]], ["1", name]) == ([1], [])


@pytest.mark.parametrize("name", ["1000268201_693b08cb0e.jpg", "v1.2", "a7", "٣", "1_0"])
def test_other_names_have_no_number(name: str) -> None:
    assert coco_number(name) is None


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".png", ".heic", ".jp2", ".mp4", ".npy"])
def test_suffixes_are_no_part_of_a_name(suffix: str) -> None:
    assert match_names([[f"agricultural00{suffix}"]], ["agricultural00"]) == ([0], [])


def test_composed_and_decomposed_letters_are_the_same() -> None:
    nfc, nfd = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    assert nfc != nfd
    assert tidy_name(nfd) == nfc
    assert match_names([[nfc]], [nfd]) == ([0], [])


def test_the_same_name_in_two_folders_is_two_pictures() -> None:
    wanted = [["cam_a/000_45.png"], ["cam_b/000_45.png"]]
    assert match_names(wanted, ["cam_b/000_45", "cam_a\\000_45.png"]) == ([1, 0], [])
    found, doubtful = match_names(wanted, ["000_45"])
    assert found == [None, None]
    assert doubtful == ["'000_45' can't be told to be 'cam_a/000_45.png' and 'cam_b/000_45.png'"]
    assert match_names(wanted, ["cam_a/000_45", "000_45"])[0] == [0, None]  # it may as well be the other again


def test_a_number_with_zeros_before_it_is_another_name_where_both_are_there() -> None:
    assert match_names([["7.png"], ["007.png"]], ["007", "7"]) == ([1, 0], [])
    assert match_names([["7.png"], ["007.png"]], ["7"])[0] == [0, None]
    assert match_names([["0007.png"]], ["7", "007"])[0] == [None]
    assert match_names([["007.png"]], ["7"]) == ([0], [])


def test_the_folder_may_stand_apart_from_the_name() -> None:
    assert match_names([["a.jpg", "one/a.jpg"], ["b.jpg", "two/b.jpg"]], ["two/b.jpg", "one/a.jpg"]) == ([1, 0], [])


def test_spaces_belong_to_a_name() -> None:
    assert match_names([["two  spaces.png"], ["two spaces.png"]], ["two spaces.png", "two  spaces.png"]) == ([1, 0], [])
    assert match_names([["lead.png"]], [" lead.png"]) == ([0], [])
