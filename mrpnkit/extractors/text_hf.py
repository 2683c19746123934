"""Language networks of transformers, on token ids."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import (
    Freeze,
    Frozen,
    Precision,
    chunks,
    frozen_modules,
    in_chunks,
    nothing,
    precise,
    restored,
    stages_of,
    tied,
)
from mrpnkit.extractors.hugging_face import Weights, load_network, width_of
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("text_hf")
class TextHF(nn.Module):
    """A language network by ``AutoModel``: token ids → the last hidden state of every token; the lengths stay.

    Steps are whole numbers (S,) or (S, 1), as the network's own tokenizer makes them; special tokens are part of the
    data. Samples are padded within a chunk and masked, so that the result for one does not depend on the others. Of
    networks with encoder and decoder the encoder is taken. The package transformers is needed:
    ``pip install 'mrpnkit[hub]'``.

    Args:
        in_features: width of a step, 1.
        step_shape: shape of a step, where it is known; checked.
        model: a folder with ``config.json`` and ``model.safetensors``, which is read without any network access, or the
            name of a repository on the hub. Code that a model brings is never run, and pickles are never read.
        revision: commit, tag or branch of the repository.
        weights: ``"random"`` builds the network from its configuration alone.
        freeze: ``"none"``, ``"all"``, or how many stages from the input on: 1 the embeddings, and one for each block.
        chunk: samples at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does.

    Raises:
        DependencyError: transformers is not installed.
        InputError: a model that cannot be loaded, steps that are no token ids, samples that are too long.
    """

    paper: ClassVar[str] = "Wolf et al. 2020, doi:10.18653/v1/2020.emnlp-demos.6; each network has its own"
    weights_licence: ClassVar[str] = "as the model's card says"

    def __init__(
        self,
        in_features: int = 1,
        *,
        model: str,
        step_shape: Sequence[int] | None = None,
        revision: str | None = None,
        weights: Weights = "pretrained",
        freeze: Freeze = "none",
        chunk: int = 32,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        check_counts(self, {"in_features": in_features, "chunk": chunk})
        if in_features != 1 or (step_shape is not None and tuple(step_shape) not in ((), (1,))):
            raise InputError(f"TextHF reads token ids, steps of width 1; got {in_features}.")
        loaded = load_network(self, model, revision=revision, weights=weights)
        self.network: nn.Module = loaded.network
        self.out_features = width_of(self, loaded.config)
        self._vocabulary = int(loaded.config.vocab_size)
        self._pad = _padding(loaded.config)
        self._longest = _longest(loaded.config)
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of(self.network)))
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.train()

    def forward(self, inputs: Sequences) -> Sequences:
        """Token ids (S,) or (S, 1) → (S, out_features)."""
        samples = [sample for sample in self._ids(inputs) if len(sample)]
        steps = nothing(self.network, self.out_features)
        if samples:
            steps = in_chunks(
                self.network,
                lambda part: self._features(samples[part]),
                chunks(len(samples), self.chunk),
                checkpointing=self.gradient_checkpointing,
            )
        return inputs.with_steps(tied(self.network, inputs, steps))

    def _ids(self, inputs: Sequences) -> list[Tensor]:
        steps = inputs.steps
        if steps.ndim > 2 or (steps.ndim == 2 and steps.shape[1] != 1) or steps.is_floating_point():
            raise InputError(
                f"TextHF was given steps of shape {tuple(steps.shape[1:])} and type {steps.dtype}; expected token ids, "
                "whole numbers of shape () or (1,)."
            )
        samples = [sample.flatten().long() for sample in inputs.unbind()]
        longest = max(map(len, samples), default=0)
        if self._longest is not None and longest > self._longest:
            raise InputError(
                f"TextHF was given a sample of {longest} tokens; this network reads {self._longest}. Shorten the "
                "samples, or slice them."
            )
        if (
            steps.device.type == "cpu"
            and len(steps)
            and not 0 <= int(steps.min()) <= int(steps.max()) < self._vocabulary
        ):
            raise InputError(
                f"TextHF was given token ids from {int(steps.min())} to {int(steps.max())}; this network knows 0 to "
                f"{self._vocabulary - 1}. Were they made by its own tokenizer?"
            )
        return samples

    def _features(self, samples: list[Tensor]) -> Tensor:
        ids = pad_sequence(samples, batch_first=True, padding_value=self._pad)
        lengths = torch.tensor([len(sample) for sample in samples], device=ids.device)
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        with precise(self.precision, ids.device):
            features: Tensor = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        features = features[mask]
        return restored(self.network, features, self.precision)


def _padding(config: Any) -> int:
    pad = getattr(config, "pad_token_id", None)
    return pad if isinstance(pad, int) and 0 <= pad < config.vocab_size else 0


def _longest(config: Any) -> int | None:
    """Most tokens that a network with learned positions has places for; None where nothing limits them."""
    places = getattr(config, "max_position_embeddings", None)
    if not isinstance(places, int) or places < 1:
        return None
    shifted = "roberta" in str(getattr(config, "model_type", "")) or config.model_type in ("camembert", "longformer")
    return places - _padding(config) - 1 if shifted else places
