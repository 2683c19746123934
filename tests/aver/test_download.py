"""Downloads from a server on this machine: whole, resumed, broken off, wrong; archives that are not to be trusted."""

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from rich.console import Console

from examples.aver.sources import read_cremad
from examples.aver.sources.archives import unpack_tar, unpack_zip
from examples.aver.sources.download import download_cremad, download_ravdess
from examples.aver.sources.lfs import Pointer, read_pointer, resolve
from examples.aver.sources.transfer import Remote, fetch
from examples.aver.sources.zenodo import record_files
from mrpnkit.errors import CorpusError, InputError
from tests.aver.local_server import Site, serving

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as served:
        yield served


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def remote(site: Site, content: bytes = CONTENT, path: str = "/file") -> Remote:
    site.files.setdefault(path, content)
    return Remote(url=site.url + path, size=len(content), checksum=md5(content))


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def said(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_file_is_fetched_once(site: Site, tmp_path: Path) -> None:
    counts: list[int] = []
    path = fetch(remote(site), tmp_path / "a" / "file", advance=counts.append)
    assert path.read_bytes() == CONTENT
    assert sum(counts) == len(CONTENT)
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    fetch(remote(site), path)
    assert len(site.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.cut_after["/file"] = [10_000, 20_000]
    counts: list[int] = []
    path = fetch(remote(site), tmp_path / "file", advance=counts.append, pause=0)
    assert path.read_bytes() == CONTENT
    assert [asked for _, _, asked in site.asked] == [None, "bytes=10000-", "bytes=30000-"]
    assert sum(counts) == len(CONTENT)


def test_a_later_call_goes_on(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:5000])
    assert fetch(remote(site), tmp_path / "file").read_bytes() == CONTENT
    assert site.asked[0][2] == "bytes=5000-"
    assert not (tmp_path / "file.part").exists()


def test_a_server_that_cannot_go_on_starts_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / "file.part").write_bytes(b"x" * 5000)
    counts: list[int] = []
    assert fetch(remote(site), tmp_path / "file", advance=counts.append).read_bytes() == CONTENT
    assert sum(counts) == len(CONTENT)


def test_a_wrong_beginning_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 5000)
    counts: list[int] = []
    assert fetch(remote(site), tmp_path / "file", advance=counts.append).read_bytes() == CONTENT
    assert [asked for _, _, asked in site.asked] == ["bytes=5000-", None]
    assert sum(counts) == len(CONTENT)


def test_a_wrong_file_is_never_kept(site: Site, tmp_path: Path) -> None:
    good = remote(site)
    site.files["/file"] = CONTENT[:-1] + b"?"
    with pytest.raises(CorpusError, match=r"came out wrong twice: its checksum is md5:.*, expected md5:"):
        fetch(good, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    assert len(site.asked) == 2


def test_a_file_that_is_there_and_wrong_is_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[::-1])
    assert fetch(remote(site), tmp_path / "file").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(site: Site, tmp_path: Path) -> None:
    site.failures["/file"] = [503, 429]
    assert fetch(remote(site), tmp_path / "file", pause=0).read_bytes() == CONTENT
    site.failures["/other"] = [403]
    with pytest.raises(CorpusError, match=r"/other answers 403 .*nothing can be fetched"):
        fetch(remote(site, path="/other"), tmp_path / "other", pause=0)


def test_a_connection_that_stays_broken(site: Site, tmp_path: Path) -> None:
    site.cut_after["/file"] = [1000, *[0] * 10]
    with pytest.raises(CorpusError, match=r"cannot be fetched: .* 1000 bytes are kept in .*file\.part"):
        fetch(remote(site), tmp_path / "file", pause=0, attempts=3)
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:1000]


def test_a_file_of_unknown_size(site: Site, tmp_path: Path) -> None:
    site.files["/file"] = CONTENT
    (tmp_path / "file.part").write_bytes(b"old")
    path = fetch(Remote(url=f"{site.url}/file", size=None, checksum=None), tmp_path / "file")
    assert path.read_bytes() == CONTENT
    assert fetch(Remote(url=f"{site.url}/empty", size=0, checksum=md5(b"")), tmp_path / "empty").read_bytes() == b""


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    nobody = Remote(url="http://127.0.0.1:9/file", size=3, checksum=md5(b"abc"))
    with pytest.raises(CorpusError, match=r"cannot be fetched: .*refused"):
        fetch(nobody, tmp_path / "file", pause=0, attempts=2)
    with pytest.raises(CorpusError, match=r"cannot be reached: .*Is this machine on the internet"):
        record_files("1", api="http://127.0.0.1:9")


def record(*files: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1188976, "files": list(files)}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"message": "gone"}, r"is no record as it is known here: KeyError"),
        (record({"key": "a", "size": 1, "checksum": "abc", "links": {"self": "u"}}), r"'abc' is no checksum"),
        (record(), r"lists no files"),
    ],
)
def test_records_that_are_none(site: Site, answer: dict[str, Any], text: str) -> None:
    site.answers["/records/1188976"] = answer
    with pytest.raises(CorpusError, match=text):
        record_files("1188976", api=site.url)


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def actor_archive(actor: int) -> bytes:
    names = [f"Actor_{actor:02d}/{modality}-01-03-01-01-01-{actor:02d}.mp4" for modality in ("01", "02")]
    return zipped({name: name.encode() * 200 for name in names} | {"readme.txt": b"x", f"__MACOSX/._{names[0]}": b"y"})


