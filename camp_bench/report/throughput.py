"""Lays out throughput reports: one line a model, then all that was found of each, with what it was measured against.

Nothing is computed here but what a report derives from its samples; rounding happens here alone.
"""

from __future__ import annotations

from camp_bench.config.protocols import PROTOCOLS
from camp_bench.records.throughput import Baseline, ModelThroughput, ThroughputReport, quartiles, relative_spread
from camp_bench.report.document import Cell, Column, Document, Remark, Section, Sheet, listed_rows
from camp_bench.report.results import format_duration

__all__ = [
    "PUBLISHED",
    "spread_warnings",
    "throughput_document",
    "throughput_title",
]

UNSTEADY = 0.1
"""Samples whose quartiles lie further apart than this part of the median are warned about."""

PUBLISHED = (
    "Published by others, on their machines, not measured here: SCAN in its authors' program on an A100 80 GB, "
    "286,000 pairs/s at 1K x 5K, 389,000 at 10K x 50K, out of memory at 100K x 500K; IMRAM 26,000 to 41,000 "
    "(FiCo-ITR, arXiv 2407.20114, table 6). No timing of CAMP was found."
)

LEGEND = (
    "x plain: speed-up over the plain form on true lengths. of products: useful FLOP/s in parts of a bare matrix "
    "product's. f30k-1k, coco-5k: time that encoding, scoring and ranking so many would take, as predicted "
    "from these samples; too long where the workload is tiny."
)

HEADERS = ("model", "pairs/s", "spread", "x plain", "of products", "f30k-1k", "coco-5k")


def throughput_title(report: ThroughputReport) -> str:
    """Return where and how all figures of a report were measured, in one line."""
    found = report.environment
    device = f"{found.device} ({found.device_name or found.processor})"
    threads = f"{found.threads} thread" + ("s" if found.threads != 1 else "")
    return (
        f"{report.precision} on {device}, {threads}, torch {found.packages.get('torch', 'unknown')}, "
        f"camp-bench {found.camp_bench}" + (f" at {found.commit[:12]}" if found.commit else "")
    )


def throughput_document(report: ThroughputReport) -> Document:
    """Return a line a model, everything about each, warnings, and what others published."""
    columns = tuple(Column(header, right=place > 0) for place, header in enumerate(HEADERS))
    sheets = [Sheet("throughput", "", columns, tuple(map(_summary, report.models)), (LEGEND,))]
    pair = (Column("quantity", right=False, whole=True), Column("figures", right=False))
    for place, model in enumerate(report.models, 1):
        sheets.append(Sheet(f"model-{place}", model.model, pair, listed_rows(_details(model)), listed=True))
    remarks = tuple(Remark(text, "warning") for text in spread_warnings(report))
    section = Section(throughput_title(report), (), tuple(sheets), remarks, PUBLISHED)
    return Document("camp-bench throughput", (section,), report)


def spread_warnings(report: ThroughputReport) -> list[str]:
    """Return a sentence for every model of which some samples spread so much that their median says little."""
    warnings = []
    for model in report.models:
        rows = [(part.name, part.samples) for part in (model.score, model.evaluate, model.product)]
        rows += [(f"speed-up ({item.seconds.name})", item.speed_ups) for item in model.baselines]
        wide = [f"{name} {spread:.0%}" for name, samples in rows if (spread := relative_spread(samples)) > UNSTEADY]
        if wide:
            warnings.append(
                f"{model.model}: samples spread, their quartiles apart by {', '.join(wide)} of the median; "
                "stop other programs, or raise --turns"
            )
    return warnings


def _summary(model: ModelThroughput) -> tuple[Cell, ...]:
    predicted = _predictions(model)
    rate, spread = quartiles(model.pairs_per_second)[1], relative_spread(model.pairs_per_second)
    faster, share = quartiles(model.baselines[0].speed_ups)[1], quartiles(model.product_shares)[1]
    return (
        Cell(model.model),
        Cell(f"{rate:,.0f}", value=rate),
        Cell(_percent(spread), value=spread),
        Cell(f"{faster:.1f}", value=faster),
        Cell(_percent(share), value=share) if model.useful_flops else Cell("-"),
        Cell(predicted["f30k-1k"]),
        Cell(predicted["coco-5k"]),
    )


