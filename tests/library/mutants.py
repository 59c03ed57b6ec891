"""Small changes of the library that a test must notice.

`python -m tests.library.mutants [WORD ...]` runs them.

Each mutant goes into a copy of the repository, where the tests that are to notice it run. It is
killed if one of them fails. With words, only mutants whose file or tests contain one of them run.
A new mutant is a line below: text that the file has once, what it becomes, and the tests.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[2]
COPIED = ("jax_mixup", "experiments", "tests", "README.md", "pyproject.toml")


@dataclasses.dataclass(frozen=True)
class Mutant:
    file: str  # in jax_mixup/
    old: str
    new: str
    tests: tuple[str, ...]  # node ids without "tests/library/"

    def __str__(self):
        return f"{self.file}: {self.old!r} -> {self.new!r}"

    @property
    def nodes(self):
        return [f"tests/library/{test}" for test in self.tests]


def mutant(file, old, new, *tests):
    return Mutant(file, old, new, tests)


PUBLISHED = "test_defaults.py::test_defaults_are_those_that_were_published"
EAGER = "recipes/test_eager.py::test_"
FEW = f"{EAGER}a_call_outside_of_a_jit_runs_few_programs"
RECIPES = "test_presets.py::test_recipes_are_the_samplers_with_their_numbers"
COWMIX = "samplers/test_cowmix.py::test_blobs_have_the_share_and_the_size_asked_for"
CHAIN = "test_verbs.py::test_wide_dtypes_are_not_narrowed_between_the_mixes_of_a_chain"
REMIX = "adjust/test_labels.py::test_remix_by_its_three_cases"
RANDOMMIX = "recipes/test_randommix.py::test_randommix_draws_alpha_for_each_method_that_has_one"
CLASSMIX = "samplers/test_classmix.py::test_half_of_the_classes_are_kept_and_never_the_ignored"
LARGEST = "test_geometry.py::test_the_largest_are_those_of_a_stable_sort"
LAW = "test_laws.py::test_label_weight_is_the_share_really_taken"

MUTANTS = [
    # What a pair shares.
    mutant(
        "policies.py",
        'on = _tied("sometimes", grain, [layers], batch, on)',
        "pass",
        "test_verbs.py::test_a_pair_is_mixed_together_or_left_together",
    ),
    mutant(
        "policies.py",
        'pick = _tied("one_of", grain, mixes, batch, pick)',
        "pass",
        "test_verbs.py::test_a_pair_is_mixed_together_or_left_together",
    ),
    mutant(
        "samplers/patchup.py",
        "lam, share = draw.tie(law(1.0)),",
        "lam, share = law(1.0),",
        "samplers/test_patchup.py::test_soft_blocks_are_mixed_and_hard_ones_swapped",
    ),
    # Shares: of labels, of boxes, of what is drawn.
    mutant("_geometry.py", "_ratio(total - area, total)", "_ratio(area, total)", LAW),
    mutant(
        "apply/_lists.py",
        "(share >= least)",
        "(share > least)",
        "apply/test_boxes.py::test_a_box_of_which_just_enough_is_seen_stays",
    ),
    mutant("adjust/labels.py", "& (mix.lam < tau)", "& (mix.lam <= tau)", REMIX),
    mutant("adjust/labels.py", "& (1 - mix.lam < tau)", "& (1 - mix.lam <= tau)", REMIX),
    mutant("adjust/labels.py", "(own >= kappa * rest)", "(own > kappa * rest)", REMIX),
    mutant(
        "recipes/recursivemix.py",
        "law = uniform(1 - share, 1.0)",
        "law = uniform(0.5, 1.0)",
        "recipes/test_recursivemix.py::test_recursivemixs_box_is_at_most_the_share",
    ),
    # Options that reach what they are for.
    mutant(
        "recipes/randommix.py",
        "partial(sample_fmix, alpha=alpha)",
        "partial(sample_fmix)",
        RANDOMMIX,
    ),
    mutant("recipes/randommix.py", "jnp.asarray(alphas, ", "jnp.asarray(alphas[:1], ", RANDOMMIX),
    mutant(
        "recipes/pixmix.py",
        "u[1] * (k + 1)",
        "u[1] * k",
        "recipes/test_pixmix.py::test_the_distribution_is_that_of_the_algorithm",
    ),
    mutant(
        "adjust/predictions.py",
        "jnp.where(hot[1], 0.0, p)",
        "p",
        "adjust/test_predictions.py::test_the_formula_by_hand",
    ),
    mutant(
        "apply/robust_losses.py",
        ") & earlier",
        ") & ~earlier",
        "apply/test_robust_losses.py::test_mndcg_by_hand",
    ),
    mutant(
        "apply/sphere.py",
        "turn = (2 * m - 1) * half",
        "turn = (m - 1) * half",
        "apply/test_sphere.py::test_the_formula_by_hand",
    ),
    mutant(
        "apply/sphere.py",
        "jnp.where(m < 1, other.astype(wide), 0.0)",
        "other.astype(wide)",
        "apply/test_sphere.py::test_what_has_weight_0_has_no_influence",
    ),
    mutant(
        "recipes/mochi.py",
        "1.0, 0.5)",
        "1.0, 1.0)",
        "recipes/test_mochi.py::test_weights_are_uniform",
    ),
    mutant(
        "recipes/splicemix.py",
        "return rank < ",
        "return rank <= ",
        "recipes/test_splicemix.py::test_dropped_cells_are_black_and_have_no_labels",
    ),
    mutant(
        "recipes/stackmix.py",
        "other=other_labels, num_classes=num_classes, smoothing=smoothing",
        "other=other_labels, num_classes=num_classes",
        "recipes/test_stackmix.py::test_stackmix_by_hand",
    ),
    mutant(
        "recipes/_call.py",
        "num_classes=num_classes, smoothing=smoothing)",
        "num_classes=num_classes)",
        "recipes/test_recipes.py::test_recipes_sample_blend_and_label",
    ),
    mutant(
        "samplers/puzzlemix.py",
        "_border(grid, beta)",
        "_border(grid, 1.2)",
        "samplers/test_puzzlemix.py::test_the_mask_is_the_exact_minimum",
    ),
    # Classes and axes.
    mutant(
        "apply/metrics.py",
        "jnp.argmax(labels, axis=-1)",
        "jnp.argmax(labels, axis=1)",
        "test_verbs.py::test_mixed_accuracy_by_hand",
    ),
    mutant(
        "samplers/classmix.py",
        "(known, flat, num_classes)",
        "(known, flat, num_classes - 1)",
        CLASSMIX,
    ),
    mutant(
        "samplers/classmix.py",
        "(stay, ((0, 0), (0, 1)))",
        "(stay, ((0, 0), (0, 1)), 'edge')",
        CLASSMIX,
    ),
    # Groups, several partners, the other direction.
    mutant(
        "pairings/_rows.py",
        "jnp.broadcast_to(parts[:, :1], parts.shape)",
        "jnp.broadcast_to(parts[:1], parts.shape)",
        "test_groups.py::test_a_group_shares_its_draw",
    ),
    mutant(
        "pairings/static.py",
        "index % size + start, n)",
        "index % size + start, 0)",
        "test_groups.py::test_an_index_out_of_range_stays_one",
    ),
    mutant(
        "samplers/dirichlet.py",
        "mixed = place < counts",
        "mixed = place <= counts",
        "samplers/test_dirichlet.py::test_a_random_number_of_examples",
    ),
    mutant(
        "_draws.py",
        "fits[i], t[i], taken",
        "fits[i] | True, t[i], taken",
        "test_distributions.py::test_gammas_of_all_sizes",
    ),
    mutant(
        "adjust/labels.py",
        "total = mix.lam + move_rows(back, 1 - mix.lam)",
        "total = mix.lam + (1 - mix.lam)",
        "adjust/test_labels.py::test_the_inverse_is_the_columns_of_all_weights",
    ),
    mutant(
        "apply/inputs.py",
        "jnp.where(again, 0.0, weight)",
        "weight",
        "apply/test_inputs.py::test_the_energy_of_an_example_that_is_mixed_in_twice",
    ),
    # Few positions are read, few steps run: what CPUs, GPUs and TPUs do differently.
    mutant(
        "apply/fit.py",
        "jnp.where(share > 0, low + float(far), low)",
        "low + float(far)",
        "apply/test_fit.py::test_a_missing_value_stays_in_its_own_place",
    ),
    mutant(
        "apply/fit.py",
        "if shrinking else 1.0",
        "if shrinking else 2.0",
        "apply/test_fit.py::test_on_tpus_linear_is_the_same_as_a_product_of_matrices",
    ),
    mutant("_geometry.py", "_before(cut.astype(jnp.int32)) < rest", "cut", LARGEST),
    mutant("_geometry.py", "reversed(range(0, 32, 4))", "reversed(range(0, 28, 4))", LARGEST),
    mutant(
        "_maps.py",
        "kernel[reach, : 2 * reach + 1]",
        "kernel[reach, 1 : 2 * reach + 1]",
        "test_maps.py::test_a_blur_is_a_gaussian_of_what_is_inside",
    ),
    mutant(
        "samplers/grafting.py",
        "_geometry.fusion_barrier(_geometry.area_average(move_rows(draw.pairing, s), grid))",
        "_geometry.area_average(move_rows(draw.pairing, s), grid)",
        "samplers/test_grafting.py::"
        "test_where_all_is_as_salient_the_label_is_of_the_mask_that_is_blended",
    ),
    mutant(
        "_loops.py",
        "default=unrolled)",
        "default=lambda state, xs: state)",
        "test_loops.py::test_elsewhere_the_results_are_the_same",
    ),
    # Digits.
    mutant(
        "samplers/cowmix.py",
        "noise -= noise.mean(tuple(range(1, noise.ndim)), keepdims=True)",
        "pass",
        "samplers/test_cowmix.py::test_a_wide_blur_keeps_its_digits",
    ),
    mutant(
        "samplers/cowmix.py",
        "jnp.exp(low + (high - low) * u[:, 0])",
        "jnp.exp(low + 0 * u[:, 0])",
        COWMIX,
    ),
    mutant(
        "samplers/cowmix.py",
        "jnp.exp(low + (high - low) * u[:, 0])",
        "sigma[0] + (sigma[1] - sigma[0]) * u[:, 0]",
        COWMIX,
    ),
    mutant("_blending.py", "if soft and own.dtype not in WIDE else", "if soft else", CHAIN),
    mutant(
        "_blending.py", "(jnp.float64, jnp.complex64, jnp.complex128)", "(jnp.complex64,)", CHAIN
    ),
    # Numbers that were published.
    mutant("presets.py", "mixup_alpha=0.1, cutmix_alpha", "mixup_alpha=0.2, cutmix_alpha", RECIPES),
    mutant("presets.py", 'strong1": _big_vision(0.5)', 'strong1": _big_vision(0.8)', RECIPES),
    mutant(
        "presets.py",
        "sometimes(sample_cutmix, 0.5)",
        "sometimes(sample_cutmix, 0.9)",
        "test_presets.py::test_cutmix_of_cifar_leaves_half_of_the_batches",
    ),
    mutant(
        "presets.py",
        "lam_law=constant(0.75)",
        "lam_law=constant(0.5)",
        "test_presets.py::test_a_random_square_is_a_quarter_before_it_is_clipped",
    ),
    mutant(
        "samplers/mixup_or_cutmix.py",
        "mixup_alpha: ArrayLike = 0.8",
        "mixup_alpha: ArrayLike = 1.0",
        PUBLISHED,
    ),
    mutant("samplers/snapmix.py", "alpha: ArrayLike = 5.0", "alpha: ArrayLike = 1.0", PUBLISHED),
    mutant("samplers/tokenmix.py", "least: int = 14", "least: int = 16", PUBLISHED),
    # Outside of a jit few programs, inside of one no others.
    mutant(
        "_entry.py", "inline=True", "inline=False", f"{EAGER}inside_of_a_jit_they_leave_no_mark"
    ),
    mutant("apply/inputs.py", '@one_program("function", "out")\n', "", FEW),
    mutant("recipes/randommix.py", '@one_program("num_classes", "dtype")\n', "", FEW),
]


def copied(folder):
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def passes(folder, nodes, cache):
    """Whether these tests pass there. Anything but tests that pass or fail is an error."""
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),  # most of what a mutant compiles is as it was
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **os.environ,
        "PYTHONPATH": str(folder),
        # Files that change within a second would be read as they were.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    done = subprocess.run(
        [*command, *nodes], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.returncode == 0


def is_killed(mutant, folder, cache):
    path = folder / "jax_mixup" / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise RuntimeError(f"{mutant.file} has {text.count(mutant.old)} times {mutant.old!r}.")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return not passes(folder, mutant.nodes, cache)
    finally:
        path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants with one of these in file or tests")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    options = parser.parse_args()
    chosen = [
        m
        for m in MUTANTS
        if not options.words or any(word in f"{m.file} {m.tests}" for word in options.words)
    ]
    if not chosen:
        parser.error(f"no mutant has any of {options.words} in its file or tests")
    with tempfile.TemporaryDirectory() as top:
        folders, cache = SimpleQueue(), Path(top) / "compiled"
        for job in range(options.jobs):
            folders.put(copied(Path(top) / str(job)))

        def run(function, *arguments):
            folder = folders.get()
            try:
                return function(*arguments, folder, cache)
            finally:
                folders.put(folder)

        nodes = sorted({node for m in chosen for node in m.nodes})
        if not run(lambda folder, cache: passes(folder, nodes, cache)):
            print("These tests fail without any mutant: python -m pytest", *nodes)
            return 1
        with ThreadPoolExecutor(options.jobs) as pool:
            survivors = 0
            results = pool.map(lambda m: run(is_killed, m), chosen)
            for m, killed in zip(chosen, results, strict=True):
                survivors += not killed
                print("killed  " if killed else "SURVIVED", m, flush=True)
    print(f"{len(chosen)} mutants, {survivors} survived")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
