"""Wrong and hostile configurations: each is refused in the words of its file, and none does anything."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from mrpnkit.config import load_config, parse_config
from mrpnkit.errors import ConfigError

SECTIONS = {
    "dataset": 'name = "npz"\npath = "features.npz"',
    "branches.audio": "",
    "branches.video": "",
}


def configuration(section: str = "", text: str = "") -> str:
    """A configuration that is right, but for one section that is put in place or added."""
    return "".join(f"[{name}]\n{body}\n" for name, body in {**SECTIONS, **({section: text} if section else {})}.items())


class Wrong(NamedTuple):
    section: str
    text: str
    path: str
    says: str


def branch(text: str, path: str, says: str) -> Wrong:
    return Wrong("branches.audio", text, f"branches.audio.{path}", says)


def training(text: str, path: str, says: str) -> Wrong:
    return Wrong("training", text, f"training.{path}", says)


WRONG = [
    # Keys that there are not, with the nearest that there is.
    Wrong("trainig", "epochs = 3", "trainig", r"no such key; did you mean 'training'\? Known: dataset, branches, targ"),
    training("epoch = 3", "epoch", r"no such key; did you mean 'epochs'\? Known: epochs, batch_size"),
    training("zzz = 3", "zzz", r"^there is no such key\. Known: epochs"),
    branch("aggregater = { name = 'max' }", "aggregater", r"did you mean 'aggregator'\? Known: extractor, agg"),
    branch(
        "extractor = { name = 'conv1d', kernel = 3 }",
        "extractor.kernel",
        r"^Conv1d has no such option; did you mean 'kernel_size'\? It has channels, kernel_size",
    ),
    branch("extractor = { name = 'linear', in_features = 3 }", "extractor.in_features", "gets it when it is built"),
    Wrong("dataset", 'name = "npz"\npaht = "x"\npath = "x"', "dataset.paht", "^Npz has no such option; did .*'path'"),
    Wrong("dataset", 'name = "npz"', "dataset.path", "^Npz needs it: text"),
    training("optimizer = { learning_rat = 0.1 }", "optimizer.learning_rat", r"did you mean 'learning_rate'\?"),
    training("schedule = { name = 'constant', factor = 0.5 }", "schedule.factor", r"no such key\. Known: name\.$"),
    # Names that nobody has; none is ever imported.
    branch("extractor = { name = 'conv1' }", "extractor.name", r"no extractor named 'conv1'\. Did you mean 'conv1d'\?"),
    branch("aggregator = { name = 'BiLSTM' }", "aggregator.name", r"no aggregator named 'BiLSTM'\..* Known: .*bilstm"),
    Wrong("dataset", "name = 'npzz'", "dataset.name", r"no data set named 'npzz'\. Did you mean 'npz'\?.*entry point"),
    Wrong("model", "fusion = { name = 'concatenate' }", "model.fusion.name", "^There is no fusion named 'concatenate'"),
    Wrong("objective", "balancer = { name = 'summ' }", "objective.balancer.name", r"Did you mean 'sum'\?"),
    branch("extractor = { name = 'os:system' }", "extractor.name", "'os:system'.* looked up and never imported"),
    branch("extractor = { name = 'torch.nn.Linear' }", "extractor.name", "'torch.nn.Linear'.* never imported"),
    branch("extractor = { name = '__import__' }", "extractor.name", "^There is no extractor named '__import__'"),
    branch("extractor = { name = '../../evil.py' }", "extractor.name", "'../../evil.py'.* never imported"),
    Wrong("dataset", "name = 'mrpnkit.data:Corpus'", "dataset.name", "'mrpnkit.data:Corpus'.* never imported"),
    training("optimizer = { name = 'adamm' }", "optimizer.name", r"no optimizer 'adamm'; .*'adam.*Known: adamw, adam"),
    training("schedule = { name = 'eval(1)' }", "schedule.name", r"no schedule 'eval\(1\)'\. Known: plateau"),
    Wrong("targets.emotion", "kind = 'regresion'", "targets.emotion.kind", "no kind of target 'regresion'; .*'regress"),
    Wrong("targets.emotion", "kind = 3", "targets.emotion.kind", "no kind of target '3'. Known: classification, multi"),
    Wrong("targets.age", "kind = 'regression'\nloss = 'l2'", "targets.age.loss", "^expected 'mse', 'mae', 'huber' or"),
    Wrong("targets.age", "kind = 'regression'\nlabel_smoothing = 0.1", "targets.age.label_smoothing", "Known: kind, w"),
    Wrong("targets.age", "kind = 'regression'\ndelta = 0", "targets.age.delta", "^expected more than 0, got 0"),
    Wrong("targets.emotion", "weight = -1", "targets.emotion.weight", "^expected 0 or more, got -1"),
    Wrong("targets.emotion", "class_weights = { sad = 0 }", "targets.emotion.class_weights.sad", "^expected more than"),
    Wrong("targets.emotion", "balance = 'yes'", "targets.emotion.balance", "^expected 'none' or 'inverse_frequency',"),
    Wrong("targets", "emotion = 3", "targets.emotion", "^expected a table, got 3"),
    Wrong("model", "absent = 'mean'", "model.absent", "^expected 'zero' or 'learned', got \"mean\""),
    Wrong("model", "fallback = 'always'", "model.fallback", "^expected 'never', 'single' or 'incomplete'"),
    training("modality_dropout = 1.0", "modality_dropout", "^expected less than 1, got 1.0"),
    branch("modality_dropout = -0.1", "modality_dropout", "^expected 0 or more, got -0.1"),
    Wrong("model", "network = 'n3'", "model.network", r"^expected 'n0', 'n1' or 'n2', got \"n3\""),
    # Types: nothing is converted.
    training("epochs = '50'", "epochs", '^expected an integer, got "50"'),
    training("epochs = true", "epochs", "^expected an integer, got true"),
    training("epochs = 2.5", "epochs", "^expected an integer, got 2.5"),
    training("epochs = 1979-05-27", "epochs", "^expected text, a number.*got 1979-05-27"),
    branch("aggregator = { name = 'gru', layers = true }", "aggregator.layers", "^expected an integer, got true"),
    branch("extractor = { name = 'conv1d', channels = 3 }", "extractor.channels", "list .each an integer., got 3"),
    branch("extractor = { name = 'conv1d', strides = 'x' }", "extractor.strides", "an integer or a list .each an int"),
    branch("extractor = { name = 'conv1d', channels = [8, 'x'] }", "extractor.channels[1]", 'an integer, got "x"'),
    branch("extractor = { name = 'mlp', norm = 'batc' }", "extractor.norm", "'batch', 'layer' or 'none', .* 'batch'"),
    branch("extractor = 'conv1d'", "extractor", r'names the extractor, got "conv1d"; write \{ name = "conv1d"'),
    branch("extractor = { name = ['conv1d'] }", "extractor.name", r'^expected text, got \["conv1d"\]'),
    Wrong("dataset", "name = 'npz'\npath = 3", "dataset.path", "^expected text, got 3"),
    Wrong("folds", "only = '1'", "folds.only", '^expected a list, got "1"'),
    Wrong("objective", "weights = [1.0]", "objective.weights", r"^expected a table, got \[1.0\]"),
    # Absurd values.
    training("epochs = 0", "epochs", "^expected 1 or more, got 0"),
    training("epochs = 10000000000", "epochs", "^expected 1000000 or less"),
    training("batch_size = -32", "batch_size", "^expected 1 or more, got -32"),
    training("seed = -1", "seed", "^expected 0 or more, got -1"),
    training("workers = 100000", "workers", "^expected 256 or less, got 100000"),
    training("clip_norm = nan", "clip_norm", "^expected a finite number, got nan"),
    training("patience = 0", "patience", "^expected 1 or more, got 0"),
    training("optimizer = { learning_rate = inf }", "optimizer.learning_rate", "^expected a finite number, got inf"),
    training("optimizer = { learning_rate = -1e-3 }", "optimizer.learning_rate", "^expected more than 0, got -0.001"),
    training("optimizer = { betas = [0.9] }", "optimizer.betas", r"^expected at least 2 values, got \[0.9\]"),
    training("schedule = { name = 'one_cycle', warm_up = 1.0 }", "schedule.warm_up", "^expected less than 1, got 1.0"),
    Wrong("model", "dropout = 1.0", "model.dropout", "^expected less than 1, got 1.0"),
    Wrong("model", "hidden = 99999999999", "model.hidden", "^expected 65536 or less"),
    Wrong("model", "hidden = 99999999999999999999999", "model.hidden", "^expected an integer of a useful size"),
    branch("slice_seconds = 0", "slice_seconds", "^expected more than 0, got 0"),
    branch("aggregator = { name = 'gru', dropout = nan }", "aggregator.dropout", "^expected a finite number, got nan"),
    Wrong("objective", "weights = { fused = -1 }", "objective.weights.fused", "^expected 0 or more, got -1"),
    Wrong("objective", "weights = { fused = nan }", "objective.weights.fused", "^expected a finite number, got nan"),
    Wrong("objective", "weights = { audoi = 1.0 }", "objective.weights.audoi", r"head; .*'audio'\? The heads are"),
    Wrong("folds", "count = 2", "folds.count", "^expected 3 or more, got 2"),
    Wrong("folds", "only = [6]", "folds.only", r"from 1 to 5 .folds.count., one or more, got \[6\]"),
    Wrong("folds", "only = [0]", "folds.only[0]", "^expected 1 or more, got 0"),
    Wrong("folds", "only = []", "folds.only", r"one or more, got \[\]"),
    Wrong("folds", "only = [1, 1]", "folds.only", r"different numbers.*got \[1, 1\]"),
    Wrong("folds", "test = ['1']", "folds.test", "^a fixed split needs folds.group"),
    Wrong("folds", "validation = ['1']", "folds.validation", "^groups can validate only in a fixed split"),
    Wrong("folds", "group = 'a'\ntest = ['1', '2']\nvalidation = ['2']", "folds.validation", "^'2' cannot validate"),
    Wrong("folds", "group = 'a'\ntest = ['1']\nonly = [2]", "folds.only", r"from 1 to 1 .a fixed split is one fold"),
    training("monitor = 'accuracy'", "monitor", "^expected loss or TARGET/HEAD/METRIC, .* got \"accuracy\""),
    training("monitor = 'emotion/fusde/uar'", "monitor", r"no head 'fusde'; did you mean 'fused'\? Known: fused"),
    training("monitor = 'emotion/fused/acuracy'", "monitor", r"no metric 'acuracy'; did you mean 'accuracy'\?"),
    # Names that torch or a file system refuses.
    Wrong("branches.keys", "", "branches.keys", "cannot be the name of a branch: torch.nn.ModuleDict has an attr"),
    Wrong("branches.fused", "", "branches.fused", "cannot be the name of a branch: it names the fused score itself"),
    Wrong('branches."a.b"', "", "branches.a.b", "a dot separates modules. Rename it, for instance to 'a_b'"),
    Wrong('branches.""', "", "branches.", "cannot be the name of a branch: it is empty"),
    Wrong('branches."/etc/passwd"', "", "branches./etc/passwd", "a slash separates .* for instance to '_etc_passwd'"),
    Wrong('branches."a\\u0000b"', "", 'branches."a\\u0000b"', "^is no name for a branch"),
    Wrong('targets."../x"', "", "targets.../x", "cannot be the name of a target: a dot separates modules"),
]  # fmt: skip


@pytest.mark.parametrize(
    "wrong", WRONG, ids=lambda wrong: f"{wrong.section}-{wrong.text}"[:60].encode("unicode_escape")
)
def test_is_refused_in_the_words_of_its_file(wrong: Wrong) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(configuration(wrong.section, wrong.text), source="run.toml")
    assert [path for path, _ in caught.value.problems] == [wrong.path]
    assert re.search(wrong.says, caught.value.problems[0].text), str(caught.value)
    assert str(caught.value).startswith("run.toml: one problem.\n  ")


def test_the_configuration_that_they_are_made_from_is_right() -> None:
    assert list(parse_config(configuration()).branches) == ["audio", "video"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[dataset\n", r"is no TOML: Expected '\]' .*\(at line 1, column 9\)"),
        ("[dataset]\nname = npz", r"is no TOML: Invalid value \(at line 2, column 8\)"),
        ("[dataset]\nname = 'a'\nname = 'b'", r"Cannot overwrite a value .*; a key or table stands there twice"),
        ("[dataset]\n[dataset]", r"is no TOML: Cannot declare \('dataset',\) twice \(at line 2"),
        ("x = " + "[" * 20_000, "nested too deeply"),
        ("x = " + "{a=" * 20_000, "nested too deeply"),
        ("dataset = 3\nbranches = 3", "dataset: expected a table that names the data set, got 3"),
        ("dataset = 3\nbranches = 3", "branches: expected a table, got 3"),
        ("", "dataset: is missing: Where the samples come from"),
        ("", "branches: is missing: The modalities"),
        ("[dataset]\nname = 'npz'\npath = 'x'\n[branches]", r"branches: there is none; give at least one, such as"),
        ("[dataset]\npath = 'x'\n[branches.a]", r"dataset.name: is missing"),
        ("[dataset]\nname = 'npz'\npath = 'x'\n[[branches]]", "branches: expected a table, got "),
        (configuration("branches.audio", "[branches.audio.extractor.x.y]"), "extractor.x: Identity has no such option"),
        (configuration() + "".join(f"[branches.b{n}]\n" for n in range(63)), "branches: expected at most 64, got 65"),
    ],
)  # fmt: skip
def test_text_that_is_no_configuration(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config(text)


@pytest.mark.parametrize(
    ("override", "path", "says"),
    [
        ("training.epochs", "--set training.epochs", "^expected PATH=VALUE"),
        ("=3", "--set =3", "^expected PATH=VALUE"),
        ("a b=3", "--set a b=3", "'a b' is no path"),
        ("a..b=3", "--set a..b=3", "'a..b' is no path"),
        ("training.epochs=", "--set training.epochs", "^nothing is no TOML value"),
        ("model.network=n0", "--set model.network", "text is written in quotes: --set 'model.network=\"n0\"'"),
        ("training.epochs=3\n[model]", "--set training.epochs", "is no TOML value"),
        ("training.epochs=3\nmonitor='x'", "--set training.epochs", "is no TOML value"),
        ("training.seed.x=3", "--set training.seed.x", "training.seed is 0 and no table; set training.seed as a whole"),
        ("training.epohcs=3", "training.epohcs", r"did you mean 'epochs'\?.* It comes from --set training.epohcs=3"),
        ("x.y=3", "x", "no such key.* It comes from --set x.y=3"),
        ("training.epochs=0", "training.epochs", "^expected 1 or more, got 0. It comes from --set training.epochs=0"),
        (
            "branches.audio.extractor.name='os:system'",
            "branches.audio.extractor.name",
            "never imported.*--set branches",
        ),
        ("branches.audio.extractor.hop=1", "branches.audio.extractor.hop", "^Identity has no such option.*--set"),
        ("__class__.x=1", "__class__", "there is no such key"),
    ],
)
def test_overrides(override: str, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(configuration("training", "seed = 0"), [override])
    assert [problem.path for problem in caught.value.problems] == [path]
    assert re.search(says, caught.value.problems[0].text, re.DOTALL), str(caught.value)


def test_everything_is_said_at_once_and_in_order() -> None:
    text = configuration("branches.audio", "slice_seconds = -1\nextractor = { name = 'conv1d', chanels = [1] }")
    text += "[training]\nepochs = 0\nseed = -1\n[model]\nnetwork = 'n9'\n[folds]\ncount = 1\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, ["model.dropout=2", "training.keep=best"], source="run.toml")
    assert {problem.path for problem in caught.value.problems} == {
        "branches.audio.slice_seconds",
        "branches.audio.extractor.chanels",
        "training.epochs",
        "training.seed",
        "model.network",
        "model.dropout",
        "folds.count",
        "--set training.keep",
    }
    assert str(caught.value).startswith("run.toml: 8 problems.\n  --set training.keep: best is no TOML value")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "run.toml: one problem.\n  cannot be read: No such file or directory"),
        (b"\xff\xfe\x00", "is no TOML, which is UTF-8 text"),
        (b"#" * (2**20 + 1), "is larger than 1024 KiB"),
    ],
)
def test_files_that_are_none(content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load_config(tmp_path / "run.toml")


def test_a_folder_and_a_name_with_a_zero_byte_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        load_config("a\0b")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a fresh interpreter opened for writing, started or imported while it read every wrong configuration."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "evil.py").write_text("raise SystemExit('evil was imported')\n")
    program = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv[1])  # where evil.py lies
        sys.dont_write_bytecode = True
        from mrpnkit.config import parse_config
        from mrpnkit.errors import ConfigError
        from tests.test_hostile_config import WRONG, configuration
        parse_config(configuration("branches.audio", "extractor = { name = 'conv1d' }\\naggregator = { name = 'gru' }"))
        from mrpnkit.config.parts import KINDS
        for kind in KINDS.values():
            kind.registry.load_home()
        done, before = [], set(sys.modules)
        def watch(event, arguments):
            writes = event == "open" and arguments[1] not in (None, "r", "rb")
            acts = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.symlink", "os.link", "os.putenv")
            runs = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "exec", "socket.connect")
            if writes or event in (*acts, *runs):
                done.append(f"{event} {arguments}")
        sys.addaudithook(watch)
        count = 0
        names = ("evil", "evil:run", "os:system", "subprocess:run", "evil.run", "builtins:eval", "__import__('evil')")
        texts = [configuration(one.section, one.text) for one in WRONG]
        texts += [configuration("branches.audio", f"{key} = {{ name = {name!r} }}")
                  for key in ("extractor", "aggregator") for name in names if "'" not in name]
        texts += [configuration("dataset", f"name = {name!r}") for name in names]
        for text in texts:
            try:
                parse_config(text)
            except ConfigError:
                count += 1
        done.extend(f"import {name}" for name in sorted(set(sys.modules) - before))
        print(count == len(texts), len(texts))
        print(*done, sep="\\n")
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_no_configuration_imports_runs_or_writes_anything(watched: list[str]) -> None:
    every, number = watched[0].split()
    assert every == "True"
    assert int(number) > 80
    assert [line for line in watched[1:] if line] == []


FIXED = "group = 'a'\ntest = ['1']\n"


@pytest.mark.parametrize(
    ("folds", "path", "says"),
    [
        (f"{FIXED}count = 5", "folds.count", "^a fixed split is one fold, so that this has no effect; remove it"),
        (
            "group = 'a'\nvalidation_share = 0.2",
            "folds.validation_share",
            "^samples are drawn to validate only in a fi",
        ),
        (f"{FIXED}validation = ['2']\nvalidation_share = 0.2", "folds.validation_share", "^the groups of folds.valid"),
    ],
)
def test_a_key_of_folds_without_effect_is_refused_where_it_is_written(folds: str, path: str, says: str) -> None:
    """Also with the value that it has by default; in what was resolved before, defaults stand everywhere."""
    with pytest.raises(ConfigError) as caught:
        parse_config(configuration("folds", folds))
    ((found, text),) = caught.value.problems
    assert found == path
    assert re.search(says, text)
    *kept, wrong = folds.splitlines()
    right = parse_config(configuration("folds", "\n".join(kept)))
    assert parse_config(right.resolved()) == right
    override = f"folds.{wrong.replace(' ', '')}"
    for given in (right.resolved(), configuration("folds", "\n".join(kept))):
        with pytest.raises(ConfigError, match=f"It comes from --set {override}"):
            parse_config(given, [override])
