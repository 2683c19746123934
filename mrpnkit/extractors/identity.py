"""Steps as they are."""

from torch import nn

from mrpnkit.arguments import check_counts, checked_steps
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("identity")
class Identity(nn.Module):
    """The steps unchanged; integers become float32.

    For features that need no extraction: F(x) = x.

    Args:
        in_features: width of a step, also of those returned.

    >>> import torch
    >>> Identity(2)(Sequences.of([torch.tensor([[1, 2], [3, 4]])])).steps
    tensor([[1., 2.],
            [3., 4.]])
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features})
        self.in_features = self.out_features = in_features

    def forward(self, inputs: Sequences) -> Sequences:
        """Steps (S, D) → (S, D)."""
        return inputs.with_steps(checked_steps(self, inputs, self.in_features))
