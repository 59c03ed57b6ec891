"""The benchmarks: their arithmetic, their judgement, and that the commands run."""

import json
import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import __main__ as benchmarks
from experiments.benchmarks import cases, family, family_peers, goals, hlo, peers, timing

ROOT = Path(__file__).parents[2]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ratios_are_taken_within_a_round(monkeypatch):
    speeds, taken = {"floor": 1.0, "row": 3.0}, []
    rows = {name: timing.Row(lambda name=name: taken.append(name) or name) for name in speeds}

    def seconds(row, calls):  # the machine is slower in each round, and a ratio does not see it
        name = row.call()
        return speeds[name] * 1.5 ** (len(taken) // 2)

    monkeypatch.setattr(timing, "_time", seconds)
    result = timing.measure(rows, rounds=4)
    assert [result["floor"][key] for key in ("ratio", "low", "high")] == [1, 1, 1]
    assert result["row"]["ratio"] == pytest.approx(3, rel=0.5)
    assert result["row"]["compile"] is None
    rounds = [tuple(taken[i : i + 2]) for i in range(4, len(taken), 2)]
    assert len(rounds) == 4 and len(set(rounds)) == 2  # both orders


def test_goals_are_met_missed_or_not_run():
    assert len(goals.goals("gpu")) == 5
    texts = [row[0] for row in goals.judged({})]
    assert len(texts) == len(set(texts)) == 16
    assert {row[3] for row in goals.judged({})} == {"not run"}
    group = "1,000,000 draws of λ"
    for ratio, word in ((49.0, "NOT MET"), (51.0, "met")):
        results = {group: {"symmetric_beta": {"ratio": 1.0}, "jax.random.beta": {"ratio": ratio}}}
        assert word in [row[3] for row in goals.judged(results)]
    group = "large, f32, per batch"
    slow = {"mixup": {"ratio": 1.2}, **{f"by hand: {name}, beta": {"ratio": 1.0} for name in
            ("roll", "permutation")}}  # fmt: skip
    verdicts = {row[0]: row[3] for row in goals.judged({group: slow})}
    assert verdicts[f"mixup, {group}: x floor"] == "met"
    assert verdicts[f"mixup, {group}: fastest by hand / ours"] == "NOT MET"


def test_every_goal_has_its_group():
    every = benchmarks.groups(benchmarks.Config(quick=True))
    full = benchmarks.groups(benchmarks.Config())
    assert set(every) < set(full)
    rows = {"ratio": 1.0, "compile": 0.1}
    names = ["mixup", "mixup or CutMix", "symmetric_beta", "jax.random.beta", "pair_loss"]
    names += ["dense labels", "by hand: roll, beta", "by hand: permutation, beta"]
    results = {name: dict.fromkeys(names, rows) for name in every}
    assert "not run" not in {row[3] for row in goals.judged(results)}


def test_a_peer_that_is_faster_misses_its_goal():
    group = "family, large: CutMix"
    rows = {"jax_mixup": 1.0, "timm": 0.94, "kornia": 0.96}
    results = {group: {name: {"ratio": ratio} for name, ratio in rows.items()}}
    verdicts = {row[0]: row[3] for row in goals.judged(results)}
    assert verdicts[f"{group}: timm / ours"] == "NOT MET"
    assert verdicts[f"{group}: kornia / ours"] == "met"
    assert family.table(results)[2:] == ["| large: CutMix |  |  | 0.94 |  | 0.96 |  |"]
    assert family.table({"small, f32, per batch": rows}) == []


@pytest.mark.parametrize("name", [*family.CELLS, *family.LARGE])
@pytest.mark.slow
def test_each_of_ours_mixes(name):
    """Abstractly: what is compared with the peers has the pictures' shape, and float32."""
    cell = family.cells("large")[name]
    assert cell.theirs and set(cell.theirs) <= set(family.PEERS)
    key, x = jax.random.key(0), jax.ShapeDtypeStruct((4, 224, 224, 3), jnp.float32)
    maps = jax.ShapeDtypeStruct(x.shape[:-1], jnp.float32)
    mixed, labels = jax.eval_shape(
        partial(family.mixed, cell.ours, 10), key, x, jnp.arange(4), maps
    )
    assert (mixed.shape, mixed.dtype, labels.shape) == (x.shape, x.dtype, (4, 10))


def test_openmixup_is_loaded_by_file(tmp_path):
    pytest.importorskip("torch", reason="no PyTorch: pip install '.[bench]'")
    folder = tmp_path / "openmixup/models/augments"
    folder.mkdir(parents=True)
    (folder / "mixdown.py").write_text(
        "import torch\n"
        "from openmixup.models.utils import batch_shuffle_ddp, to_2tuple\n"
        "def mixdown(img, gt_label, by=1):\n"
        "    return img.cuda() / by, (gt_label, gt_label, to_2tuple(0.5))\n"
    )
    images, ids = np.ones((2, 4, 4, 3), np.float32), np.zeros(2, np.int32)
    work = family_peers.Work(images, ids, 2, images[..., 0], tmp_path)
    row = peers.attempt(family_peers.openmixup("mixdown", by=2), work)
    assert isinstance(row, timing.Row), row
    mixed, (own, _, lam) = row.call()
    assert mixed.shape == (2, 3, 4, 4) and float(mixed.max()) == 0.5
    assert own.tolist() == [0, 0] and lam == (0.5, 0.5)
    assert "openmixup.models.utils" not in sys.modules
    missing = family_peers.openmixup("mixdown")(work._replace(openmixup=None))
    assert isinstance(missing, str) and missing.startswith("git clone")


@pytest.mark.slow
def test_what_is_written_by_hand_mixes_too():
    _, images, ids, _ = cases.batch("tiny", "u8 to f32")
    for row in (cases.by_hand("tiny", "u8 to f32", "example") | cases.ours(
        "tiny", "u8 to f32", "example")).values():  # fmt: skip
        mixed, labels = row.call()
        assert mixed.shape == images.shape and mixed.dtype == jnp.float32
        np.testing.assert_allclose(labels.sum(-1), np.ones(len(ids)), rtol=1e-5)
        assert float(jnp.abs(mixed).max()) <= 128 / 58 + 1e-5


def test_a_missing_peer_is_a_row_that_says_so(monkeypatch):
    monkeypatch.setattr(
        peers, "make_timm", lambda *_: (_ for _ in ()).throw(ModuleNotFoundError(name="timm"))
    )
    monkeypatch.setattr(peers, "make_keras", lambda *_: 1 / 0)
    monkeypatch.setattr(peers, "make_kornia", lambda *_, **__: "no")
    images, ids = np.zeros((2, 4, 4, 3), np.float32), np.zeros(2, np.int32)
    rows = peers.peers(images, ids, num_classes=2, per="batch", normalise=False)
    assert rows["timm Mixup"] == "timm is not installed: pip install '.[bench]'"
    assert rows["kornia RandomMixUpV2"] == "no"
    assert rows["keras MixUp"] == "ZeroDivisionError: division by zero"


def test_hlo_is_read():
    x = jnp.zeros((64, 64))
    program = hlo.Program(jax.jit(lambda x: jnp.sort(jnp.exp(x) @ x)).lower(x).compile())
    assert program.count("sort") == 1 and not program.collectives()
    assert {"sort"} <= {i["opcode"] for i in program.passes(64 * 64)}
    assert not program.passes(64 * 64 + 1)


@pytest.mark.slow
def test_smoke(tmp_path):
    text = run("experiments.benchmarks", "--smoke", "--out", tmp_path)
    assert "symmetric_beta" in text and "Goals" in text
    found = lines(tmp_path / "smoke/runs.jsonl")
    assert {"settings", "group", "method", "machine", "ratio", "ms"} <= found[0].keys()
    assert (tmp_path / "smoke/plot.png").stat().st_size > 1000
    assert "tiny" in (tmp_path / "smoke/table.md").read_text()


@pytest.mark.skipif(find_spec("libtpu") is None, reason="no TPU compiler: pip install '.[tpu]'")
def test_nothing_is_added_on_tpus(tmp_path):
    """The real compiler, for 8 and 64 chips, from shapes: no TPU is there, and nothing runs."""
    run("experiments.benchmarks.tpu", "--models", "tiny", "--out", tmp_path)
    found = {(row["group"], row["method"]): row for row in lines(tmp_path / "runs.jsonl")}
    for chips in ("v5e:2x4", "v5e:8x8"):
        mixes = {
            name: row for (group, name), row in found.items() if group == f"{chips}, 64 rows a chip"
        }
        floor = mixes.pop("no mixing")
        bad = mixes.pop("by hand: permutation, beta")
        assert bad["bytes"] > 10 * floor["bytes"] and "all-gather" in bad["collectives"]
        assert bad["cycles"] > 1.5 * floor["cycles"]
        assert len(mixes) == 6
        for name, row in mixes.items():
            assert not row["collectives"], name
            # A map of weights for each example is written and read in the chip's fast memory.
            positions = "cutmix" in name and "example" in name
            assert row["bytes"] <= (4.2 if positions else 1.05) * floor["bytes"], name
            assert row["memory"] <= floor["memory"] + 1e6, name
            assert row["cycles"] <= (1.25 if positions else 1.12) * floor["cycles"], name
        for style in ("data-parallel", "FSDP"):
            without, mixing = (
                found[f"{chips}, tiny", f"{style}, {name}"] for name in ("no mixing", "mixing")
            )
            assert mixing["collectives"] == without["collectives"]
            assert mixing["bytes"] <= 1.001 * without["bytes"]
            assert mixing["memory"] < 16e9