def zenodo(site: Site, *actors: int) -> None:
    entries = []
    for actor in actors:
        name = f"Video_Speech_Actor_{actor:02d}.zip"
        content = actor_archive(actor)
        site.files[f"/files/{name}"] = content
        link = {"self": f"{site.url}/files/{name}"}
        entries.append({"key": name, "size": len(content), "checksum": md5(content), "links": link})
    site.answers["/records/1188976"] = record(*entries)


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_ravdess_is_fetched_and_unpacked(site: Site, tmp_path: Path) -> None:
    zenodo(site, 1, 2)
    site.cut_after["/files/Video_Speech_Actor_02.zip"] = [100]
    console = quiet()
    download_ravdess(tmp_path, console, actors=["1", "02"], api=site.url)
    wanted = [f"Actor_{a:02d}/{m}-01-03-01-01-01-{a:02d}.mp4" for a in (1, 2) for m in ("01", "02")]
    notes = [f"archives/Video_Speech_Actor_{a:02d}.zip.json" for a in (1, 2)]
    assert tree(tmp_path) == [*wanted, *notes]
    assert (tmp_path / wanted[0]).read_bytes() == wanted[0].encode() * 200
    assert "0 of 2 actors are there" in said(console)
    asked = len(site.asked)
    again = quiet()
    download_ravdess(tmp_path, again, actors=["1", "2"], api=site.url)
    assert len(site.asked) == asked + 1  # the record alone
    assert "2 of 2 actors are there; 0.00 GB to fetch" in said(again)


def test_a_lost_movie_is_fetched_again(site: Site, tmp_path: Path) -> None:
    zenodo(site, 1)
    download_ravdess(tmp_path, quiet(), actors=["1"], keep_archives=True, api=site.url)
    lost = tmp_path / "Actor_01" / "01-01-03-01-01-01-01.mp4"
    lost.unlink()
    asked = len(site.asked)
    download_ravdess(tmp_path, quiet(), actors=["1"], api=site.url)
    assert lost.is_file()
    assert len(site.asked) == asked + 1  # the archive was kept
    assert not (tmp_path / "archives" / "Video_Speech_Actor_01.zip").exists()


def test_ravdess_mistakes(site: Site, tmp_path: Path) -> None:
    zenodo(site, 1)
    with pytest.raises(InputError, match=r"RAVDESS has the actors 1 to 24, got '25'"):
        download_ravdess(tmp_path, quiet(), actors=["25"], api=site.url)
    with pytest.raises(CorpusError, match=r"lists no Video_Speech_Actor_03\.zip; has the record changed"):
        download_ravdess(tmp_path, quiet(), actors=["3"], api=site.url)


def pointer(content: bytes) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize {len(content)}\n".encode()


def cremad(site: Site, movies: dict[str, bytes]) -> None:
    """The archive of the repository with pointers, and the server that they point to."""
    file = io.BytesIO()
    members = {f"VideoFlash/{name}.flv": pointer(content) for name, content in movies.items()}
    members |= {
        "VideoDemographics.csv": b"ActorID,Sex\n1001,Male\n",
        "processedResults/summaryTable.csv": b"FileName\n",
    }
    members |= {"setup.py": b"evil", "VideoFlash/other.flv": b"x"}
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"CREMA-D-master/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    site.files["/archive"] = file.getvalue()
    for content in movies.values():
        site.files[f"/objects/{sha256(content)}"] = content

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["operation"] == "download"
        entries = []
        for entry in asked["objects"]:
            action = {"href": f"{site.url}/objects/{entry['oid']}", "header": {"X-Token": "t"}}
            entries.append({**entry, "actions": {"download": action}})
        return {"transfer": "basic", "objects": entries}

    site.answers["/lfs/objects/batch"] = answer


MOVIES = {
    f"{actor}_DFA_{code}_XX": f"{actor}{code}".encode() * 500 for actor in (1001, 1002) for code in ("ANG", "SAD")
}


def test_cremad_is_fetched_from_git_lfs(site: Site, tmp_path: Path) -> None:
    cremad(site, MOVIES)
    where = {"archive": f"{site.url}/archive", "server": f"{site.url}/lfs"}
    download_cremad(tmp_path, quiet(), actors=["1001"], **where)
    assert sorted(path.stem for path in (tmp_path / "VideoFlash").iterdir()) == ["1001_DFA_ANG_XX", "1001_DFA_SAD_XX"]
    found = read_cremad(tmp_path)
    assert [clip.id for clip in found.clips] == ["1001_DFA_ANG_XX", "1001_DFA_SAD_XX"]
    assert found.left_out == ()  # the pointers are no movies of the folder
    download_cremad(tmp_path, quiet(), **where)
    for name, content in MOVIES.items():
        assert (tmp_path / "VideoFlash" / f"{name}.flv").read_bytes() == content
    assert (tmp_path / "VideoDemographics.csv").is_file()
    assert (tmp_path / "processedResults" / "summaryTable.csv").is_file()
    assert not (tmp_path / "setup.py").exists()
    paths = [path for _, path, _ in site.asked]
    assert paths.count("/archive") == 1
    assert len([path for path in paths if path.startswith("/objects/")]) == 4
    with pytest.raises(InputError, match=r"no movies of the actor 2000; it has 1001 to 1002"):
        download_cremad(tmp_path, quiet(), actors=["2000"], **where)


