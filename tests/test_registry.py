"""The registry, with plugins that are real distributions: folders with metadata on the import path."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from mrpnkit.errors import MrpnkitError, RegistryError
from mrpnkit.registry import AGGREGATORS, BALANCERS, DATASETS, EXTRACTORS, FUSIONS, Registry

ROOT = Path(__file__).resolve().parent.parent
OUR_REGISTRIES: tuple[Registry[Any], ...] = (EXTRACTORS, AGGREGATORS, FUSIONS, BALANCERS, DATASETS)

GROUP = "mrpnkit_test.shapes"
Install = Callable[..., None]


class Circle:
    """Round."""

    def __init__(self, radius: float = 1.0) -> None: ...


@pytest.fixture
def shapes() -> Registry[type]:
    registry: Registry[type] = Registry("shape", GROUP)
    registry.register("circle")(Circle)
    return registry


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install(distribution, source, name="Class")`` makes a module and a distribution that announces its classes."""
    modules: list[str] = []

    def plugin(distribution: str, source: str, **names: str) -> None:
        module = distribution.replace("-", "_")
        folder = tmp_path / distribution
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"[{GROUP}]", *(f"{name} = {module}:{target}" for name, target in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(folder)
        modules.append(module)

    yield plugin
    for module in modules:
        sys.modules.pop(module, None)


def test_the_decorator_returns_the_class_and_remembers_it() -> None:
    registry: Registry[type] = Registry("shape", GROUP)
    assert registry.names() == ()
    assert "square" not in registry

    @registry.register("square")
    class Square: ...

    assert registry["square"] is Square
    assert registry.names() == tuple(registry) == ("square",)
    assert "square" in registry


def test_a_name_that_is_taken_is_refused(shapes: Registry[type]) -> None:
    with pytest.raises(RegistryError, match=r"The shape name 'circle' is taken by .*Circle.*choose another name"):
        shapes.register("circle")(object)
    assert shapes["circle"] is Circle


@pytest.mark.parametrize("name", ["", "a.b", "two words", "1st", "a-b"])
def test_names_are_identifiers(name: str, shapes: Registry[type]) -> None:
    with pytest.raises(RegistryError, match="use letters, digits and underscores"):
        shapes.register(name)


def test_an_unknown_name_comes_with_the_nearest_and_the_known(shapes: Registry[type], install: Install) -> None:
    install("hexagons", "class Hexagon: ...", hexagon="Hexagon")
    with pytest.raises(RegistryError, match=r"no shape named 'cirle'\. Did you mean 'circle'\? Known: circle, hexagon"):
        shapes["cirle"]
    with pytest.raises(RegistryError, match=r"Did you mean 'hexagon'\?.*group 'mrpnkit_test.shapes'.*SHAPES.register"):
        shapes["hexagn"]
    with pytest.raises(RegistryError) as caught:
        shapes["zzz"]
    assert "Did you mean" not in str(caught.value)


def test_errors_are_ours_and_lookups(shapes: Registry[type]) -> None:
    with pytest.raises(LookupError) as caught:
        shapes["zzz"]
    assert isinstance(caught.value, MrpnkitError)


def test_a_plugin_is_imported_when_it_is_asked_for_and_not_before(shapes: Registry[type], install: Install) -> None:
    install("hexagons", "class Hexagon: ...", hexagon="Hexagon")
    install("pentagons", "class Pentagon: ...", pentagon="Pentagon", a_pentagon="Pentagon")
    assert shapes.names() == ("circle", "a_pentagon", "hexagon", "pentagon")
    assert "hexagon" in shapes
    assert "pentagon" in shapes
    assert not {"hexagons", "pentagons"} & set(sys.modules)
    hexagon = shapes["hexagon"]
    assert (hexagon.__name__, hexagon.__module__) == ("Hexagon", "hexagons")
    assert shapes["hexagon"] is hexagon
    assert "hexagons" in sys.modules
    assert "pentagons" not in sys.modules


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import a_package_that_nobody_has", "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("class Octagon: ...", "AttributeError: .*Hexagon"),
        ("class Hexagon", "SyntaxError: "),
    ],
)
def test_a_broken_plugin_names_its_distribution(
    source: str, cause: str, shapes: Registry[type], install: Install
) -> None:
    install("broken-hexagons", source, hexagon="Hexagon")
    assert shapes.names() == ("circle", "hexagon")  # the others can still be used
    assert shapes["circle"] is Circle
    text = f"'hexagon' of the distribution 'broken-hexagons' cannot be loaded from 'broken_hexagons:Hexagon': {cause}"
    with pytest.raises(RegistryError, match=text) as caught:
        shapes["hexagon"]
    assert caught.value.__cause__ is not None


