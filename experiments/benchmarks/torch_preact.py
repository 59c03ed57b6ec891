"""PreAct ResNet and its training loop in PyTorch, as fast as its users can easily make it."""

# The extra `bench` may be absent.
# pyright: reportMissingImports=false

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(y))))


class PreActResNet(nn.Module):
    def __init__(self, num_classes: int, stages: Sequence[int], width: int):
        super().__init__()
        blocks, inputs = [], width
        for stage, depth in enumerate(stages):
            for i in range(depth):
                blocks.append(Block(inputs, width << stage, 2 if stage and not i else 1))
                inputs = width << stage
        self.stem = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def epochs(
    model: PreActResNet,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch: int,
    normalise: Callable,
    mode: str | None,
) -> Callable[[], None]:
    """A function that trains for an epoch by mixup, α = 1.

    channels_last, bfloat16 autocast, all data on the device; forward, mixing and loss are compiled
    in torch.compile's `mode`, or not at all where it is None; the optimizer's step is one kernel.
    """
    torch.backends.cudnn.benchmark = True
    model = model.to(DEVICE, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
    x = torch.from_numpy(images).to(DEVICE)  # [b, h, w, c] in memory, as channels_last wants it
    y = torch.from_numpy(labels).long().to(DEVICE)

    def loss_of(x, y, lam, partner):
        x = normalise(x.permute(0, 3, 1, 2).float())
        with torch.autocast(DEVICE.type, torch.bfloat16):
            logits = model(lam * x + (1 - lam) * x[partner])
            own, other = F.cross_entropy(logits, y), F.cross_entropy(logits, y[partner])
        return lam * own + (1 - lam) * other

    loss_fn = torch.compile(loss_of, mode=mode, dynamic=False) if mode else loss_of
    steps = len(labels) // batch

    def epoch() -> None:
        order = torch.randperm(len(y), device=DEVICE)[: steps * batch].view(steps, batch)
        lams = torch.rand(steps, device=DEVICE)  # Beta(1, 1)
        for rows, lam in zip(order, lams, strict=True):
            partner = torch.randperm(batch, device=DEVICE)
            loss = loss_fn(x[rows], y[rows], lam, partner)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return epoch
