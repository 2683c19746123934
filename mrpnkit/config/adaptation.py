"""What a configuration says of the adaptation to groups, such as speakers."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mrpnkit.config.tables import Count, Table, Weight


def _form(value: Any) -> str:
    return "number" if isinstance(value, int | float) else "word"


Enrol = Annotated[
    Annotated[Literal["all", "none"], Tag("word")] | Annotated[Count, Tag("number")],
    Discriminator(_form),
]


class AdaptationConfig(Table):
    """Steps are normalised with statistics of the group that a sample belongs to (:mod:`mrpnkit.data.adaptation`)."""

    column: str = Field(description="Column of the data set whose groups are adapted to, such as the actor.")
    enrol: Enrol = Field(
        description="How many unlabelled samples of each validated and tested group its statistics are measured from: "
        "all, a number that is drawn, or none. It has no default, since it decides what the figures mean."
    )
    modalities: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Branches whose steps are normalised; without it all."
    )
    condition: str | None = Field(
        default=None,
        description="TARGET=CLASS or COLUMN=VALUE: enrolled samples are of this kind alone, such as emotion=neutral.",
    )
    strength: Weight = Field(
        default=10.0, description="How many samples the population's variance counts for beside a group's own."
    )
    with_population: bool = Field(
        default=False,
        description="Whether each step holds twice as many numbers: as its group normalises it, and as the population.",
    )

    @property
    def condition_of(self) -> str | None:
        """The target or column of the condition."""
        return None if self.condition is None else self.condition.partition("=")[0]

    @property
    def condition_value(self) -> str:
        """The class or value of the condition; empty where all kinds of samples are enrolled."""
        return "" if self.condition is None else self.condition.partition("=")[2]
