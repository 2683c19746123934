"""What a configuration holds: frozen models, one for each table of the TOML file.

Closed sets (optimizer, schedule, target) are unions told apart by ``name`` or ``kind``. Open sets (data set, extractor,
aggregator, fusion, balancer) are a :class:`PartConfig`, a name and options, which
:func:`mrpnkit.config.parse_config` validates against the signature of the part of that name.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from mrpnkit.config.adaptation import AdaptationConfig
from mrpnkit.config.tables import Count, Positive, Seed, Share, Table, Weight, tag
from mrpnkit.config.targets import TargetConfig


class PartConfig(BaseModel):
    """A part of an open set: its registered name, and beside it the options of its constructor."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: str = Field(description="Registered name of the part.")

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class BranchConfig(Table):
    """A modality of the data set and what is computed from it: f_m = A_m(F_m(x_m))."""

    extractor: PartConfig = Field(default=PartConfig(name="identity"), description="What is computed from each step.")
    aggregator: PartConfig = Field(
        default=PartConfig(name="mean"), description="What makes one vector of a sample's steps."
    )
    slice_seconds: Positive | None = Field(
        default=None,
        description="Train on random slices in time, of at least so many seconds; without it, on whole samples.",
    )
    modality_dropout: Share | None = Field(
        default=None, description="As training.modality_dropout, for this modality; without it that."
    )


class ModelConfig(Table):
    """The network: the paper's N0, N1 or N2, and its fusion."""

    network: Literal["n0", "n1", "n2"] = Field(default="n2", description="N0 (7), N1 (8), or N2, the MRPN itself (9).")
    hidden: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="Width inside the Scoring units; without it that of what they read."
    )
    dropout: Share = Field(default=0.0, description="Before each Dense of Scoring.")
    side: Literal["dense", "scoring"] = Field(default="dense", description="What computes the side scores.")
    absent: Literal["zero", "learned"] = Field(
        default="zero", description="What stands in the fusion for a modality that a sample lacks."
    )
    fallback: Literal["never", "single", "incomplete"] = Field(
        default="never",
        description="Which samples are answered by the branches that are left instead of the fusion: those of a single "
        "modality, or all that lack one.",
    )
    fusion: PartConfig = Field(
        default=PartConfig(name="concat"), description="What fuses the branches; concat is the paper's."
    )


class ObjectiveConfig(Table):
    """The N+1 losses and how they are summed."""

    weights: Mapping[str, Weight] = Field(
        default={}, description="Of the heads, fused or a branch, where they are not 1."
    )
    balancer: PartConfig = Field(
        default=PartConfig(name="sum"), description="What joins the losses; sum is the paper's."
    )


class AdamWConfig(Table):
    """AdamW; the paper's learning rate is 5e-5, which suits pretrained networks and little else."""

    name: Literal["adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: Weight = 1e-2
    betas: tuple[Share, Share] = (0.9, 0.999)


class AdamConfig(Table):
    """Adam, without the decoupled weight decay of AdamW."""

    name: Literal["adam"] = "adam"
    learning_rate: Positive = 1e-3
    betas: tuple[Share, Share] = (0.9, 0.999)


class SGDConfig(Table):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Positive = 1e-2
    momentum: Share = 0.9
    weight_decay: Weight = 0.0


class PlateauConfig(Table):
    """The learning rate is multiplied by ``factor`` when the validation loss has not dropped for ``patience`` epochs.

    The defaults are the paper's.
    """

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    patience: Annotated[int, Field(ge=0, le=1_000_000)] = 10


class OneCycleConfig(Table):
    """The learning rate rises to the optimizer's in the first ``warm_up`` of all steps, and falls to nearly 0."""

    name: Literal["one_cycle"] = "one_cycle"
    warm_up: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3


class ConstantConfig(Table):
    """The learning rate stays."""

    name: Literal["constant"] = "constant"


OptimizerConfig = Annotated[
    Annotated[AdamWConfig, Tag("adamw")] | Annotated[AdamConfig, Tag("adam")] | Annotated[SGDConfig, Tag("sgd")],
    Discriminator(tag("name", "adamw")),
]
ScheduleConfig = Annotated[
    Annotated[PlateauConfig, Tag("plateau")]
    | Annotated[OneCycleConfig, Tag("one_cycle")]
    | Annotated[ConstantConfig, Tag("constant")],
    Discriminator(tag("name", "plateau")),
]


class TrainingConfig(Table):
    """How the network is trained."""

    epochs: Count = Field(default=50, description="How many, at most.")
    batch_size: Count = Field(default=32, description="Samples of a batch over all processes together.")
    seed: Seed = Field(default=0, description="Of weights, order and everything drawn.")
    precision: Literal["float32", "bfloat16"] = Field(default="float32", description="Of the forward pass.")
    modality_dropout: Share = Field(
        default=0.0, description="Probability that a training sample is shown without a modality; never without all."
    )
    clip_norm: Positive | None = Field(
        default=None, description="Largest norm of the gradient; without it nothing is clipped."
    )
    patience: Count | None = Field(default=None, description="Stop after so many epochs without a better one.")
    monitor: str = Field(default="loss", description="What selects the best epoch: loss, or target/head/metric.")
    keep: Literal["best", "last"] = Field(default="best", description="Weights that are kept and tested.")
    workers: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0, description="Processes that read ahead; 0 reads in one."
    )
    gradients: Count | None = Field(
        default=None,
        description="Record every so many steps whether losses of branches and fusion conflict; 20 is cheap.",
    )
    optimizer: OptimizerConfig = Field(default=AdamWConfig(), description="adamw, adam or sgd.")
    schedule: ScheduleConfig = Field(default=PlateauConfig(), description="plateau, one_cycle or constant.")


class FoldsConfig(Table):
    """How samples are divided to train, to validate and to test."""

    group: str | None = Field(
        default=None,
        description="Column of the data set whose groups are never split; without it samples are dealt randomly.",
    )
    stratum: str | None = Field(default=None, description="Column that is balanced over the folds.")
    count: Annotated[int, Field(ge=3, le=10_000)] = Field(
        default=5, description="How many; one tests, the next validates."
    )
    only: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None, description="Which folds are run, counted from 1; without it all."
    )
    test: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Groups that are tested: one fixed split in place of folds."
    )
    validation: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Groups that validate in a fixed split."
    )
    validation_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2,
        description="In a fixed split without validation groups: share of the other samples that is drawn to validate.",
    )
    seed: Seed | None = Field(
        default=None, description="Shuffles the groups; without it they are taken in natural order."
    )
    audit: Literal["refuse", "report"] = Field(
        default="refuse", description="What a split that makes the result worthless does: stop, or be reported."
    )


class Config(Table):
    """A whole run. Made by :func:`mrpnkit.config.load_config` or :func:`mrpnkit.config.parse_config`."""

    dataset: PartConfig = Field(description="Where the samples come from.")
    branches: Mapping[str, BranchConfig] = Field(
        min_length=1, max_length=64, description="The modalities that are fused, in the order of concatenation."
    )
    targets: Mapping[str, TargetConfig] = Field(
        default={}, description="What is predicted; without it every target there is."
    )
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    folds: FoldsConfig = FoldsConfig()
    adaptation: AdaptationConfig | None = Field(
        default=None, description="Normalises steps by group, such as the speaker; without it nothing is adapted."
    )

    def resolved(self) -> dict[str, Any]:
        """Everything, defaults included, as plain data that JSON can hold and ``parse_config`` reads back."""
        return self.model_dump(mode="json")
