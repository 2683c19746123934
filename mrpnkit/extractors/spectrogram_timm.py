"""Any image network of timm, on overlapping segments of the spectrogram of sound."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mrpnkit.arguments import check_counts
from mrpnkit.errors import InputError
from mrpnkit.extractors.backbone import Freeze, Frozen, Precision, computed, frozen_modules, precise, restored, type_of
from mrpnkit.extractors.registry import EXTRACTORS
from mrpnkit.extractors.spectrogram import Scale, SpectrogramSegments, check_sound, sound_of
from mrpnkit.extractors.timm_networks import MemoryFormat, built, stages_of_timm
from mrpnkit.extractors.waves import check_rate_of_sound
from mrpnkit.sequences import Sequences


@EXTRACTORS.register("spectrogram_timm")
class SpectrogramTimm(nn.Module):
    """An image network of timm without its classifier, on segments of sound: samples → one vector a segment.

    The paper's extractor for speech: standardised waves, segments of one second every 0.2 s, spectrograms of 256×250
    (Hann window 512, hop 64), ResNet-18. How waves become segments says
    :class:`~mrpnkit.extractors.spectrogram.SpectrogramSegments`. The network reads pictures of one colour.

    A spectrogram is computed once for all the segments that overlap, in parts of ``chunk`` segments; so memory in
    evaluation, and with ``gradient_checkpointing`` in training too, hardly grows with the clip. Batch norm, where it
    is trained, takes its statistics over a chunk; each of n chunks then has every n-th segment of the batch, so that it
    shows all clips, and segments that are left with no overlap are transformed one by one. The package timm is needed:
    ``pip install 'mrpnkit[av]'``.

    Args:
        in_features: width of a step, 1.
        step_shape: shape of a step, where it is known; checked.
        rate: samples a second, where it is known; it must be 16000.
        architecture: name of a network, ``"resnet18"``, …: see ``timm.list_models()``. One that is made for a size of
            picture, as transformers are, is built for that of the segments.
        pretrained: whether timm fetches the network's weights; those of the first convolution are summed over colours.
        weights: a safetensors file of the network's weights, of one colour; a classifier in it is left out.
        freeze: ``"none"``, ``"all"``, or how many stages, as timm groups them, from the input on. What is frozen is not
            trained, and its batch norm stays in evaluation. :meth:`refreeze` changes it later.
        segment_seconds, step_seconds, window, hop, bands, scale, level: see
            :class:`~mrpnkit.extractors.spectrogram.SpectrogramSegments`. A larger hop and fewer bands make smaller
            pictures: ``hop=128, bands=128`` is four times cheaper.
        chunk: segments at a time.
        gradient_checkpointing: compute each chunk again in the backward pass instead of keeping its inner results.
        precision: ``"bfloat16"`` computes the network so, whatever the training does; the spectrogram stays float32.
        memory_format: ``"channels_last"`` suits convolutions in bfloat16.

    Raises:
        DependencyError: timm is not installed.
        InputError: an unknown network, weights that do not fit, sound of another rate or of several channels.
    """

    paper: ClassVar[str] = "Chang and Skarbek 2021, Multi-modal Residual Perceptron Network, arXiv:2107.10742"
    weights_licence: ClassVar[str] = "as the weights that timm names for the architecture; often Apache-2.0"

    def __init__(
        self,
        in_features: int = 1,
        *,
        step_shape: Sequence[int] | None = None,
        rate: float | None = None,
        architecture: str = "resnet18",
        pretrained: bool = False,
        weights: str | None = None,
        freeze: Freeze = "none",
        segment_seconds: float = 1.0,
        step_seconds: float = 0.2,
        window: int = 512,
        hop: int = 64,
        bands: int = 256,
        scale: Scale = "log",
        level: Literal["standardised", "kept"] = "standardised",
        chunk: int = 64,
        gradient_checkpointing: bool = False,
        precision: Precision = "float32",
        memory_format: MemoryFormat = "contiguous",
    ) -> None:
        super().__init__()
        check_counts(self, {"chunk": chunk})
        check_sound(self, in_features, step_shape)
        self.cut = SpectrogramSegments(
            segment_seconds=segment_seconds,
            step_seconds=step_seconds,
            window=window,
            hop=hop,
            bands=bands,
            scale=scale,
            level=level,
        )
        check_rate_of_sound(self, rate, self.cut.rate)
        network, self.out_features, self.memory_format = built(
            self,
            architecture,
            pretrained=pretrained,
            weights=weights,
            memory_format=memory_format,
            grey=self.cut.shape,
        )
        self.network: nn.Module = network
        self.chunk, self.gradient_checkpointing, self.precision = chunk, gradient_checkpointing, precision
        self.refreeze(freeze)
        self.train()

    @property
    def stages(self) -> int:
        """How many stages ``freeze`` can count."""
        return len(stages_of_timm(self.network))

    def refreeze(self, freeze: Freeze) -> None:
        """Freezes just that much from now on; called between epochs with smaller numbers, it unfreezes gradually."""
        self.network.requires_grad_(True)
        self._frozen = Frozen(frozen_modules(self, self.network, freeze, stages_of_timm(self.network)))
        self.train(self.training)

    def forward(self, inputs: Sequences) -> Sequences:
        """Samples of sound (S,) or (S, 1) → segments (S', out_features)."""
        waves = [self.cut.levelled(wave) for wave in sound_of(self, inputs)]
        counts = [self.cut.count(len(wave)) for wave in waves]
        total = sum(counts)
        steps = computed(
            self.network,
            inputs,
            lambda part: self._features(waves, counts, range(total)[part]),
            total,
            width=self.out_features,
            chunk=self.chunk,
            checkpointing=self.gradient_checkpointing,
        )
        lengths = torch.tensor(counts, dtype=torch.int64, device=inputs.lengths.device)
        return Sequences(steps, lengths)

    def _features(self, waves: Sequence[Tensor], counts: Sequence[int], places: range) -> Tensor:
        """Features of the segments at ``places``, counted over all waves."""
        found, first = [], 0
        for wave, count in zip(waves, counts, strict=True):
            here = places[bisect_left(places, first) : bisect_left(places, first + count)]
            if here:
                found.append(self.cut.segments(wave, here[0] - first, here[-1] + 1 - first, every=here.step))
            first += count
        pictures = torch.cat(found).unsqueeze(1).to(type_of(self.network))
        try:
            with precise(self.precision, pictures.device):
                features: Tensor = self.network(pictures.contiguous(memory_format=self.memory_format))
        except AssertionError as error:  # what a transformer says of pictures that its patches do not divide
            raise InputError(
                f"SpectrogramTimm: the network refuses segments of {self.cut.shape}: {error} Give bands and hop so "
                "that the patches fit: bands=256, hop=100 makes segments of 256×160."
            ) from error
        return restored(self.network, features, self.precision)
