"""The catalogue lists every method, and what it says of them is there."""

import inspect
import re
import subprocess
import sys

import jax
import jax.numpy as jnp

import jax_mixup as jm
from experiments import catalogue
from experiments.harness import pages
from jax_mixup import learned

METHODS = list(catalogue.methods())
DRAWS = list(catalogue.draws())
PAGE = (pages.ROOT / "jax_mixup/samplers/README.md").read_text()


def names_in(method):
    """The public names that a method's line of the table shows as code."""
    return re.findall(r"`(?:learned\.)?([a-z_]+)", method.verb)


def test_every_sampler_has_a_method():
    named = {name for method in METHODS for name in names_in(method)}
    samplers = {name for name in (*jm.__all__, *learned.__all__) if name.startswith("sample_")}
    assert len(samplers) > 25 and samplers <= named, samplers - named


def test_what_a_method_names_exists():
    for method in METHODS:
        for name in names_in(method):
            assert name in (*jm.__all__, *learned.__all__), (method.name, name)
        call = method.call.split("(")[0]
        assert call in ("", *jm.__all__), (method.name, call)


def test_every_sampler_that_is_drawn_is_a_file_of_its_own():
    folder = pages.ROOT / "jax_mixup/samplers"
    files = {path.stem for path in folder.glob("[a-z]*.py")}
    public = {name: getattr(jm, name) for name in jm.__all__ if name.startswith("sample_")}
    found = {inspect.getsourcefile(inspect.unwrap(sampler)) for sampler in public.values()}
    assert found == {str(folder / f"{name}.py") for name in files}
    drawn = {draw.run.__name__ for draw in DRAWS if draw.tested}
    follow = {"sample_classmix", "sample_copy_paste", "sample_span"}  # ids and lengths
    follow |= {"sample_lasermix", "sample_polarmix", "sample_pointcutmix"}  # points
    assert drawn == set(public) - follow


def test_the_page_has_a_line_for_each_method():
    assert catalogue.table(pages.cost) in PAGE, "python -m experiments.harness.pages"
    for method in METHODS:
        assert PAGE.count(f"\n| {method.name}") >= 1, method.name


def test_names_are_unique():
    for reader in ("gallery", "costs", "family"):
        names = [name for draw in DRAWS for name in getattr(draw, reader)]
        names += [method.family for method in METHODS if reader == "family" and method.family]
        assert len(names) == len(set(names)), reader
    names = [method.name for method in METHODS]
    assert len(names) == len(set(names))
    costs = {name for draw in DRAWS for name in draw.costs}
    assert {name for m in METHODS for name in re.findall(r"\{([^}]+)\}", m.cost)} <= costs


NOT_SHOWN = {
    "their pictures are those of another method": [
        *("VideoMix", "either", "RandomMix", "RecursiveMix", "BCP", "CarveMix", "CMO", "DACS"),
        *("CutBlur", "NoiseCutMix", "MixOE", "MixupMP", "without hesitation", "distillation"),
    ],
    "who is mixed, or how much": [
        *("C-Mixup", "Balanced-MixUp", "LISA", "same class, other class", "nearest neighbours"),
        *("local mixup", "similarity kernel mixup", "k-mixup", "BC+"),
        "padded or variable size, as NaFlex",
    ],
    "labels and losses": [
        *("Remix", "TransMix", "TokenMix's labels", "TL-Align", "OA-CutMix", "SUMix", "RegMixup"),
        *("RankMixup", "decoupled mixup", "MixupE", "mixup inference", "saliency itself"),
    ],
    "features, tokens, embeddings": [
        *("MultiMix", "HID-MIX", "AlignMix", "MergeMix", "MixMAE", "manifold mixup"),
        *("noisy features", "m²-mixup", "MoCHi", "Metrix"),
    ],
    "learned masks": ["AdaMixUp", "AutoMix", "AdAutoMix"],
    "not pictures": [
        *("anchor data augmentation", "FEAT-MIX", "ifMixup", "R-Mixup", "SSMix", "SFTMix"),
        *("SeqMix", "MixSpeech", "Mix3D", "LaserMix", "PolarMix", "PointCutMix"),
    ],
}


def test_the_gallery_shows_every_method_of_pictures():
    """A new method is drawn there, or stands above with a reason why not."""
    without = {method.name for method in METHODS if not any(d.gallery for d in method.draws)}
    assert without == {name for names in NOT_SHOWN.values() for name in names}


def test_every_draw_draws():
    """Each with its first options, for pictures of the gallery's size; nothing is run."""
    images = jax.ShapeDtypeStruct((4, 224, 224, 3), jnp.float32)
    labels = jax.ShapeDtypeStruct((4,), jnp.int32)
    made = jax.ShapeDtypeStruct((4, 224, 224), jnp.float32)

    def use(key, images, labels, made):
        found = []
        for draw in DRAWS:
            options = [*draw.gallery.values(), *draw.costs.values(), *draw.family.values()]
            for given in options[:1]:
                mix, own, other = draw(key, images, labels, made, **given)
                found.append(jm.blend(mix, own, other=other))
        return found

    with jax.numpy_dtype_promotion("standard"):
        found = jax.eval_shape(use, jax.random.key(0), images, labels, made)
    assert len(found) > 40
    assert all(x.shape[0] == 4 and x.shape[2:] == (224, 3) for x in found)


def test_the_catalogue_needs_only_the_library():
    code = "import sys, jax_mixup; before = set(sys.modules); import experiments.catalogue; "
    code += "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    new = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(new.stdout.split()) <= {"experiments", *sys.stdlib_module_names}, new.stdout
