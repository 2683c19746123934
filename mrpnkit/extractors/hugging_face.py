"""Loading a network of the package transformers: no code of others, no pickles, nothing that is silently random."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import missing_package

Weights = Literal["pretrained", "random"]


class Loaded(NamedTuple):
    """A network, its configuration, and what its preprocessor says, where it has one."""

    network: Any
    config: Any
    preprocessor: Mapping[str, Any]


def load_network(part: nn.Module, model: str, *, revision: str | None, weights: Weights) -> Loaded:
    """A network by ``AutoModel``: of a local folder, without any network access, or of the hub.

    Only safetensors are read, code that a model brings is never run, and weights that the files lack are an error; only
    a pooler may be new.

    Args:
        part: the extractor, for error texts.
        model: a folder with ``config.json`` and weights, or the name of a repository on the hub.
        revision: commit, tag or branch of the repository.
        weights: ``"random"`` builds the network from its configuration alone.

    Raises:
        DependencyError: transformers is not installed.
        InputError: no such folder or repository, no safetensors, weights that are missing, code that would be needed.
    """
    try:
        import transformers
        from transformers.utils.hub import cached_file
    except ImportError as error:
        raise missing_package(part, "transformers", "hub") from error
    name, local = type(part).__name__, Path(model).is_dir()
    if not local and (model.count("/") > 1 or model.startswith((".", "/", "~"))):
        raise InputError(
            f"{name}: there is no folder {model!r}; expected one with config.json and model.safetensors, or the name "
            "of a repository on the hub, such as 'owner/name'."
        )
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False, "local_files_only": local}
    try:
        config = transformers.AutoConfig.from_pretrained(model, **options)
        _calm(config)
        if weights == "random":
            auto: Any = transformers.AutoModel
            network, missing = auto.from_config(config, trust_remote_code=False), []
        else:
            network, report = transformers.AutoModel.from_pretrained(
                model, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
            missing = [key for key in sorted(report["missing_keys"]) if "pooler" not in key]
            missing += [str(key) for key in report["mismatched_keys"]]
        file = cached_file(
            model,
            "preprocessor_config.json",
            revision=revision,
            local_files_only=local,
            _raise_exceptions_for_missing_entries=False,
        )
        preprocessor = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise InputError(f"{name}: {model!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if missing:
        raise InputError(
            f"{name}: the files of {model!r} lack {len(missing)} weights of {type(network).__name__}, the first is "
            f"{missing[0]}; they would be random."
        )
    if getattr(config, "is_encoder_decoder", False):
        network = network.get_encoder()
    return Loaded(network, config, preprocessor)


def width_of(part: nn.Module, config: Any) -> int:
    """Width of the network's features, as its configuration says it."""
    sizes = getattr(config, "hidden_sizes", None)
    width = sizes[-1] if sizes else getattr(config, "hidden_size", None)
    if not isinstance(width, int):
        raise InputError(
            f"{type(part).__name__}: {type(config).__name__} does not say how wide its features are (hidden_size); "
            "is it a model of several modalities? Save the part that is needed as a model of its own."
        )
    return width


def _calm(config: Any) -> None:
    """Switches off what a network draws by itself in training from another generator than torch's, and leaving out."""
    for name, value in (("apply_spec_augment", False), ("layerdrop", 0.0)):
        if hasattr(config, name):
            setattr(config, name, value)
