"""Fetching files over HTTP: checked, resumed where the connection broke, and there whole or not at all."""

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrpnkit.errors import CorpusError

CHUNK = 1 << 20
PATIENCE = 60.0
"""Seconds without a byte after which a connection is taken for broken."""
AGENT = "mrpnkit-examples"
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers of a server that may be other ones later."""

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file that can be fetched.

    Args:
        url: where it is.
        size: in bytes; None where nobody tells.
        checksum: ``"md5:…"`` or ``"sha256:…"`` as its publisher gives it; None where the publisher gives none.
        headers: that the server asks for.
    """

    url: str
    size: int | None
    checksum: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch(remote: Remote, path: Path, *, advance: Advance | None = None, attempts: int = 6, pause: float = 1.0) -> Path:
    """Fetches a file to ``path``; what is there and right already is left alone.

    Bytes go to ``path.part``, and a later call goes on behind them. The file gets its name when its size and its
    checksum are right. A file that comes out wrong is fetched once more from its beginning.

    Args:
        remote: the file.
        path: where it is put; its folder is made.
        advance: told of bytes as they come, of those found already, and with a negative number of those thrown away.
        attempts: how often a broken connection is taken up again without a new byte.
        pause: seconds before the first new attempt; doubled each time.

    Raises:
        CorpusError: the server refuses, the connection stays broken, or the file comes out wrong twice.
    """
    tell = advance or (lambda count: None)
    if path.is_file() and _fault(path, remote) is None:
        tell(path.stat().st_size)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    fault: str | None = None
    for _ in range(2):
        _complete(remote, part, tell, attempts, pause)
        fault = _fault(part, remote)
        if fault is None:
            part.replace(path)
            return path
        tell(-part.stat().st_size)
        part.unlink()
    raise CorpusError(f"{remote.url} came out wrong twice: {fault}. Try again later; nothing was kept of it.")


def fetch_json(url: str, *, content: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON that a server answers; with ``content``, to a POST of it.

    Raises:
        CorpusError: the server refuses, cannot be reached, or answers something else.
    """
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"User-Agent": AGENT, "Accept": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise CorpusError(f"{url} answers {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise CorpusError(f"{url} cannot be reached: {error}. Is this machine on the internet?") from error
    except ValueError as error:
        raise CorpusError(f"{url} answers something that is no JSON: {error}.") from error


def checksum_of(path: Path, kind: str) -> str:
    """``kind:digest`` of a file.

    Raises:
        CorpusError: a kind that is not known here.
    """
    if kind not in ("md5", "sha256", "sha512", "sha1"):
        raise CorpusError(f"The checksum {kind!r} is not known here; expected md5, sha1, sha256 or sha512.")
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _fault(path: Path, remote: Remote) -> str | None:
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"it has {size} bytes, expected {remote.size}"
    if remote.checksum is not None:
        found = checksum_of(path, remote.checksum.partition(":")[0])
        if found != remote.checksum.lower():
            return f"its checksum is {found}, expected {remote.checksum}"
    return None


def _complete(remote: Remote, part: Path, tell: Advance, attempts: int, pause: float) -> None:
    """Fetches until all bytes are there."""
    held = part.stat().st_size if part.is_file() else 0
    if held and (remote.size is None or held > remote.size):
        part.unlink()  # without a size nobody can tell what is missing
        held = 0
    tell(held)
    part.touch()
    idle = 0
    while remote.size is None or held < remote.size:
        reason = "the connection was closed"
        ended = False
        try:
            ended = _receive(remote, part, held, tell)
        except urllib.error.HTTPError as error:
            if error.code not in PASSING and not (error.code == 416 and held):
                raise CorpusError(
                    f"{remote.url} answers {error.code} {error.reason}; nothing can be fetched."
                ) from error
            if error.code == 416:
                tell(-held)
                part.unlink()
            reason = f"it answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # of the disk, not of the network
            reason = str(error) or type(error).__name__
        now = part.stat().st_size if part.is_file() else 0
        if ended and remote.size is None:
            return
        idle = 0 if now > held else idle + 1
        held = now
        if idle >= attempts:
            raise CorpusError(
                f"{remote.url} cannot be fetched: {reason}. {held} bytes are kept in {part}; the same command goes on."
            )
        if remote.size is not None and held < remote.size:
            time.sleep(pause * 2 ** min(idle, 6))


def _receive(remote: Remote, part: Path, held: int, tell: Advance) -> bool:
    """Appends what the server sends; True where it said how much and that has come."""
    headers = {"User-Agent": AGENT, **remote.headers, **({"Range": f"bytes={held}-"} if held else {})}
    request = urllib.request.Request(remote.url, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        if held and not goes_on:
            tell(-held)  # the server starts again
        received = 0
        with part.open("ab" if held and goes_on else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                received += len(chunk)
                tell(len(chunk))
        announced = response.headers.get("Content-Length")
        return announced is None or int(announced) == received