def test_a_wrong_movie_is_refused(site: Site, tmp_path: Path) -> None:
    cremad(site, MOVIES)
    first = MOVIES["1001_DFA_ANG_XX"]
    site.files[f"/objects/{sha256(first)}"] = first[::-1]
    with pytest.raises(CorpusError, match=r"came out wrong twice: its checksum is sha256:"):
        download_cremad(tmp_path, quiet(), archive=f"{site.url}/archive", server=f"{site.url}/lfs")
    assert not (tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv").exists()


def test_the_archive_of_cremad_is_broken(site: Site, tmp_path: Path) -> None:
    site.files["/archive"] = gzip.compress(b"x" * 5000)[:-20]
    with pytest.raises(CorpusError, match=r"repository\.tar\.gz cannot be unpacked: .*Remove it and fetch it again"):
        download_cremad(tmp_path, quiet(), archive=f"{site.url}/archive", server=f"{site.url}/lfs")


def test_pointers(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    path.write_bytes(pointer(b"abc"))
    assert read_pointer(path) == Pointer(sha256(b"abc"), 3)
    path.write_bytes(b"FLV\x01 a movie")
    assert read_pointer(path) is None
    asked = Pointer("0" * 64, 3)
    error = {"code": 404, "message": "Object does not exist"}
    site.answers["/lfs/objects/batch"] = {"objects": [{"oid": asked.oid, "size": 3, "error": error}]}
    with pytest.raises(CorpusError, match=r"does not give the file 0000.*: 404 Object does not exist"):
        list(resolve([asked], server=f"{site.url}/lfs"))
    site.answers["/lfs/objects/batch"] = {"message": "x"}
    with pytest.raises(CorpusError, match=r"answers what is no batch of Git LFS"):
        list(resolve([asked], server=f"{site.url}/lfs"))


def anywhere(member: PurePosixPath) -> Path:
    return Path(member)


@pytest.mark.parametrize("name", ["../evil.mp4", "/tmp/evil.mp4", "a/../../evil.mp4", "..\\evil.mp4"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zipped({name: b"evil"}))
    with pytest.raises(CorpusError, match=r"leads out of its folder; it is not unpacked"):
        unpack_zip(archive, tmp_path / "out", anywhere)
    with tarfile.open(tmp_path / "archive.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(CorpusError, match=r"leads out of its folder; it is not unpacked"):
        unpack_tar(tmp_path / "archive.tar", tmp_path / "out", anywhere)
    assert tree(tmp_path) == ["archive.tar", "archive.zip"]


def test_links_are_not_unpacked(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.mp4")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert unpack_zip(tmp_path / "archive.zip", tmp_path / "out", anywhere) == []
    entry = tarfile.TarInfo("link.mp4")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "archive.tar", "w") as tar:
        tar.addfile(entry)
    assert unpack_tar(tmp_path / "archive.tar", tmp_path / "out", anywhere) == []


def test_members_that_python_cannot_unpack(tmp_path: Path) -> None:
    """Of a compression that zipfile does not know, or encrypted."""
    plain = zipped({"a.mp4": CONTENT})
    for name, local, central, value in (("other", 8, 10, 97), ("locked", 6, 8, 1)):
        content = bytearray(plain)
        for signature, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
            at = content.index(signature) + place
            content[at : at + 2] = value.to_bytes(2, "little")
        (tmp_path / f"{name}.zip").write_bytes(content)
        with pytest.raises(CorpusError, match=rf"{name}\.zip cannot be unpacked: .*Remove it and fetch it again"):
            unpack_zip(tmp_path / f"{name}.zip", tmp_path / "out", anywhere)
        assert not list(tmp_path.glob("out/*"))


def test_a_damaged_member_is_not_written(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.mp4": CONTENT}))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "archive.zip").write_bytes(content)
    with pytest.raises(CorpusError, match=r"archive\.zip cannot be unpacked: .*Remove it and fetch it again"):
        unpack_zip(tmp_path / "archive.zip", tmp_path / "out", anywhere)
    assert not (tmp_path / "out" / "a.mp4").exists()


def test_what_is_unpacked_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(zipped({"a.mp4": b"right", "b.mp4": b"right"}))
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_bytes(b"right")
    (out / "b.mp4").write_bytes(b"wrong")
    before = (out / "a.mp4").stat().st_mtime_ns
    unpack_zip(tmp_path / "archive.zip", out, anywhere)
    assert (out / "a.mp4").stat().st_mtime_ns == before
    assert (out / "b.mp4").read_bytes() == b"right"
