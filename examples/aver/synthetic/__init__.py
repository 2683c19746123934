"""An embedded corpus made by code: drawn faces that move and voices that sound, with interference put in on purpose."""

from examples.aver.synthetic.corpus import SyntheticCorpus, synthetic_clips
from examples.aver.synthetic.evidence import MODALITIES, Evidence
from examples.aver.synthetic.movie import contact_sheet, one_of_each, write_movie

__all__ = [
    "MODALITIES",
    "Evidence",
    "SyntheticCorpus",
    "contact_sheet",
    "one_of_each",
    "synthetic_clips",
    "write_movie",
]
