"""What a report looks like in a terminal and as Markdown."""

from __future__ import annotations

import io

import msgspec
import pytest
from examples import example_throughput
from rich.console import Console

from camp_bench.records import Measurement
from camp_bench.records.throughput import ScalingPoint, ThroughputReport
from camp_bench.report.throughput import PUBLISHED, spread_warnings, throughput_document
from camp_bench.report.writers import markdown, terminal


def printed(report: ThroughputReport, width: int = 120) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(terminal.write(throughput_document(report)))
    return file.getvalue()


def changed(**changes: object) -> ThroughputReport:
    report = example_throughput()
    return msgspec.structs.replace(report, models=(msgspec.structs.replace(report.models[0], **changes),))


def test_the_summary_has_medians() -> None:
    (line,) = (line for line in printed(example_throughput()).splitlines() if line.startswith("scan:t2i-lse  "))
    # 100 x 500 pairs in 2 s; quartiles 18,750 and 37,500; 40 MFLOP in 2 s of 10 GFLOP/s; ranks take 2 s for as many
    assert line.split() == ["scan:t2i-lse", "25,000", "75", "%", "2.0", "0", "%", "3:31", "1:24:15"]


def test_every_speed_up_stands_with_its_baseline() -> None:
    text = " ".join(printed(example_throughput()).split())
    assert "2.0 x the plain form, one caption at a time, captions at their true lengths" in text
    assert "on 100 x 50; largest difference 1e-07" in text
    assert text.startswith("fp32 on cpu (some), 1 thread, torch unknown, camp-bench 0.1.0")
    assert PUBLISHED in text


def test_a_padded_baseline_says_so() -> None:
    plain = example_throughput().models[0].baselines[0]
    padded = msgspec.structs.replace(plain, padded_words=50, max_difference=None)
    text = " ".join(printed(changed(baselines=(plain, padded))).split())
    assert "padded to 50 words as in the released program (quartiles 2.0 to 2.0; on 100 x 50)" in text


def test_what_is_not_known_is_not_shown_as_a_number() -> None:
    text = printed(changed(flops=0, useful_flops=0, peak_bytes=None))
    assert "no matrix product" in text
    assert "unknown on this system" in text
    assert text.splitlines()[4].split()[5] == "-"


def test_growth_is_shown_where_it_was_measured() -> None:
    points = tuple(
        ScalingPoint(images=n, captions=n, seconds=Measurement(name="evaluate", unit="s", samples=(float(n * n),)))
        for n in (10, 20)
    )
    assert "growth" not in printed(example_throughput())
    assert "seconds ~ pairs^1.00 over 10 x 10, 20 x 20" in printed(changed(scaling=points))


def test_samples_that_spread_are_warned_about() -> None:
    (warning,) = spread_warnings(example_throughput())
    assert warning.startswith("scan:t2i-lse: samples spread, their quartiles apart by score 75% of the median")
    steady = Measurement(name="score", unit="s", samples=(1.0, 1.01, 1.02))
    assert spread_warnings(changed(score=steady)) == []


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = printed(example_throughput(), width).splitlines()
    assert max(map(len, lines[1:])) <= width  # the first is left to the terminal to wrap
    assert "…" not in "".join(lines)


def test_markdown_holds_the_same() -> None:
    text = markdown.write(throughput_document(example_throughput()))
    assert "| model | pairs/s | spread | x plain | of products | f30k-1k | coco-5k |" in text
    assert "| scan:t2i-lse | 25,000 | 75 % | 2.0 | 0 % | 3:31 | 1:24:15 |" in text
    assert "- speed-up: 2.0 x the plain form, one caption at a time" in text
    assert r"- warning: scan\:t2i-lse: samples" in text
    assert text.endswith(f"{PUBLISHED}\n")


def test_markdown_shows_names_as_they_are() -> None:
    text = markdown.write(throughput_document(changed(model="my|<b>*model*")))
    assert "| my\\|&lt;b&gt;\\*model\\* |" in text
    assert "### my\\|&lt;b&gt;\\*model\\*\n" in text
    assert "<b>" not in text
