"""What a configuration says of a target: a table for each kind, told apart by ``kind``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from mrpnkit.config.tables import Positive, Share, Table, Weight, tag

Balance = Literal["none", "inverse_frequency"]


class ClassificationConfig(Table):
    """One of the classes that the data set names: softmax and cross-entropy."""

    kind: Literal["classification"] = Field(default="classification", description="One class of several.")
    weight: Weight = Field(default=1.0, description="Of the target's losses in the sum.")
    label_smoothing: Share = Field(default=0.0, description="Share of the target distribution spread over all classes.")
    class_weights: Mapping[str, Positive] = Field(
        default={}, description="Of the classes in the loss, by name, where they are not 1."
    )
    balance: Balance = Field(
        default="none", description="inverse_frequency also weighs classes by how rare they are in training."
    )


class MultiLabelConfig(Table):
    """Several labels, each of which holds or does not: a sigmoid and binary cross-entropy for each."""

    kind: Literal["multilabel"] = Field(default="multilabel", description="Several labels at once.")
    weight: Weight = Field(default=1.0, description="Of the target's losses in the sum.")
    positive_weights: Mapping[str, Positive] = Field(
        default={}, description="How much more the loss counts where a label holds, by name, where not 1."
    )
    balance: Balance = Field(
        default="none", description="inverse_frequency also weighs a label that holds by how rarely it does."
    )


class RegressionConfig(Table):
    """A number."""

    kind: Literal["regression"] = Field(default="regression", description="A number.")
    weight: Weight = Field(default=1.0, description="Of the target's losses in the sum.")
    loss: Literal["mse", "mae", "huber", "ccc"] = Field(
        default="mse", description="Squared, absolute or Huber error, or 1 − CCC over a batch."
    )
    delta: Positive = Field(default=1.0, description="Of huber: the error from which it grows in a straight line.")
    scale: Literal["training", "none"] = Field(
        default="training",
        description="Scores, losses and delta in standard deviations of the training values, or in their own units.",
    )


class OrdinalConfig(Table):
    """One of the classes that the data set names from the lowest to the highest: CORN, arXiv:2111.08851."""

    kind: Literal["ordinal"] = Field(default="ordinal", description="One class of several that have an order.")
    weight: Weight = Field(default=1.0, description="Of the target's losses in the sum.")


TargetConfig = Annotated[
    Annotated[ClassificationConfig, Tag("classification")]
    | Annotated[MultiLabelConfig, Tag("multilabel")]
    | Annotated[RegressionConfig, Tag("regression")]
    | Annotated[OrdinalConfig, Tag("ordinal")],
    Discriminator(tag("kind", "classification")),
]
