"""Every registered part can be configured, and the check finds those that cannot."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import pytest

from mrpnkit.config.parts import KINDS
from mrpnkit.errors import DependencyError, InputError, RegistryError
from mrpnkit.testing import check_configuration

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "audio_hf": {"model": "folder"},
    "corpus": {"path": "prepared"},
    "csv": {"path": "samples.csv", "modalities": {"voice": {"columns": ["voice_*"]}}},
    "fixed": {"weights": {"fused": 0.5}},
    "files": {"path": "clips", "modalities": {"voice": {"files": "{id}.wav"}}},
    "huggingface": {"path": "clips", "modalities": {"voice": {"column": "voice"}}},
    "npz": {"path": "features.npz"},
    "parquet": {"path": "samples.parquet", "modalities": {"voice": {"columns": ["voice"], "kind": "vector"}}},
    "safetensors": {"path": "features.safetensors"},
    "text_hf": {"model": "folder"},
    "vision_hf": {"model": "folder"},
}
"""Of those parts that need some; by name."""
for known in KINDS.values():
    if known.registry.home is not None:
        import_module(known.registry.home)  # names are known without it only where metadata announces them
PARTS = [(kind, name) for kind in KINDS for name in KINDS[kind].registry.names()]


def test_there_are_parts_of_every_kind() -> None:
    assert {kind for kind, _ in PARTS} == set(KINDS)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_registered_parts(kind: str, name: str) -> None:
    try:
        part = KINDS[kind].registry[name]
    except RegistryError as error:
        if isinstance(error.__cause__, DependencyError):
            pytest.skip(str(error))
        raise
    check_configuration(part, OPTIONS.get(name), kind=kind)


def sound(in_features: int, *, size: int = 3, name_of_it: str = "x", sizes: tuple[int, ...] = (1, 2)) -> None: ...
def needs_one(in_features: int, *, size: int) -> None: ...
def wrong_default(in_features: int, *, size: int = 0.5) -> None: ...  # type: ignore[assignment]
def takes_an_object(in_features: int, *, hook: Callable[[], int]) -> None: ...


def test_a_sound_part_passes() -> None:
    check_configuration(sound)
    check_configuration(sound, {"size": 4})
    check_configuration(needs_one, {"size": 4})


@pytest.mark.parametrize(
    ("part", "options", "text"),
    [
        (sound, {"size": "four"}, 'sound refuses the options that were given: size: expected an integer, got "four"'),
        (sound, {"in_features": 4}, "sound refuses .*in_features: .*gets it when it is built"),
        (needs_one, {}, "needs_one refuses the options that were given: size: .*needs it: an integer"),
        (wrong_default, {}, r"wrong_default has a default that its own signature refuses: size: .*got 0\.5"),
        (takes_an_object, {}, "takes_an_object cannot be configured: its parameter 'hook' has no default"),
    ],
)
def test_what_cannot_be_configured_is_found(part: Callable[..., object], options: dict[str, Any], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check_configuration(part, options)


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(InputError, match="there is no kind 'extractors'; expected 'data set', 'extractor', 'aggregato"):
        check_configuration(sound, kind="extractors")
