"""What extractors ask of a network of timm, whatever its steps are: its stages, and what in its weights is spare."""

from typing import Any

from torch import nn


def classifier_of(network: nn.Module) -> list[str]:
    """Beginnings of the names of the classifier's weights."""
    names = getattr(network, "default_cfg", {}).get("classifier") or ()
    return [f"{name}." for name in ([names] if isinstance(names, str) else names)]


def stages_of_timm(network: Any) -> list[list[nn.Module]]:
    """Modules by stage from the input on, as timm groups them."""
    from timm.models import group_modules

    groups = group_modules(network, network.group_matcher(coarse=True))
    found = dict(network.named_modules())
    stages = [[found[name] for name in names if name in found] for _, names in sorted(groups.items())]
    return [stage for stage in stages if any(True for module in stage for _ in module.parameters())]
