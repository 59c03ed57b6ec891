"""Real processes on localhost: the same training as in one, and what happens when one dies.

Run as a script this file is one of the processes.
"""

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import jax_mixup as jm
from experiments.core import devices, loop

pytestmark = pytest.mark.slow  # networks train here

ROOT = Path(__file__).parents[2]
LONG = 480  # seconds; only a bound, for machines that do much else


def launch(role, count, local_devices, *arguments, die=(-1, 0)):
    """The processes of a run; process die[0] kills itself at its batch number die[1]."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    flags = (
        f"--xla_force_host_platform_device_count={local_devices} --xla_backend_optimization_level=0"
    )
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    # A run that goes on, or the next of the processes, compiles nothing again.
    environment |= {"JAX_COMPILATION_CACHE_DIR": str(arguments[0].parent / "cache")}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-m", "tests.experiments.test_multihost", role, address, str(count)]
    return [
        subprocess.Popen(
            [*command, str(i), str(die[1] if die[0] == i else 0), *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(count)
    ]


def finish(processes):
    """What each printed, and its exit code."""
    try:
        with ThreadPoolExecutor() as pool:  # none may wait for its output to be read
            printed = list(pool.map(lambda p: p.communicate(timeout=LONG)[0], processes))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return printed, [process.returncode for process in processes]


def compare(address, count, index, die, out):
    """A process of the runs that are compared: losses, and λ of the last step's rows."""
    jax.distributed.initialize(address, count, index)
    from tests.experiments import (
        test_scale,  # it makes arrays, which has to wait for the line above
    )

    rows, mesh, found = np.arange(16), test_scale.mesh_of(4), {}
    runs = {
        "jit_example": lambda: test_scale.run(test_scale.NORMED, mesh, per="example", groups=4),
        "pmap_example": lambda: test_scale.run_mapped("example"),
        "jit_batch": lambda: test_scale.run(test_scale.PLAIN, mesh, fsdp=True, groups=4),
        "pmap_batch": test_scale.run_mapped,
    }
    for name, run in runs.items():
        mine = rows if name.startswith("jit") else test_scale.local_rows(rows)[0]
        state, metrics = run()
        lam = test_scale.lam_of(state, mine, 4)
        found[name] = [float(m["loss"]) for m in metrics], lam
    Path(out, f"{index}.json").write_text(json.dumps(found, default=np.ndarray.tolist))


def imagenet(address, count, index, die, out):
    """A process of the real script, which may kill itself at a batch."""
    from experiments.imagenet import __main__ as imagenet

    put, seen = devices.on_devices, []

    def on_devices(*arguments, **options):
        seen.append(0)
        if len(seen) == die:
            steps = Path(out, "smoke", "checkpoints")
            while not any(path.name.isdigit() for path in steps.glob("*")):  # written meanwhile
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
        return put(*arguments, **options)

    devices.on_devices = on_devices
    config = imagenet.Config(smoke=True, out=Path(out), epochs=2, patience=6.0)
    cluster = {"coordinator": address, "processes": count, "process": index}
    sys.exit(imagenet.main(dataclasses.replace(config, **cluster)))


def test_processes_train_as_one(tmp_path):
    from tests.experiments import test_scale

    processes = launch("compare", 2, 2, tmp_path)
    mesh = test_scale.mesh_of(4)
    _, by_example = test_scale.run(test_scale.NORMED, mesh, per="example", groups=4)
    _, by_batch = test_scale.run(test_scale.PLAIN, mesh, groups=4)
    expected = {"jit_example": by_example, "jit_batch": by_batch, "pmap_batch": by_batch}
    printed, codes = finish(processes)
    assert codes == [0, 0], printed
    found = [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2)]
    for one in found:
        for name, metrics in expected.items():
            losses = [m["loss"] for m in metrics]
            np.testing.assert_allclose(one[name][0], losses, rtol=1e-4, err_msg=name)
    # Partners were checked where λ was computed: each row met one of its own shard. Under jit each
    # process sees the λ of all rows, under pmap those of its own.
    assert all(one["jit_example"] == found[0]["jit_example"] for one in found)
    for name, (_, lam) in found[0].items():
        if name.startswith("pmap"):
            lam = np.concatenate([one[name][1] for one in found])
        assert np.shape(lam) == (16,)
        if name.endswith("batch"):
            np.testing.assert_allclose(lam, found[0]["jit_batch"][1][0], atol=1e-4, err_msg=name)
        else:
            assert test_scale.distinct(lam), name


