"""The page: what stands in it, that nothing of others acts in it, and how a real browser shows it."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from comparison_examples import write_run

from camp_bench.comparison import CompareOptions
from camp_bench.comparison.study import studies
from camp_bench.data import open_dataset
from camp_bench.data.fingerprints import task_fingerprint
from camp_bench.data.toy.dataset import draw_pictures, parse_toy
from camp_bench.records import EpochLog
from camp_bench.report.page import report_page
from camp_bench.report.page.pictures import Pictures

EVIL = "<script>alert(1)</script> \"'{{7*7}} \x1b[2J"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IMAGES = 20


def write_dataset(folder: Path) -> None:
    """Write a split with captions that would act in a page, and a picture of the first image."""
    folder.mkdir()
    np.save(folder / "test_ims.npy", np.random.default_rng(0).random((IMAGES, 2, 4), dtype=np.float32))
    captions = [f"{EVIL.replace(chr(27), '')} caption {n}\n" for n in range(5 * IMAGES)]
    (folder / "test_caps.txt").write_text("".join(captions), encoding="utf-8")
    (folder / "test_ids.txt").write_text("".join(f"{n}.png\n" for n in range(IMAGES)), encoding="utf-8")
    image = pytest.importorskip("PIL.Image")
    (folder / "images").mkdir()
    for n in range(IMAGES):
        image.new("RGB", (300, 200), (10 * n, 80, 120)).save(folder / "images" / f"{n}.png")


def log(epoch: int) -> EpochLog:
    return EpochLog(
        epoch=epoch,
        steps=3,
        loss=9.0 / epoch,
        plateau=10.0,
        on_plateau=0.0,
        negatives="hardest",
        learning_rate=0.1,
        train_seconds=1.0,
        dev_seconds=1.0,
        dev_rsum=100.0 + epoch,
        vitals={"gates_mean": 0.5, "attention_entropy": 0.9},
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("page")
    write_dataset(place / "data")
    split = open_dataset(str(place / "data"), ["test"]).split("test")
    for model, level in (("camp", 1.0), (EVIL, 1.1), ("vsepp", 2.0)):
        for seed in range(3):
            write_run(
                place / "results",
                run_id=f"run-{len(model)}-{seed}",
                model=model,
                seed=seed,
                level=level,
                images=IMAGES,
                dataset={"source": str(place / "data")},
                evaluation={"task_fingerprint": task_fingerprint(split)},
                training={"epochs": (log(1), log(2))},
            )
    found, _ = studies([place / "results"], CompareOptions(resamples=200))
    return report_page(found, command="camp-bench report results", version="0")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_what_others_wrote_stays_text(page: str) -> None:
    parser = Tags()
    parser.feed(page)
    assert [tag for tag, _ in parser.tags].count("script") == 1  # our own
    assert "&lt;script&gt;alert(1)" in page
    assert "{{7*7}}" in page
    assert "\x1b" not in page


def test_it_needs_nothing_beside_itself(page: str) -> None:
    parser = Tags()
    parser.feed(page)
    for tag, attributes in parser.tags:
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/")), (tag, attributes)
    ids = [attributes["id"] for _, attributes in parser.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in parser.tags if tag == "a"}
    assert links <= set(ids)
    assert len(page) < 3_000_000


def test_every_figure_has_words_in_its_place(page: str) -> None:
    figures = re.findall(r'<svg.*?role="img" aria-labelledby="(\S+) (\S+)"', page)
    assert len(figures) == 5  # forest, recall, ranks, training, seeds
    for title, description in figures:
        assert re.search(rf'<title id="{title}">[^<]+</title><desc id="{description}">[^<]+</desc>', page)
    assert "seeds, rsum" in page


def test_pictures_stand_in_it_small(page: str) -> None:
    assert page.count('<img src="data:image/jpeg;base64,') > 4
    assert "✓" in page


def luminance(colour: str) -> float:
    """Return the relative luminance of #rgb or #rrggbb, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * letter for letter in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_from_its_ground_in_light_and_dark(page: str) -> None:
    themes = [dict(re.findall(r"--(\w+):(#\w+)", block)) for block in re.findall(r":root\{(--ground[^}]*)\}", page)]
    assert len(themes) == 3  # light, dark, print
    for theme in themes:
        for ground in ("ground", "panel"):
            for ink in ("ink", "soft", "good", "accent"):
                low, high = sorted((luminance(theme[ground]), luminance(theme[ink])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (ground, ink, theme)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `apt-get install chromium` brings it")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_and_sorts_it(page: str, tmp_path: Path, width: int) -> None:
    probe = """
    const page = document.querySelector("iframe").contentDocument;
    const head = [...page.querySelectorAll("thead th button")].find(one => one.textContent === "rsum");
    const column = () => [...head.closest("table").tBodies[0].rows].map(row =>
      parseFloat(row.cells[head.parentNode.cellIndex].dataset.value));
    head.click(); const up = column(); head.click(); const down = column();
    const root = page.documentElement, wide = root.scrollWidth - root.clientWidth;
    document.querySelector("pre").textContent = JSON.stringify({up, down, wide, width: root.clientWidth});
    """
    frame = f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(page)}"></iframe>'
    file = tmp_path / "frame.html"  # as a window is never narrower than 500
    script = f"<script>addEventListener('load', () => {{{probe}}})</script>"
    file.write_text(f"<!doctype html>{frame}<pre></pre>{script}", encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM),
            *(
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                f"--user-data-dir={tmp_path}",
            ),
            "--window-size=1400,900",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(re.findall(r"<pre>(.*?)</pre>", done.stdout)[-1])
    assert found["up"] == sorted(found["up"])
    assert found["down"] == found["up"][::-1]
    assert len(set(found["up"])) == 3
    assert found["width"] == width
    assert found["wide"] == 0
    assert "CONSOLE" not in done.stderr


def test_toy_scenes_are_drawn_and_other_data_are_not() -> None:
    source = "toy:train=2,dev=2,test=40,regions=8,feature_size=16"
    pictures = Pictures(source, "test")
    scenes = [scene for scene, _ in draw_pictures(parse_toy(source), "test")]
    for number, scene in enumerate(scenes):
        head, _, content = pictures(f"toy-test-{number:06d}").partition(",")
        assert head == "data:image/svg+xml;base64"
        texts = [one.text for one in ET.fromstring(base64.b64decode(content)).iter("{http://www.w3.org/2000/svg}text")]
        assert sorted(texts[: len(scene.things)]) == sorted(thing.kind for thing in scene.things)
        assert scene.place in texts
    assert pictures("toy-test-000040") == ""
    assert Pictures("nowhere", "test")("a.png") == ""
    assert Pictures(source, "testall")("toy-testall-000000") == ""


def test_no_id_leads_out_of_the_folder_of_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "data" / "images").mkdir(parents=True)
    for place in (tmp_path / "out.png", tmp_path / "data" / "images" / "in.png"):
        image.new("RGB", (9, 9)).save(place)
    (tmp_path / "data" / "images" / "link.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "data" / "images" / "broken.png").write_bytes(b"no picture")
    pictures = Pictures(str(tmp_path / "data"), "test")
    assert pictures("in.png").startswith("data:image/jpeg")
    for name in ("../../out.png", str(tmp_path / "out.png"), "link.png", "broken.png", "", "a\0b"):
        assert pictures(name) == ""
