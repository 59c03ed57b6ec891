"""Run the authors' code of Mix3D, LaserMix, PolarMix, PointCutMix, PointMixup on small clouds.

    python -m tests.library.parity.make_clouds PATH_OF_CHECKOUTS

It needs PyTorch and SciPy. A point is known again by its number, 1000 × example + place, which goes
through their code as its label. MMDetection3D's is run with its own class of points. Of PointCutMix
the lines of its training loop run, with an exact assignment in place of the one on a GPU, as in
PointMixup, and with 64 points where they have 1024.
"""

import ast
import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.library.migrating.checkouts import Checkout

B, CASES = 4, 3


class Numbers:
    """NumPy whose `random.random` gives these numbers, one after another."""

    def __init__(self, numbers):
        numbers = iter(numbers)
        self.random = SimpleNamespace(random=lambda: next(numbers), choice=np.random.choice)

    def __getattr__(self, name):
        return getattr(np, name)


def scans(lengths, size, seed):
    """LiDAR scans padded to `size`, and the numbers by which their points are known again."""
    rng = np.random.default_rng(seed)
    around, reach = rng.uniform(-np.pi, np.pi, (B, size)), rng.uniform(2, 40, (B, size))
    height = reach * np.tan(np.radians(rng.uniform(-32, 12, (B, size))))
    points = np.stack([reach * np.cos(around), reach * np.sin(around), height], axis=-1)
    points[np.arange(size) >= np.array(lengths)[:, None]] = 0
    return points.astype(np.float32), 1000 * np.arange(B)[:, None] + np.arange(size)


def listed(rows, fill):
    """Lists of several lengths as one array."""
    longest = max(len(row) for case in rows for row in case)

    def padded(row):
        full = np.full((longest, *np.shape(row)[1:]), fill, np.asarray(row).dtype)
        full[: len(row)] = row
        return full

    return np.array([[padded(row) for row in case] for case in rows])


def detection(root):
    """MMDetection3D's transforms, and its points."""
    import torch

    checkout = Checkout(root, "open-mmlab/mmdetection3d")
    plain = lambda *_, **__: lambda function: function
    given = {"np": np, "torch": torch, "Tensor": torch.Tensor, "array_converter": plain}
    path = "mmdet3d/structures/bbox_3d/utils.py"
    turn = checkout.names(path, "rotation_3d_in_axis", **given)["rotation_3d_in_axis"]
    folder = "mmdet3d/structures/points"
    given |= {"rotation_3d_in_axis": turn, "abstractmethod": lambda function: function}
    given |= checkout.names(f"{folder}/base_points.py", "BasePoints", **given)
    cloud = checkout.names(f"{folder}/lidar_points.py", "LiDARPoints", **given)["LiDARPoints"]

    def transform(name, numpy, *arguments, **options):
        registry = SimpleNamespace(register_module=plain)
        given = {"np": numpy, "torch": torch, "BaseTransform": object, "TRANSFORMS": registry}
        given["is_list_of"] = lambda *_: True
        path = "mmdet3d/datasets/transforms/transforms_3d.py"
        return checkout.names(path, name, **given)[name](*arguments, **options)

    def scan(points, labels):
        return {"points": cloud(points), "pts_semantic_mask": labels}

    return checkout, transform, scan