def _ranked(model: ModelThroughput) -> str:
    rate = model.workload.pairs / quartiles(model.evaluate.samples)[1]
    return f"{rate:,.0f} pairs/s, exact, both ways, {100 * model.ranked_product_share:.0f} % of products"


def _details(model: ModelThroughput) -> list[tuple[str, str]]:
    low, middle, high = quartiles(model.pairs_per_second)
    product = max(model.product.samples)
    rows = [
        ("workload", _workload(model)),
        ("pairs/s", f"{middle:,.0f} (quartiles {low:,.0f} to {high:,.0f}, {len(model.score.samples)} samples)"),
        ("with ranks", _ranked(model)),
        *(("speed-up", _speed_up(baseline)) for baseline in model.baselines),
        ("FLOPs a pair", _flops(model)),
        ("product rate", f"at best {product / 1e9:,.1f} GFLOP/s, {' x '.join(f'{n:,}' for n in model.product_shape)}"),
        ("bytes a pair", f"{_bytes(model.traffic_bytes_per_pair)} read and written by all operations"),
        ("peak memory", _peak(model)),
        ("encoding", _encoding(model)),
        ("predicted", ", ".join(f"{name} {time}" for name, time in _predictions(model).items())),
    ]
    if model.useful_flops:
        shares = quartiles(model.product_shares)
        text = f"{_percent(shares[1])} (quartiles {_percent(shares[0])} to {_percent(shares[2])}), useful FLOPs only"
        rows.insert(-5, ("of products", text))
    if (exponent := model.growth_exponent) is not None:
        sizes = ", ".join(f"{point.images:,} x {point.captions:,}" for point in model.scaling)
        rows.append(("growth", f"seconds ~ pairs^{exponent:.2f} over {sizes}"))
    return rows


def _workload(model: ModelThroughput) -> str:
    work = model.workload
    return (
        f"{work.images:,} images x {work.captions:,} captions, {work.data}; {work.regions} regions, "
        f"{work.words:.1f} words, D = {work.dim}; tiles of {model.tile_images} x {model.tile_captions}"
    )


def _speed_up(baseline: Baseline) -> str:
    low, middle, high = quartiles(baseline.speed_ups)
    padding = (
        "captions at their true lengths"
        if baseline.padded_words is None
        else f"padded to {baseline.padded_words} words as in the released program"
    )
    difference = "" if baseline.max_difference is None else f"; largest difference {baseline.max_difference:.0e}"
    return (
        f"{middle:.1f} x the plain form, one caption at a time, {padding} (quartiles {low:.1f} to {high:.1f}; "
        f"on {baseline.images:,} x {baseline.captions:,}{difference})"
    )


def _flops(model: ModelThroughput) -> str:
    if not model.flops:
        return "no matrix product"
    plain = "; ".join(
        f"{'plain' if item.padded_words is None else 'padded plain'} {item.flops_per_pair:,.0f}"
        for item in model.baselines
    )
    useful = model.useful_flops_per_pair
    return f"{model.flops_per_pair:,.0f} counted, {useful:,.0f} without padding; {plain}"


def _peak(model: ModelThroughput) -> str:
    if model.peak_bytes is None:
        return "unknown on this system"
    return f"{_bytes(float(model.peak_bytes))} beside the prepared items"


def _encoding(model: ModelThroughput) -> str:
    image, caption = (quartiles(part.samples)[1] * 1000 for part in (model.encode_images, model.encode_captions))
    return f"{image:.3g} ms an image, {caption:.3g} ms a caption"


def _predictions(model: ModelThroughput) -> dict[str, str]:
    """Return the time that a protocol's sizes would take on the same machine, for each protocol that has sizes."""
    return {
        protocol.name: format_duration(model.predicted_seconds(protocol.images, protocol.captions, protocol.folds))
        for protocol in PROTOCOLS
        if protocol.images and protocol.captions
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _bytes(count: float) -> str:
    """Return a size with a decimal unit, `1.5 GB`."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while abs(count) >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:,.0f} {units[0]}" if count >= 99.5 or units[0] == "B" else f"{count:.2g} {units[0]}"
