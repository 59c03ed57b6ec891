"""Run others' copy-paste on small scenes, and keep what they give: needs NumPy alone.

    pip download mmdet==3.3.0 --no-deps && unzip mmdet-3.3.0-py3-none-any.whl -d mmdet-3.3.0
    python -m tests.library.parity.make_copy_paste PATH_OF_CHECKOUTS mmdet-3.3.0

PATH_OF_CHECKOUTS has conradry/copy-paste-aug. Their functions are taken out of their files, with
stand-ins for the classes of albumentations and torch that these name. What they chose and gave goes
to copypaste.npz, with an entry for each of 2N slots: an example's own objects, and its partner's.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.library.migrating.checkouts import Checkout

B, N, SIZE, CASES = 4, 5, (40, 48), 4
FILE = Path(__file__).with_name("copypaste.npz")


def scenes():
    """Pictures, and ids of three to five objects in each: boxes and ellipses of many sizes."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    ids = np.zeros((B, *SIZE), np.int32)
    for row, count in zip(ids, (3, 4, 5, 5), strict=True):
        reaches = np.array(sorted(rng.uniform(3, 15, (count, 2)), key=np.prod, reverse=True))
        for k, reach in enumerate(reaches, start=1):  # small ones in front
            centre = rng.uniform([4, 4], [36, 44])
            offsets = np.abs((np.stack([y, x], -1) - centre) / reach)
            inside = (offsets.max(-1) if k % 2 else np.hypot(*offsets.T).T) <= 1
            row[inside] = k
    assert all((row == k).any() for row in ids for k in range(1, row.max() + 1))
    images = 50 * np.arange(B)[:, None, None] + y[None] + (x[None] > 20)
    return images[..., None].astype(np.uint8), ids


class Package(Checkout):
    """An unpacked wheel, read as a checkout is."""

    def __init__(self, folder, repository, version):
        self.path, self.repository, self.commit = Path(folder), repository, version

    def _git(self, show, what):
        return (self.path / what.removeprefix("HEAD:")).read_text()


class Tensor(np.ndarray):
    """What CopyPaste asks of a torch tensor."""

    def abs(self):
        return np.abs(self)

    def all(self, dim):
        return np.asarray(self).all(dim).view(Tensor)

    def numpy(self):
        return np.asarray(self)


class Boxes:
    """What CopyPaste asks of HorizontalBoxes; `from_instance_masks` is theirs."""

    def __init__(self, data):
        self.tensor = np.asarray(data, np.float32).view(Tensor)
        self.shape = self.tensor.shape

    def __len__(self):
        return len(self.tensor)

    def __getitem__(self, index):
        return Boxes(self.tensor[index])

    def cat(self, parts):
        return Boxes(np.concatenate([part.tensor for part in parts]))


class Masks:
    """The base class of BitmapMasks."""

    def get_bboxes(self, kind):
        return kind.from_instance_masks(self)


def mmdetection(folder, images, ids):
    """Their default thresholds, and the subsets that they draw."""
    package = Package(folder, "open-mmlab/mmdetection", "mmdet-3.3.0")
    path = "mmdet/structures/mask/structures.py"
    masks = package.names(path, "BitmapMasks", np=np, BaseInstanceMasks=Masks)["BitmapMasks"]
    names = package.names(
        "mmdet/structures/bbox/horizontal_boxes.py",
        "HorizontalBoxes",
        np=np,
        BaseBoxes=object,
        BitmapMasks=masks,
        register_box=lambda **_: lambda cls: cls,
    )
    their_boxes = names["HorizontalBoxes"].from_instance_masks
    names["HorizontalBoxes"] = Boxes  # which it returns
    Boxes.from_instance_masks = staticmethod(their_boxes)
    copy_paste = package.names(
        "mmdet/datasets/transforms/transforms.py",
        "CopyPaste",
        np=np,
        BaseTransform=object,
        BitmapMasks=masks,
        TRANSFORMS=SimpleNamespace(register_module=lambda: lambda cls: cls),
        cache_randomness=lambda function: function,
        autocast_box_type=lambda: lambda function: function,
    )["CopyPaste"]()

    def scene(i):
        each = np.stack([ids[i] == k for k in range(1, ids[i].max() + 1)]).astype(np.uint8)
        bitmaps = masks(each, *SIZE)
        found = {"img": images[i], "gt_bboxes": bitmaps.get_bboxes(Boxes), "gt_masks": bitmaps}
        labels = 10 * i + np.arange(len(each))  # by which objects are known again
        return found | {"gt_bboxes_labels": labels, "gt_ignore_flags": np.zeros(len(each), bool)}

    def call(i):
        other = scene(B - 1 - i)
        result = copy_paste.transform({**scene(i), "mix_results": [other]})
        chosen = other["gt_bboxes_labels"] % 10  # which they replaced by what was selected
        given = result["gt_bboxes"].tensor.numpy(), result["gt_masks"].masks
        return result["img"], chosen, slots(i, result["gt_bboxes_labels"], *given)

    return package, call