def test_a_plugin_that_leads_to_no_class_names_its_distribution(shapes: Registry[type], install: Install) -> None:
    install("no-shapes", "SIDES = 6", hexagon="SIDES")
    text = "The shape 'hexagon' of the distribution 'no-shapes', 'no_shapes:SIDES', is 6; expected a class, or a functi"
    with pytest.raises(RegistryError, match=text):
        shapes["hexagon"]


def test_two_distributions_with_one_name(shapes: Registry[type], install: Install) -> None:
    install("hexagons", "class Hexagon: ...", hexagon="Hexagon")
    install("more-hexagons", "class Hexagon: ...", hexagon="Hexagon")
    assert shapes.names() == ("circle", "hexagon")
    with pytest.raises(
        RegistryError, match=r"'hexagon' is announced by '(more-)?hexagons' and '(more-)?hexagons'"
    ) as e:
        shapes["hexagon"]
    assert "'hexagons'" in str(e.value)
    assert "'more-hexagons'" in str(e.value)
    assert "uninstall one" in str(e.value)
    assert not {"hexagons", "more_hexagons"} & set(sys.modules)


def test_a_plugin_with_a_name_that_is_decorated(shapes: Registry[type], install: Install) -> None:
    install("round-things", "class Ring: ...", circle="Ring")
    with pytest.raises(RegistryError, match=r"'circle' is taken by .*Circle.*'round-things' announces it too"):
        shapes["circle"]
    assert shapes.names() == ("circle",)
    assert "round_things" not in sys.modules


def test_another_group_is_another_matter(install: Install) -> None:
    install("hexagons", "class Hexagon: ...", hexagon="Hexagon")
    assert [e.name for e in entry_points(group=GROUP)] == ["hexagon"]
    other: Registry[type] = Registry("colour", "mrpnkit_test.colours")
    assert other.names() == ()
    with pytest.raises(RegistryError, match=r"no colour named 'hexagon'.*Known: none"):
        other["hexagon"]


def test_describe(shapes: Registry[type], install: Install) -> None:
    install(
        "hexagons",
        'class Hexagon:\n    """Six corners.\n\n    And more."""\n    def __init__(self, side: int): ...',
        h="Hexagon",
    )
    own, theirs = shapes.describe("circle"), shapes.describe("h")
    assert (own.name, own.summary, own.signature) == ("circle", "Round.", "(radius: float = 1.0) -> None")
    assert own.distribution == __name__
    assert (own.paper, own.weights_licence) == ("", "")
    assert Path(own.file) == Path(__file__)
    assert Path(own.file).read_text().splitlines()[own.line - 1] == "class Circle:"
    assert (theirs.name, theirs.summary, theirs.signature) == ("h", "Six corners.", "(side: int)")
    assert theirs.distribution == "hexagons"
    assert Path(theirs.file).name == "hexagons.py"
    assert theirs.line == 1


