"""A YOLO network as it is converted: whole, or cut before the last layers of its head.

The last layers turn features into pixels, for which bf16 is too coarse: with them in fp32, and all
before in bf16, boxes of the demo model are as near to those of fp32 as with the whole head in fp32,
and yolo11n takes a tenth less of the processor than so.
"""

from typing import Any

import torch

from runners.yolo.build import sharing
from runners.yolo.torch_forward import first, has_plain_head, normalized, predictions


class Whole(torch.nn.Module):
    """A whole network, from bytes to predictions."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self._network = _shared(network)
        self._network.model[-1].dynamic = True  # else it would keep the grid of the first shape

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Predictions for pictures, uint8 [n, height, width, 3]."""
        return predictions(self._network, normalized(pixels))


def can_be_cut(network: Any) -> bool:
    """Whether a network's head ends in plain layers, as ultralytics' own detectors' do."""
    if not has_plain_head(network):
        return False
    return all(
        isinstance(branch, torch.nn.Sequential) and isinstance(branch[-1], torch.nn.Conv2d)
        for branches in _branches(network.model[-1])
        for branch in branches
    )


def _branches(head: Any) -> tuple[Any, Any]:
    """Of each level of features, the layers that find boxes, and those that find classes.

    Of two sets the one that is computed (8.4 `Detect.one2one`).
    """
    pair = head.one2one if head.end2end else head.one2many
    return pair["box_head"], pair["cls_head"]


class Stem(torch.nn.Module):
    """A network but for the last layers of its head."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self._network = _shared(network)
        self._network.model[-1] = _AllButLast(self._network.model[-1])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the last layers are given for pictures, uint8 [n, height, width, 3]."""
        return self._network(normalized(pixels))  # type: ignore[no-any-return]


class _AllButLast(torch.nn.Module):
    """In place of a head: its layers but for the last of each branch."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.f, self.i = head.f, head.i  # where it stands between the layers
        boxes, classes = _branches(head)
        self._boxes = torch.nn.ModuleList([branch[:-1] for branch in boxes])
        self._classes = torch.nn.ModuleList([branch[:-1] for branch in classes])

    def forward(self, levels: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        pairs = zip((*self._boxes, *self._classes), (*levels, *levels), strict=True)
        return tuple(layers(level) for layers, level in pairs)


class Tail(torch.nn.Module):
    """The last layers of a head, and all that comes after them (8.4 `Detect.forward`)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self._head = _shared(network.model[-1])
        self._head.dynamic = True  # see above
        boxes, classes = _branches(self._head)
        self._boxes = torch.nn.ModuleList([branch[-1] for branch in boxes])
        self._classes = torch.nn.ModuleList([branch[-1] for branch in classes])

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Predictions from what a `Stem` has made."""
        head, levels = self._head, len(self._boxes)
        of_boxes, of_classes = features[:levels], features[levels:]
        found = {
            "boxes": _joined(self._boxes, of_boxes),
            "scores": _joined(self._classes, of_classes),
            "feats": list(of_boxes),  # for their shapes alone
        }
        rows = head._inference(found)
        return first(head.postprocess(rows.permute(0, 2, 1)) if head.end2end else rows)


def _joined(layers: Any, features: tuple[torch.Tensor, ...]) -> torch.Tensor:
    pairs = zip(layers, features, strict=True)
    return torch.cat([layer(each).flatten(2) for layer, each in pairs], dim=-1)


def _shared(module: Any) -> Any:
    return sharing(module, 2)[1]
