"""Data sets: sources of samples, by name, each giving a corpus from its options.

``DATASETS[name](**options).load(folder)`` is a :class:`~mrpnkit.data.Corpus`; the constructor's signature is the schema
of the table ``[dataset]`` of a configuration. All sources check alike and say the same where something does not fit.
"""

from mrpnkit.data.datasets.files import FileModality, Files
from mrpnkit.data.datasets.hugging_face import ColumnModality, HuggingFace
from mrpnkit.data.datasets.npz import Npz
from mrpnkit.data.datasets.prepared import Prepared
from mrpnkit.data.datasets.registry import DATASETS, Dataset
from mrpnkit.data.datasets.stream import prepare
from mrpnkit.data.datasets.tables import Csv, Parquet, TableModality
from mrpnkit.data.datasets.tensors import Safetensors

__all__ = [
    "DATASETS",
    "ColumnModality",
    "Csv",
    "Dataset",
    "FileModality",
    "Files",
    "HuggingFace",
    "Npz",
    "Parquet",
    "Prepared",
    "Safetensors",
    "TableModality",
    "prepare",
]
