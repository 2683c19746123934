"""Prototypes of the classes pull a slow branch and hold a fast one.

Letters: B batch, C classes, D features of a branch.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mrpnkit.balancing.heads import branches_of, classifications, ratios
from mrpnkit.balancing.steering import Step, averaged
from mrpnkit.errors import InputError
from mrpnkit.mrpn import MRPN, Branch
from mrpnkit.registry import BALANCERS


@BALANCERS.register("pmr", paper="arXiv:2211.07089")
class PMR:
    """L = Σ L_k + α · Σ_m b_m · PCE_m − μ · Σ_m h_m · H_m, with classes told by the nearest prototype.

    Prototypical modal rebalance of Fan et al. (2023), arXiv:2211.07089. The prototype of a class is the mean of a
    branch's f̂_m over the training samples of that class; minus the distances to all prototypes, as scores, give the
    probabilities q_m. PCE_m is their cross-entropy, H_m their entropy. ρ_m is the mean probability of the right class
    by q_m over that of the other branches: a slow branch, ρ_m < 1, is pulled towards its prototypes with
    b_m = min(1, 1 / ρ_m − 1); a fast one, ρ_m > 1, is held back with h_m = min(1, ρ_m − 1) in the first ``held``
    epochs. For more than two branches the others' mean takes the other's place.

    Prototypes are those of the epoch before, mixed with the older ones by ``momentum``; the paper makes them in a pass
    of its own over the training data before each epoch. So the first epoch has none and trains with the sum.

    Args:
        target: the classification whose classes have prototypes; by default the first.
        alpha: α, of the prototypical cross-entropy.
        mu: μ, of the entropy.
        held: epochs in which fast branches are held back.
        momentum: share of the older prototypes.

    >>> PMR()({"y/fused": torch.tensor(1.0), "y/audio": torch.tensor(2.0)})
    tensor(3.)
    """

    def __init__(
        self, *, target: str | None = None, alpha: float = 1.0, mu: float = 0.01, held: int = 10, momentum: float = 0.5
    ) -> None:
        if not alpha >= 0 or not mu >= 0 or held < 0 or not 0 <= momentum < 1:
            raise InputError(
                "PMR: alpha, mu and held must be 0 or more and momentum in [0, 1), got "
                f"{alpha}, {mu}, {held} and {momentum}."
            )
        self._given, self.alpha, self.mu, self.held, self.momentum = target, alpha, mu, held, momentum
        self._hooks: list[RemovableHandle] = []
        self.begin()

    def begin(self) -> None:
        """Forgets the prototypes of an earlier training, and listens to its network no longer."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self.target, self.epoch = self._given, 0
        self.prototypes: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._features: dict[str, Tensor] = {}

    def look_at(self, kinds: Mapping[str, str]) -> None:
        """Chooses the target; raises InputError where it is no classification, or none is."""
        found = classifications(self, kinds)
        self.target = self.target if self.target is not None else found[0]
        if self.target in kinds and self.target not in found:
            raise InputError(
                f"PMR has prototypes of classes; the target {self.target!r} is of the kind {kinds[self.target]!r}. "
                f"Choose one of {', '.join(found)}."
            )

    def attach(self, model: nn.Module) -> None:
        """Listens to f̂_m of every branch; raises InputError for a network without side scores or without the target."""
        branches_of(self, model)
        assert isinstance(model, MRPN)
        self.target = self.target if self.target is not None else next(iter(model.targets))
        if self.target not in model.targets:
            raise InputError(f"PMR: there is no target {self.target!r}; the network has {list(model.targets)}.")
        for name, norm in model.norms.items():
            width, device = cast(Branch, model.branches[name]).out_features, next(model.parameters()).device
            self._sums[name] = torch.zeros(model.targets[self.target], width, device=device)
            self._counts[name] = torch.zeros(model.targets[self.target], device=device)
            self._hooks.append(norm.register_forward_hook(_Listener(name, self._features)))

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalars by ``target/head`` → their sum; what prototypes add comes with the backward pass."""
        return torch.stack(list(losses.values())).sum()

    def backward(self, step: Step) -> None:
        """The backward pass over the sum and what prototypes add to it; the features go into the next prototypes."""
        labels = step.labels[str(self.target)]
        if labels.dtype != torch.int64 or labels.ndim != 1:
            raise InputError(f"PMR has prototypes of classes; the target {self.target!r} is no classification.")
        masks = {}
        for name in self._features:
            present = step.output.present[name]
            masks[name] = labels >= 0 if present is None else (labels >= 0) & present
        (step.total + self.addition(labels, masks)).backward()
        for name, features in self._features.items():
            chosen, kinds = features.detach()[masks[name]].float(), labels[masks[name]]
            self._sums[name].index_add_(0, kinds, chosen)
            self._counts[name] += torch.bincount(kinds, minlength=len(self._counts[name]))
        self._features.clear()

    def addition(self, labels: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        """α · Σ_m b_m · PCE_m − μ · Σ_m h_m · H_m of the features heard last; 0 before the first prototypes."""
        total = torch.zeros((), device=labels.device)
        if not self.prototypes:
            return total
        logs, right = {}, {}
        for name, features in self._features.items():
            logs[name] = torch.log_softmax(-torch.cdist(features.float(), self.prototypes[name]), dim=1)
            chosen = logs[name].detach().exp().gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
            known = masks[name]
            whole = averaged(torch.stack([chosen.masked_fill(~known, 0.0).sum(), known.sum().to(chosen.dtype)]))
            right[name] = whole[0] / whole[1]
        for name, ratio in ratios(right).items():
            known = masks[name].to(total.dtype)
            count = averaged(known.sum()).clamp(min=1)
            if ratio < 1:
                cost = F.nll_loss(logs[name], labels.clamp(min=0), reduction="none")
                total = total + self.alpha * min(1.0, 1 / max(ratio, 1e-6) - 1) * (cost * known).sum() / count
            elif ratio > 1 and self.epoch < self.held:
                entropy = -(logs[name].exp() * logs[name]).sum(1)
                total = total - self.mu * min(1.0, ratio - 1) * (entropy * known).sum() / count
        return total

    def end_epoch(self, train: Mapping[str, float], validation: Mapping[str, float] | None) -> None:
        """Makes the prototypes of the next epoch; a class without a sample keeps its own, or stands at zero."""
        self.epoch += 1
        for name, sums in self._sums.items():
            whole, counts = averaged(sums), averaged(self._counts[name])[:, None]
            older = self.prototypes.get(name)
            mean = whole / counts.clamp(min=1e-12)
            if older is not None:
                mean = torch.where(counts > 0, self.momentum * older + (1 - self.momentum) * mean, older)
            self.prototypes[name] = mean
            self._sums[name] = torch.zeros_like(sums)
            self._counts[name] = torch.zeros_like(self._counts[name])

    def state_dict(self) -> dict[str, Any]:
        """Prototypes, and the sums of the epoch under way in this process."""
        return {
            "epoch": self.epoch,
            "prototypes": dict(self.prototypes),
            "sums": dict(self._sums),
            "counts": dict(self._counts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a state of :meth:`state_dict`, on the device of the model that this was attached to."""
        self.epoch = state["epoch"]
        places = {name: sums.device for name, sums in self._sums.items()}
        self.prototypes, self._sums, self._counts = (
            {name: value.clone().to(places.get(name, value.device)) for name, value in state[part].items()}
            for part in ("prototypes", "sums", "counts")
        )


class _Listener:
    """Keeps what a branch's normalisation gives in training. In a copy of the network, also a saved one, it is deaf."""

    def __init__(self, name: str, heard: dict[str, Tensor] | None = None) -> None:
        self.name, self.heard = name, heard

    def __call__(self, module: nn.Module, inputs: object, features: Tensor) -> None:
        if self.heard is not None and module.training:
            self.heard[self.name] = features

    def __reduce__(self) -> tuple[type["_Listener"], tuple[str]]:
        return _Listener, (self.name,)