def log_of(out):
    """The metrics of each step, by the last line of it, and all steps in the order of the lines."""
    text = (out / "smoke" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(np.isfinite(value) for line in lines for value in line.values())
    steps = [line["step"] for line in lines if "loss" in line]
    last = {}
    for line in lines:
        line.pop("time")
        last.setdefault(line["step"], {}).update(line)
    return last, steps


@pytest.mark.slow
def test_a_process_dies_and_the_run_goes_on(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    printed, codes = finish(launch("imagenet", 2, 1, whole))
    assert codes == [0, 0], printed

    first = "From step 0 to 8."
    for victim in (1, 0):
        printed, codes = finish(launch("imagenet", 2, 1, broken, die=(victim, 4)))
        assert first in printed[0], printed
        other = 1 - victim
        assert codes[victim] == -signal.SIGKILL, printed
        assert codes[other] not in (0, -signal.SIGKILL), printed
        # By us, where a collective failed first, or by JAX, which then ends the process.
        pattern = r"^Another process is gone, .* same command again|distributed service detected"
        assert re.search(pattern, printed[other], re.MULTILINE), printed[other]
        saved = (broken / "smoke" / "checkpoints").glob("*")
        first = f"From step {max(int(path.name) for path in saved if path.name.isdigit())} to 8."

    printed, codes = finish(launch("imagenet", 2, 1, broken))
    assert codes == [0, 0] and first in printed[0], printed
    expected, steps = log_of(whole)
    assert steps == list(range(1, 9))
    found, steps = log_of(broken)
    assert set(steps) == set(range(1, 9)) and len(steps) > 8  # some were done twice
    assert found.keys() == expected.keys()
    for step, scores in expected.items():
        assert found[step] == pytest.approx(scores, rel=1e-4), step


class Run:
    """A tiny run in this process, in a folder."""

    def __init__(self, out, **settings):
        import grain

        from experiments.core import checkpoint
        from tests.experiments import test_scale

        rows = {"image": test_scale.IMAGES, "label": test_scale.LABELS}
        pick = lambda i: {name: array[(i + np.arange(16)) % 16] for name, array in rows.items()}
        recipe = test_scale.recipe_of(test_scale.PLAIN, jm.sample_mixup)
        self.program = devices.program(test_scale.mesh_of(1), recipe)
        self.data = iter(grain.MapDataset.range(9).map(pick).repeat().to_iter_dataset())
        padded = rows | {"label": np.where(np.arange(16) < 11, test_scale.LABELS, -1)}
        self.validation = [rows, padded]
        self.checkpoints = checkpoint.Checkpoints(out, settings)
        self.lines = []

    def go(self, steps, stop_at=None):
        p, key = self.program, jax.random.key(1)
        put = partial(devices.on_devices, sharding=p.batch)
        state = self.checkpoints.restore(p.shapes, p.shardings, self.data)
        self.first = 0 if state is None else int(state.step)
        hooks = loop.Hooks(
            lambda step, scores: self.lines.append((step, scores)),
            partial(self.checkpoints.save, data=self.data),
            lambda step: step == stop_at,
        )
        try:
            return loop.fit(
                lambda state: p.train(state, key, put(next(self.data))),
                p.init() if state is None else state,
                hooks,
                steps=steps,
                evaluate=lambda state: loop.score(
                    p.evaluate(state, *put(batch)) for batch in self.validation
                ),
                evaluate_every=4,
                save_every=2,
            )
        finally:
            self.checkpoints.close()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_another_run_is_refused(tmp_path):
    whole = Run(tmp_path / "whole", batch=16)
    whole.go(8)
    assert [line[1]["validation_count"] for line in whole.lines if "loss" not in line[1]] == [
        27,
        27,
    ]
    stopped = Run(tmp_path / "broken", batch=16)
    assert int(stopped.go(8, stop_at=5).step) == 5
    newest = tmp_path / "broken" / "checkpoints" / "5"
    for path in (newest / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = Run(tmp_path / "broken", batch=16)
    with pytest.raises(loop.Stop, match=r"checkpoints/5 cannot be read .* remove it to go on"):
        again.go(8)
    shutil.rmtree(newest)
    again = Run(tmp_path / "broken", batch=16)
    again.go(8)
    assert again.first == 4
    assert again.lines == [line for line in whole.lines if line[0] > 4]
    with pytest.raises(loop.Stop, match=r"batch=16, and this one has batch=32"):
        Run(tmp_path / "broken", batch=32)


def test_a_loss_that_is_not_finite_ends_the_run_and_is_not_saved(tmp_path):
    run = Run(tmp_path)
    train = run.program.train

    def poisoned(state, *batch):
        broken = state._replace(params=jax.tree.map(lambda a: a * np.nan, state.params))
        return train(broken if int(state.step) == 3 else state, *batch)

    run.program = run.program._replace(train=poisoned)
    with pytest.raises(loop.Stop, match=r"At step 4 \w+ is nan: .* lower rate"):
        run.go(8)
    assert {path.name for path in (tmp_path / "checkpoints").glob("*")} == {"2"}


if __name__ == "__main__":
    jax.config.update("jax_numpy_rank_promotion", "allow")
    role, address, count, index, die, out = sys.argv[1:]
    globals()[role](address, int(count), int(index), int(die), out)
