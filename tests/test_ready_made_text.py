"""Language networks of transformers as extractors, and what is never done when a model is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mrpnkit import Sequences
from mrpnkit.errors import InputError
from mrpnkit.extractors import EXTRACTORS, TextHF
from mrpnkit.testing import check_configuration, check_extractor

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'mrpnkit[hub]'")
WORDS = 30
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def tokens(count: int) -> Tensor:
    return torch.randint(2, WORDS, (count,))


def saved(folder: Path, kind: str) -> str:
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(vocab_size=WORDS, max_position_embeddings=20, **SIZES)
    elif kind == "roberta":
        config = transformers.RobertaConfig(vocab_size=WORDS, max_position_embeddings=22, pad_token_id=1, **SIZES)
    elif kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=WORDS, n_positions=20, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
        )
    else:
        config = transformers.T5Config(vocab_size=WORDS, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["bert", "roberta", "gpt2", "t5"])
def any_model(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return saved(tmp_path / request.param, request.param)


@pytest.fixture
def bert(tmp_path: Path) -> str:
    return saved(tmp_path / "bert", "bert")


def test_it_keeps_the_contract(any_model: str) -> None:
    check_extractor(lambda width: TextHF(width, model=any_model, chunk=2), 1, make_steps=tokens)


def test_options_are_a_schema() -> None:
    check_configuration(EXTRACTORS["text_hf"], {"model": "folder", "freeze": 1})
    assert EXTRACTORS.describe("text_hf").weights_licence


def test_it_is_the_network_on_each_text(bert: str) -> None:
    """Against transformers alone, text by text, without padding or mask."""
    network = transformers.BertModel.from_pretrained(bert).eval()
    texts = [tokens(7), tokens(0), tokens(1), tokens(20)]
    with torch.no_grad():
        given = TextHF(model=bert, chunk=4).eval()(Sequences.of([text[:, None] for text in texts]))
        for text, result in zip(texts, given.unbind(), strict=True):
            if len(text):
                expected = network(input_ids=text[None]).last_hidden_state[0]
                torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)
    assert given.lengths.tolist() == [7, 0, 1, 20]


def test_random_weights_come_from_the_seed(bert: str) -> None:
    torch.manual_seed(3)
    one = TextHF(model=bert, weights="random").state_dict()
    torch.manual_seed(3)
    two = TextHF(model=bert, weights="random").state_dict()
    stored = TextHF(model=bert).state_dict()
    name = "network.embeddings.word_embeddings.weight"
    assert torch.equal(one[name], two[name])
    assert not torch.equal(one[name], stored[name])


def test_stages_are_embeddings_then_blocks(bert: str) -> None:
    part = TextHF(model=bert, freeze=2)
    held = {name.split(".")[1:4][-1] for name, p in part.named_parameters() if not p.requires_grad and "layer." in name}
    assert held == {"0"}
    assert not any(p.requires_grad for p in part.network.embeddings.parameters())  # type: ignore[union-attr]
    assert not part.network.embeddings.training  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (torch.zeros(3, 1), "type torch.float32; expected token ids"),
        (torch.zeros(3, 2, dtype=torch.int64), r"steps of shape \(2,\) and type torch.int64; expected token ids"),
        (torch.tensor([1, WORDS]), "token ids from 1 to 30; this network knows 0 to 29"),
        (torch.tensor([-1, 3]), "token ids from -1 to 3"),
        (torch.ones(21, dtype=torch.int64), "a sample of 21 tokens; this network reads 20"),
    ],
)
def test_it_refuses_steps(bert: str, steps: Tensor, text: str) -> None:
    with pytest.raises(InputError, match=f"TextHF was given {text}" if text.startswith(("token", "a s")) else text):
        TextHF(model=bert)(Sequences.of([steps]))


def test_roberta_counts_its_places(tmp_path: Path) -> None:
    """Its positions start behind the padding's: 22 places hold 20 tokens."""
    part = TextHF(model=saved(tmp_path / "r", "roberta")).eval()
    part(Sequences.of([tokens(20)]))
    with pytest.raises(InputError, match="a sample of 21 tokens; this network reads 20"):
        part(Sequences.of([tokens(21)]))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TextHF: there is no folder '/.*none'; expected one with config.json"):
        TextHF(model=str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"TextHF: '.*empty' cannot be loaded: "):
        TextHF(model=str(tmp_path / "empty"))


def test_pickles_are_never_read(bert: str, tmp_path: Path) -> None:
    """A pickle that would run a command when read."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (Path(bert) / "model.safetensors").unlink()
    torch.save({"x": Trap()}, Path(bert) / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded: OSError"):
        TextHF(model=bert)
    assert not (tmp_path / "sprung").exists()


def test_code_of_a_model_is_never_run(bert: str, tmp_path: Path) -> None:
    description = json.loads((Path(bert) / "config.json").read_text())
    description |= {"model_type": "trap", "auto_map": {"AutoConfig": "trap.Config", "AutoModel": "trap.Model"}}
    (Path(bert) / "config.json").write_text(json.dumps(description))
    (Path(bert) / "trap.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'sprung')!r})\n")
    with pytest.raises(InputError, match="cannot be loaded: "):
        TextHF(model=bert)
    assert not (tmp_path / "sprung").exists()


def test_missing_weights_are_an_error(bert: str) -> None:
    from safetensors.torch import load_file, save_file

    file = Path(bert) / "model.safetensors"
    tensors = load_file(file)
    kept = {name: value for name, value in tensors.items() if "layer.1." not in name and "pooler" not in name}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack \d+ weights of BertModel, the first is encoder.layer.1"):
        TextHF(model=bert)


def test_without_its_package_an_extractor_says_how_to_get_it() -> None:
    """In a process of its own, where the packages cannot be imported, though the extractors can."""
    needed = {
        "text_hf": "transformers",
        "audio_hf": "transformers",
        "vision_hf": "transformers",
        "frames_timm": "timm",
        "video_torchvision": "torchvision",
        "speech_torchaudio": "torchaudio",
    }
    program = f"""
import sys
needed = {needed!r}
sys.modules.update(dict.fromkeys(needed.values()))
from mrpnkit.errors import DependencyError
from mrpnkit.extractors import EXTRACTORS
for name in needed:
    try:
        EXTRACTORS[name](1, **({{"model": "x"}} if name.endswith("_hf") else {{}}))
    except DependencyError as error:
        print(name, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(needed)
    for line, (name, package) in zip(lines, needed.items(), strict=True):
        extra = "hub" if package == "transformers" else "av"
        assert line.startswith(f"{name} ")
        assert line.endswith(f"needs the package {package!r}. Install it: pip install 'mrpnkit[{extra}]'")


def test_nothing_is_loaded_with_the_extractors() -> None:
    program = (
        "import sys, mrpnkit.extractors, mrpnkit.data.datasets\n"
        "print(*({'timm', 'torchvision', 'torchaudio', 'transformers', 'datasets', 'pyarrow', 'soundfile', 'PIL'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