def lasermix(root):
    import torch

    lengths = [96, 80, 64, 90]
    points, numbers = scans(lengths, 200, 0)
    checkout, transform, scan = detection(root)
    own = Checkout(root, "ldkong1205/LaserMix")
    given = {"np": np, "torch": torch, "Tensor": torch.Tensor, "SemiBase3DSegmentor": object}
    given["MODELS"] = SimpleNamespace(register_module=lambda: lambda kind: kind)
    author = own.names("mmdet3d/models/segmentors/lasermix.py", "LaserMix", **given)["LaserMix"]
    areas, theirs, both = (3, 4, 6), [], []
    each = [(points[i, :n], numbers[i, :n]) for i, n in enumerate(lengths)]
    for k in areas:
        mix = transform("LaserMix", np, [k], [-25, 3])
        call = lambda i, mix=mix: mix.laser_mix_transform(scan(*each[i]), scan(*each[B - 1 - i]))
        theirs.append([call(i)["pts_semantic_mask"] for i in range(B)])
        segmentor = object.__new__(author)
        segmentor.semi_train_cfg = SimpleNamespace(pitch_angles=[-25, 3], num_areas=[k])
        pairs = [(torch.tensor(x), torch.tensor(y)) for x, y in each]
        rows = [None] * B
        for i in range(B // 2):  # both halves of a pair at once
            (x, labels), (x2, labels2) = pairs[i], pairs[B - 1 - i]
            rows[i], rows[B - 1 - i] = segmentor.laser_mix_transform(x, x2, labels, labels2)[2:]
        both.append([row.numpy() for row in rows])
    for case, other in zip(theirs, both, strict=True):
        assert all((np.sort(a) == np.sort(b)).all() for a, b in zip(case, other, strict=True))
    held = ((checkout, "transforms_3d.py LaserMix"), (own, "segmentors/lasermix.py LaserMix"))
    save("lasermix", held, points=points, lengths=lengths, areas=areas, out=listed(theirs, -1))


def polarmix(root):
    lengths, classes = [96, 80, 64, 90], (1, 2)
    points, numbers = scans(lengths, 420, 1)
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 6, numbers.shape)
    checkout, transform, scan = detection(root)
    own = Checkout(root, "xiaoaoran/polarmix")
    u = rng.random((CASES, B, 5))  # sector or not, objects or not, its start, two angles
    u[:, :, 0] = np.array([0.2, 0.8, 0.4])[:, None]
    rows = {"mmdet": ([], []), "author": ([], [])}
    for numbers_of_case in u:
        found = {"mmdet": [], "author": []}
        for i, drawn in enumerate(numbers_of_case):
            j = B - 1 - i
            swap, paste, start, first, second = drawn
            # A label is 10 × the number + the class: their test of the class is by equality.
            label = lambda k: 10 * numbers[k, : lengths[k]] + kinds[k, : lengths[k]]
            wanted = [int(x) for x in np.unique(label(j)) if x % 10 in classes]
            stream = [swap, *([start] if swap < 0.5 else []), paste, first, second]
            mix = transform("PolarMix", Numbers(stream), wanted)
            a, b = (scan(points[k, : lengths[k]], label(k)) for k in (i, j))
            result = mix.polar_mix_transform(a, b)
            found["mmdet"].append((result["pts_semantic_mask"], result["points"].tensor.numpy()))
            names = "swap", "rotate_copy", "polarmix"
            given = own.names("core/datasets/utils.py", *names, np=Numbers([swap, paste]))
            four = [np.pad(points[k, : lengths[k]], ((0, 0), (0, 1))) for k in (i, j)]  # intensity
            alpha = (start - 1) * np.pi
            omega = [first * np.pi * 2 / 3, (second + 1) * np.pi * 2 / 3]
            out, labels = given["polarmix"](
                four[0], label(i), four[1], label(j), alpha, alpha + np.pi, wanted, omega
            )
            found["author"].append((labels, out[:, :3]))
        for name, parts in rows.items():
            parts[0].append([labels // 10 for labels, _ in found[name]])
            parts[1].append([x for _, x in found[name]])
    arrays = {"points": points, "lengths": lengths, "u": u, "objects": np.isin(kinds, classes)}
    for name, (labels, x) in rows.items():
        arrays |= {f"{name}_out": listed(labels, -1), f"{name}_points": listed(x, 0)}
    held = ((checkout, "transforms_3d.py PolarMix"), (own, "core/datasets/utils.py polarmix"))
    save("polarmix", held, **arrays)


class Fewer(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.Constant(64) if node.value == 1024 else node


def lines_of(checkout, kind):
    """Of their training loop what mixes a batch, before the model is called."""
    tree = ast.parse(checkout._git("show", f"HEAD:train_pointcutmix_{kind}.py"))
    ifs = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    chosen = "args.beta > 0 and r < args.cutmix_prob"
    lines = next(node for node in ifs if ast.unparse(node.test) == chosen).body
    stop = next(i for i, line in enumerate(lines) if "transpose" in ast.unparse(line))
    module = ast.fix_missing_locations(Fewer().visit(ast.Module(lines[:stop], [])))
    return compile(module, kind, "exec")


class Matched:
    """An exact assignment, called as their module on a GPU is."""

    def cuda(self):
        return self

    def __call__(self, a, b, eps, rounds):
        import torch
        from scipy.optimize import linear_sum_assignment

        distance = torch.cdist(a.double(), b.double()).numpy()
        each = [linear_sum_assignment(d)[1] for d in distance]
        return None, torch.tensor(np.array(each), dtype=torch.int32)


def pointcutmix(root):
    import torch

    torch.Tensor.cuda = lambda self: self
    checkout, n = Checkout(root, "cuge1995/PointCutMix"), 64
    rng = np.random.default_rng(3)
    shapes = rng.standard_normal((B, n, 3))
    shapes /= np.linalg.norm(shapes, axis=-1, keepdims=True) * np.array([1, 2, 1, 3])[:, None, None]
    shapes = shapes.astype(np.float32)
    arrays = {"points": shapes}
    for kind in "kr":
        code = lines_of(checkout, kind)
        found = {name: [] for name in ("index", "ind", "k", "chosen", "out", "lam")}
        for case in range(CASES):
            np.random.seed(case)  # noqa: NPY002 (theirs draws by it)
            torch.manual_seed(case)
            names = {"np": np, "torch": torch, "device": "cpu", "target": torch.arange(B)}
            names |= {"points": torch.tensor(shapes), "emd": SimpleNamespace(emdModule=Matched)}
            names["args"] = SimpleNamespace(beta=1.0, num_points=n)
            exec(code, names)
            found["index"].append(names["rand_index"].numpy())
            found["ind"].append(names["ind"].numpy())
            found["k"].append(names["int_lam"])
            found["chosen"].append(names["random_point" if kind == "k" else "gamma"])
            found["out"].append(names["points"].numpy().copy())
            found["lam"].append(names["lam"])
        if kind == "r":  # as many as there are points, the chosen ones first
            found["chosen"] = [np.r_[x, np.setdiff1d(np.arange(n), x)] for x in found["chosen"]]
        arrays |= {f"{kind}_{name}": np.array(values) for name, values in found.items()}
    save("pointcutmix", ((checkout, "train_pointcutmix_k.py, train_pointcutmix_r.py"),), **arrays)


class Caught(Exception):
    """The network is not run further."""


def pointmixup(root):
    """Their network's first lines: what it gives to its first layer."""
    import torch

    checkout = Checkout(root, "yunlu-chen/PointMixup")
    rng = np.random.default_rng(6)
    shapes, index = rng.standard_normal((B, 64, 3)).astype(np.float32), np.array([2, 3, 1, 0])
    rates = 0.5 - np.abs(rng.beta(1.0, 1.0, B) - 0.5)  # as their trainer draws them
    seen = {}

    def layer(xyz, features):
        seen["out"] = xyz.numpy()
        raise Caught

    def match(*arguments):
        seen["ind"] = Matched()(*arguments)[1].numpy()
        return None, torch.tensor(seen["ind"])

    given = {"torch": torch, "nn": SimpleNamespace(Module=object), "pt_utils": None}
    path, name = "pointnet2/models/pointnet2_msg_cls.py", "Pointnet2MSG_manimix"
    network = object.__new__(checkout.names(path, name, **given)[name])
    network.SA_modules, network.align, network.EMD = [layer], False, match
    with contextlib.suppress(Caught):
        network.forward(torch.tensor(shapes), torch.tensor(index), rates, "pointmixup")
    held = ((checkout, "pointnet2/models/pointnet2_msg_cls.py Pointnet2MSG_manimix.forward"),)
    save("pointmixup", held, points=shapes, index=index, rates=rates, **seen)


def mix3d(root):
    from collections.abc import Mapping, Sequence

    import torch

    checkout, lengths = Checkout(root, "Pointcept/Pointcept"), [12, 9, 10, 7]
    points, numbers = scans(lengths, 12, 4)
    instances = numbers % 4 - 1
    given = {"torch": torch, "Mapping": Mapping, "Sequence": Sequence}
    given["random"] = SimpleNamespace(random=lambda: 0.0)
    path = "pointcept/datasets/utils.py"
    collate = checkout.names(path, "collate_fn", "point_collate_fn", **given)["point_collate_fn"]

    def scene(i):
        n = lengths[i]
        each = {"coord": points[i], "segment": numbers[i], "instance": instances[i]}
        each = {name: torch.tensor(x[:n]) for name, x in each.items()}
        return each | {"offset": torch.tensor([n])}

    out = collate([scene(i) for i in range(B)], mix_prob=0.8)
    arrays = {name: out[name].numpy() for name in ("coord", "segment", "instance", "offset")}
    arrays |= {"points": points, "lengths": lengths, "instances": instances}
    save("mix3d", ((checkout, "pointcept/datasets/utils.py point_collate_fn"),), **arrays)


def save(name, held, **arrays):
    source = [f"{checkout.repository}@{checkout.commit} {what}" for checkout, what in held]
    arrays = {key: np.asarray(value) for key, value in arrays.items()}
    np.savez_compressed(Path(__file__).with_name(f"{name}.npz"), source=source, **arrays)


if __name__ == "__main__":
    for method in (mix3d, lasermix, polarmix, pointcutmix, pointmixup):
        method(sys.argv[1])