def augmentation(root, images, ids):
    """Without its blur; it pastes a fixed fraction of the objects."""
    checkout = Checkout(root, "conradry/copy-paste-aug")
    wanted = "image_copy_paste", "masks_copy_paste", "bboxes_copy_paste", "extract_bboxes"
    transform = type("DualTransform", (), {"__init__": lambda *_: None})
    albumentations = SimpleNamespace(DualTransform=transform)
    names = checkout.names("copy_paste.py", *wanted, "CopyPaste", np=np, A=albumentations)

    def scene(i):
        masks = [(ids[i] == k).astype(np.uint8) for k in range(1, ids[i].max() + 1)]
        boxes = [
            (*box, 10 * i + k, k) for k, box in enumerate(names["extract_bboxes"](masks))
        ]  # a class, by which objects are known again, and the place of the mask
        return masks, boxes

    def call(i, fraction):
        copy_paste = names["CopyPaste"](blend=False, pct_objects_paste=fraction)
        (masks, boxes), (their_masks, their_boxes) = scene(i), scene(B - 1 - i)
        other = {"paste_masks": their_masks, "paste_bboxes": their_boxes}
        given = {"paste_image": images[B - 1 - i], "masks": masks, **other}
        chosen = copy_paste.get_params_dependent_on_targets(given)
        image = copy_paste.apply(images[i], chosen["paste_img"], chosen["alpha"])
        boxes = copy_paste.apply_to_bboxes(boxes, **chosen, key="bboxes")
        pasted = copy_paste.apply_to_masks(masks, chosen["paste_masks"], chosen["alpha"])
        index = [box[-1] for box in chosen["paste_bboxes"]]
        labels, scale = [box[4] for box in boxes], np.tile(SIZE[::-1], 2)
        found = np.array([box[:4] for box in boxes]) * scale
        return image, np.array(index), slots(i, labels, found, pasted)

    return checkout, call


def slots(i, labels, boxes, masks):
    """(there, boxes, masks) in the slots of an example: 0 to N - 1 its own, and the partner's."""
    there, found = np.zeros(2 * N, bool), np.zeros((2 * N, 4), np.float32)
    seen = np.zeros((2 * N, *SIZE), bool)
    for label, box, mask in zip(labels, boxes, masks, strict=True):
        row, k = divmod(int(label), 10)
        slot = k if row == i else N + k
        there[slot], found[slot], seen[slot] = True, box, mask
    return there, found, seen


def copypaste(root, folder):
    images, ids = scenes()
    arrays, sources = {"images": images, "ids": ids}, []
    package, detection = mmdetection(folder, images, ids)
    checkout, augmented = augmentation(root, images, ids)
    np.random.seed(0)  # noqa: NPY002 (theirs draws by it)
    fractions = np.linspace(0.4, 1, CASES)
    for name, call in (
        ("mmdet", lambda case, i: detection(i)),
        ("aug", lambda case, i: augmented(i, fractions[case])),
    ):
        results = [[call(case, i) for i in range(B)] for case in range(CASES)]
        pasted = [[np.isin(np.arange(N), chosen) for _, chosen, _ in row] for row in results]
        arrays[f"{name}_chosen"] = np.array(pasted)
        mixed = np.array([[image for image, *_ in row] for row in results])
        arrays[f"{name}_mixed"] = mixed.astype(np.uint8)
        for k, part in enumerate(("there", "boxes", "masks")):
            arrays[f"{name}_{part}"] = np.array([[got[k] for *_, got in row] for row in results])
    for held, path in ((package, "transforms.py CopyPaste"), (checkout, "copy_paste.py CopyPaste")):
        sources.append(f"{held.repository}@{held.commit} {path}")
    np.savez_compressed(FILE, source=sources, **arrays)


if __name__ == "__main__":
    copypaste(*sys.argv[1:])