def test_a_part_that_is_decorated_and_announced_is_one_part(shapes: Registry[type], install: Install) -> None:
    source = "class Hexagon: ...\nfrom test_registry_shapes import shapes\nshapes.register('hexagon')(Hexagon)"
    module = type(sys)("test_registry_shapes")
    module.shapes = shapes  # type: ignore[attr-defined]
    sys.modules["test_registry_shapes"] = module
    try:
        install("hexagons", source, hexagon="Hexagon")
        assert shapes.owner("hexagon") == "hexagons"
        first = shapes["hexagon"]
        assert shapes["hexagon"] is first
        assert shapes.names() == ("circle", "hexagon")
        assert shapes.describe("hexagon").distribution == "hexagons"
    finally:
        del sys.modules["test_registry_shapes"]


def test_a_plugin_with_a_name_that_mrpnkit_announces(install: Install) -> None:
    registry: Registry[type] = Registry("shape", GROUP)
    install("mrpnkit", "class Square: ...", square="Square")
    assert registry.owner("square") == "mrpnkit"
    install("other-squares", "class Square: ...", square="Square", rhombus="Square")
    assert registry.names() == ("square", "rhombus")
    with pytest.raises(RegistryError, match=r"'square' is taken by mrpnkit itself.*'other-squares' announces it too"):
        registry["square"]
    assert "other_squares" not in sys.modules


def test_papers_and_licences_come_from_the_decorator_or_the_class(shapes: Registry[type]) -> None:
    @shapes.register("square", paper="Euclid", weights_licence="CC0")
    class Square: ...

    @shapes.register("ring")
    class Ring:
        paper = "Archimedes"
        weights_licence = "MIT"

    assert (Square, Ring) == (shapes["square"], shapes["ring"])
    assert shapes.describe("square")[-2:] == ("Euclid", "CC0")
    assert shapes.describe("ring")[-2:] == ("Archimedes", "MIT")


def test_what_has_no_source_can_be_described(shapes: Registry[type]) -> None:
    shapes.register("made")(type("Made", (), {"__doc__": "Made at run time.", "__module__": "nowhere"}))
    described = shapes.describe("made")
    assert (described.summary, described.file, described.line) == ("Made at run time.", "", 0)


@pytest.mark.parametrize("registry", OUR_REGISTRIES, ids=lambda registry: registry.kind)
def test_what_is_announced_is_what_is_decorated(registry: Registry[Any]) -> None:
    """Both lists are written by hand: in pyproject.toml, and as decorators."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    announced = project["entry-points"][registry.group]
    registry.load_home()
    decorated = {
        name: f"{part.__module__}:{part.__qualname__}"
        for name, part in registry._own.items()
        if part.__module__.startswith("mrpnkit.")
    }
    assert announced == decorated
    installed = {
        entry_point.name: entry_point.value
        for entry_point in entry_points(group=registry.group)
        if entry_point.dist is not None and entry_point.dist.name == "mrpnkit"
    }
    assert installed == announced, "the installed metadata is old: pip install --editable . --no-deps"
    for name in announced:
        assert registry.owner(name) == "mrpnkit"


def test_names_are_known_without_importing_a_part() -> None:
    program = (
        "import json, sys; from mrpnkit.registry import EXTRACTORS, AGGREGATORS, FUSIONS, BALANCERS, DATASETS\n"
        "names = [r.names() for r in (EXTRACTORS, AGGREGATORS, FUSIONS, BALANCERS, DATASETS)]\n"
        "print(json.dumps([names, 'torch' in sys.modules, [m for m in sys.modules if m.startswith('mrpnkit.')]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names, torch, modules = json.loads(done.stdout)
    assert {"conv1d", "identity"} <= set(names[0])
    assert {"concat", "witnesses"} <= set(names[2])
    assert {"sum", "ogm_ge"} <= set(names[3])
    assert not torch
    assert set(modules) == {"mrpnkit.errors", "mrpnkit.registry"}


def test_a_part_of_ours_is_loaded_by_its_name_alone() -> None:
    program = "from mrpnkit.registry import AGGREGATORS; print(AGGREGATORS['gru'].__qualname__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "GRU\n"
