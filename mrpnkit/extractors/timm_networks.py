"""What extractors ask of timm, whatever their steps are: a network, its stages, what in its weights is spare."""

from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from mrpnkit.extractors.backbone import check_listed, check_source, load_weights, missing_package

MemoryFormat = Literal["contiguous", "channels_last"]


class Built(NamedTuple):
    """A network without classifier, the width of its features, and the format in which its pictures are to lie."""

    network: Any
    out_features: int
    memory_format: torch.memory_format


def built(
    part: nn.Module,
    architecture: str,
    *,
    pretrained: bool,
    weights: str | None,
    memory_format: MemoryFormat,
    grey: tuple[int, int] | None = None,
) -> Built:
    """A network of timm without its classifier.

    Args:
        part: the extractor, for error texts.
        architecture: name of a network.
        pretrained: whether timm fetches the network's weights.
        weights: a safetensors file of the network's weights; a classifier in it is left out.
        memory_format: of weights and pictures.
        grey: height and width of pictures of one colour; by default pictures have three and any size.

    Raises:
        DependencyError: timm is not installed.
        InputError: an unknown architecture, weights that do not fit.
    """
    try:
        import timm
    except ImportError as error:
        raise missing_package(part, "timm", "av") from error
    check_listed(part, "architecture", architecture.partition(".")[0], timm.list_models())
    check_source(part, pretrained=pretrained, weights=weights)
    network: Any
    if grey is None:
        network = timm.create_model(architecture, pretrained=pretrained, num_classes=0)
    else:
        try:
            network = timm.create_model(architecture, pretrained=pretrained, num_classes=0, in_chans=1, img_size=grey)
        except TypeError:  # networks for pictures of any size have no such argument
            network = timm.create_model(architecture, pretrained=pretrained, num_classes=0, in_chans=1)
    if weights is not None:
        load_weights(part, network, weights, spare=classifier_of(network))
    order = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format
    network.to(memory_format=order)
    return Built(network, int(getattr(network, "head_hidden_size", network.num_features)), order)


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
