"""Adaptation to a speaker: steps of a modality normalised with statistics of the group that a sample belongs to.

A voice is high or low and a mouth wide or narrow whatever its owner feels. Where some unlabelled samples of a person
are at hand, what is the person's own can be measured and taken away: every number of a step then tells how it differs
from the same person's usual value. Statistics of a new person are *enrolled* from those samples, shrunk towards the
population where they are few, stored, and applied to whatever is predicted for that person. The use of a test person's
unlabelled samples is a protocol of its own: its results are not comparable with those of networks that meet a person
for the first time, and stand apart.
"""

from mrpnkit.data.adaptation.enrolment import EnrolledGroup, Enrolment
from mrpnkit.data.adaptation.fitting import values_of
from mrpnkit.data.adaptation.moments import Moments, Population
from mrpnkit.data.adaptation.normalisation import Adaptation, Steps, step_shape

__all__ = ["Adaptation", "EnrolledGroup", "Enrolment", "Moments", "Population", "Steps", "step_shape", "values_of"]
