"""Baselines on disk: small, whole or absent, and whatever is wrong with a file is said instead of judged."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from examples import read_back
from gate_examples import World, write_run, write_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camp_bench.cli import main
from camp_bench.errors import OutputError, RecordError
from camp_bench.gate import baseline
from camp_bench.gate.baseline import Baseline, read_baseline, same_settings, window_of, write_baseline
from camp_bench.records import find_records, read_record, write_record

WORLD = World(images=20)


def save(folder: Path, count: int = 2, **options: Any) -> Path:
    file = folder / "baselines" / "b.json"
    write_baseline(file, Baseline(recall=window_of(write_runs(folder / "runs", WORLD, count, **options))))
    return file


def edit(file: Path, change: Any, *, sign: bool = True) -> None:
    """Change the content of a baseline; signed, as somebody who knows the format would."""
    whole = json.loads(file.read_text())
    change(whole["baseline"])
    if sign:
        compact = msgspec.json.format(json.dumps(whole["baseline"]).encode(), indent=-1)
        whole["sha256"] = hashlib.sha256(compact).hexdigest()
    file.write_text(json.dumps(whole))


def test_baseline_reads_as_it_was_written(tmp_path: Path) -> None:
    file = save(tmp_path)
    window = read_baseline(file).recall
    assert window is not None
    records = [read_record(folder) for folder in find_records([tmp_path / "runs"])]
    assert [run.run_id for run in window.runs] == [record.run_id for record in records]
    assert [run.metrics for run in window.runs] == [record.evaluation("test").metrics for record in records]
    assert [run.config for run in window.runs] == [record.config for record in records]
    arrays = WORLD.run(np.random.default_rng(1000))
    for name, found in zip("bnp", window.runs[0].t2i, strict=True):
        assert np.array_equal(found, arrays[f"t2i_{name}"])
    assert np.array_equal(window.image_of, WORLD.image_of)
    assert window.mean("rsum") == pytest.approx(np.mean([run.metrics["rsum"] for run in window.runs]))


def test_five_runs_on_a_thousand_images_stay_under_100_kb(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", World(images=1000, level=3.0), 5)
    assert write_baseline(tmp_path / "b.json", Baseline(recall=window_of(runs))) < 100_000


def test_baseline_is_never_overwritten_unless_forced(tmp_path: Path) -> None:
    file = save(tmp_path)
    before = file.read_bytes()
    other = Baseline(recall=window_of(write_runs(tmp_path / "more", WORLD, 1, seed=7)))
    with pytest.raises(OutputError, match=r"is there already; give another name, or --force"):
        write_baseline(file, other)
    assert file.read_bytes() == before
    write_baseline(file, other, force=True)
    assert read_baseline(file).recall is not None
    assert [path.name for path in file.parent.iterdir()] == ["b.json"]


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = save(tmp_path)
    with pytest.raises(OutputError, match="can't be written"):
        write_baseline(file / "below.json", Baseline(recall=read_baseline(file).recall))


def test_runs_are_found_by_folder_record_or_folder_of_folders(tmp_path: Path) -> None:
    one, two = write_runs(tmp_path / "runs", WORLD, 2)
    assert find_records([tmp_path / "runs"]) == find_records([one, two / "record.json", one / "record.json"])
    with pytest.raises(RecordError, match="nowhere: no such folder"):
        find_records([one, tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="empty: no run in it"):
        find_records([tmp_path / "empty"])


def test_runs_of_other_models_are_left_out_when_one_is_named(tmp_path: Path) -> None:
    runs = write_runs(tmp_path, WORLD, 2) + write_runs(tmp_path, WORLD, 1, seed=5, model="camp")
    assert len(window_of(runs, model="vsepp").runs) == 2
    with pytest.raises(RecordError, match=r"model camp, .*vsepp-s0 has vsepp; name runs that belong together"):
        window_of(runs)
    with pytest.raises(
        RecordError, match=r"no run of scan with an evaluation of split 'test'; found: camp \(test under"
    ):
        window_of(runs, model="scan")
    with pytest.raises(RecordError, match="no run of any model with an evaluation of split 'dev'"):
        window_of(runs, "dev")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 0, "weights": "1" * 64}, "are of the same seed; name one of them"),
        ({"seed": 3, "weights": "0" * 64}, "are of the same weights; name one of them"),
        ({"seed": 3, "evaluation": {"task_fingerprint": "other"}}, "task fingerprint other, .* has task"),
        ({"seed": 3, "evaluation": {"features_fingerprint": "x"}}, "features fingerprint x, .* has features"),
        ({"seed": 3, "evaluation": {"protocol": "coco-5k"}}, "protocol coco-5k, .* has full"),
        ({"seed": 3, "evaluation": {"transductive": True}}, "transductive True, .* has False"),
        ({"seed": 3, "evaluation": {"queries": None}}, "keeps no per-query results of split 'test'"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(0)
    first = write_run(tmp_path, WORLD.run(rng), weights="0" * 64)
    second = write_run(tmp_path, WORLD.run(rng), **options)
    with pytest.raises(RecordError, match=message):
        window_of([first, second])


def test_one_ranking_of_unknown_weights_under_several_seeds_is_one_run(tmp_path: Path) -> None:
    arrays = WORLD.run(np.random.default_rng(0))
    runs = [write_run(tmp_path, arrays, seed=seed, weights_sha256="") for seed in (0, 1, 2)]
    with pytest.raises(RecordError, match=r"s0 and .*s1 and .*s2 are of the same ranks; name one of them"):
        window_of(runs)
    assert len(window_of(runs[:1]).runs) == 1


def test_runs_of_other_settings_are_no_window(tmp_path: Path) -> None:
    (run,) = write_runs(tmp_path, WORLD, 1)
    config = read_record(run).config
    other = msgspec.structs.replace(config, settings=msgspec.structs.replace(config.settings, epochs=7), seed=1)
    changed = write_run(tmp_path, WORLD.run(np.random.default_rng(5)), seed=1, config=other)
    with pytest.raises(RecordError, match="other settings than"):
        window_of([run, changed])
    assert same_settings(config, msgspec.structs.replace(config, seed=4, device="cuda:1", data="/elsewhere"))
    assert not same_settings(config, other)


def test_metrics_that_do_not_follow_from_the_queries_are_refused(tmp_path: Path) -> None:
    arrays = WORLD.run(np.random.default_rng(0))
    run = write_run(tmp_path, arrays, evaluation={"metrics": {"rsum": 600.0}})
    with pytest.raises(RecordError, match="its per-query results say"):
        window_of([run])


@pytest.mark.parametrize("name", ["image_of", "i2t_b", "t2i_p"])
def test_query_file_without_an_array_is_refused(tmp_path: Path, name: str) -> None:
    arrays = WORLD.run(np.random.default_rng(0))
    run = write_run(tmp_path, arrays)
    del arrays[name]
    from camp_bench.records import write_arrays

    checksum = write_arrays(run / "queries_test.npz", arrays)
    write_record(run, msgspec.structs.replace(read_back(run), files={"queries_test.npz": checksum}))
    with pytest.raises(RecordError, match=f"no {name}"):
        window_of([run])


def pack(values: Any) -> str:
    return base64.b64encode(zlib.compress(np.asarray(values, dtype="<i4").tobytes())).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["recall"].update(images=0), "0 images"),
        (lambda b: b["recall"].update(images=10**15), "expected b, n, p of 1000000000000000 queries|image_of"),
        (lambda b: b["recall"].update(runs=[]), "0 runs"),
        (lambda b: b["recall"].update(protocol="mine"), "protocol: got 'mine'"),
        (lambda b: b["recall"].update(protocol="coco-5k"), "needs 5,000"),
        (lambda b: b["recall"].update(model="camp"), "is of vsepp, the window of camp"),
        (lambda b: b["recall"].update(image_of=pack([99] * 100)), "image_of: expected 100 numbers from 0 to 19"),
        (lambda b: b["recall"].update(image_of="%%"), "not packed counts"),
        (lambda b: b["recall"].update(image_of=7), "not packed counts"),
        (lambda b: b["recall"].update(image_of=b["recall"]["image_of"][:-8]), "not packed counts"),
        (lambda b: b["recall"]["runs"][0].update(i2t_b=pack([-1] * 20)), "expected b, n, p of 20 queries"),
        (lambda b: b["recall"]["runs"][0].update(i2t_b=pack([101] * 20)), "100 at most in sum"),
        (lambda b: b["recall"]["runs"][0].update(i2t_b=pack([0] * 20)), "its per-query results say"),
        (lambda b: b["recall"]["runs"][0].update(i2t_b=b["recall"]["runs"][0]["t2i_b"]), "expected b, n, p of 20"),
        (lambda b: b["recall"]["runs"][0]["metrics"].pop("rsum"), "rsum is nan"),
        (lambda b: b["recall"]["runs"][0]["metrics"].update(rsum=None), "not a baseline"),
        (lambda b: b["recall"]["runs"][0]["metrics"].update(more=1.0), "more is 1.0"),
        (lambda b: b["recall"]["runs"].append(b["recall"]["runs"][0]), "are of the same weights"),
        (lambda b: b["recall"].update(extra=1), "extra"),
        (lambda b: b.update(recall=None), "holds nothing"),
    ],
)
def test_content_that_contradicts_itself_is_refused_though_signed(tmp_path: Path, change: Any, message: str) -> None:
    file = save(tmp_path)
    edit(file, change)
    with pytest.raises(RecordError, match=message) as found:
        read_baseline(file)
    assert str(found.value).startswith(str(file))
    assert "\n" not in str(found.value)


def test_metric_that_is_newer_than_a_baseline_is_worked_out_from_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path)
    known = baseline.retrieval_metrics

    def with_one_more(i2t: Any, t2i: Any) -> dict[str, float]:
        return {**known(i2t, t2i), "i2t.best": float(100 * np.mean(i2t[0] == 0))}

    monkeypatch.setattr(baseline, "retrieval_metrics", with_one_more)
    window = read_baseline(file).recall
    assert window is not None
    assert window.mean("i2t.best") == pytest.approx(100 * np.mean([run.i2t_b == 0 for run in window.runs]))
    window = window_of(find_records([tmp_path / "runs"]))
    assert {"i2t.best", "rsum"} < set(window.runs[0].metrics)


def test_array_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path)
    bomb = base64.b64encode(zlib.compress(bytes(2**28 + 4), 9)).decode()
    edit(file, lambda b: b["recall"].update(image_of=bomb))
    with pytest.raises(RecordError, match=r"not packed counts \(incomplete\)"):
        read_baseline(file)


def test_spaces_do_not_matter_and_any_other_change_does(tmp_path: Path) -> None:
    file = save(tmp_path)
    edit(file, lambda b: None, sign=False)
    read_baseline(file)
    edit(file, lambda b: b["recall"]["runs"][0].update(created="later"), sign=False)
    with pytest.raises(RecordError, match="its checksum differs, the file is damaged or was edited"):
        read_baseline(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a baseline"),
        (b"{}", "schema version None"),
        (b"[]", "not a baseline"),
        (b"null", "not a baseline"),
        (b"\xff\xfe\x00", "not a baseline"),
        (b'{"schema_version": 2, "new": []}', "schema version 2, this camp-bench reads 1"),
        (b'{"schema_version": "1"}', "schema version 1"),
        (b'{"schema_version": true}', "schema version True"),
        (b'{"schema_version": 1}', "not a baseline"),
        (b'{"schema_version": 1, "sha256": "", "baseline": {}}', "checksum differs"),
        (b"[" * 100_000, "not a baseline"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "b.json"
    file.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        read_baseline(file)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none\.json: can't be read .*`camp-bench baseline save` wrote"):
        read_baseline(tmp_path / "none.json")
    with pytest.raises(RecordError, match="can't be read"):
        read_baseline(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    file = save(tmp_path_factory.mktemp("fuzz"), 1)
    return file.with_name("damaged.json"), file.read_bytes()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_is_ever_read_as_something_else(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    """Bytes flipped, cut, repeated or put in: refused, or the very same content."""
    file, content = whole
    at = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "drop", "insert", "repeat"]))
    damaged = {
        "cut": content[:at],
        "flip": content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :],
        "drop": content[:at] + content[at + data.draw(st.integers(1, 40)) :],
        "insert": content[:at] + data.draw(st.binary(min_size=1, max_size=8)) + content[at:],
        "repeat": content[:at] + content[max(0, at - 30) :],
    }[kind]
    file.write_bytes(damaged)
    try:
        found = read_baseline(file)
    except RecordError as error:
        assert "\n" not in str(error)  # noqa: PT017 (both outcomes are right, each in its own way)
        return
    compact = [
        msgspec.json.format(json.dumps(json.loads(text)["baseline"]).encode(), indent=-1) for text in (damaged, content)
    ]
    assert compact[0] == compact[1]
    assert found.recall is not None


def test_a_folder_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["baseline", "list", str(tmp_path / "none")]) == 2
    assert "none: can't be read (No such file or directory)" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["baseline", "list", str(tmp_path / "file")]) == 2
    assert "file: can't be read (Not a directory)" in capsys.readouterr().err
