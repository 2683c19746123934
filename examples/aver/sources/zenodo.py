"""The files of a Zenodo record, with the sizes and checksums that Zenodo gives."""

from typing import Any

from examples.aver.sources.transfer import Remote, fetch_json
from mrpnkit.errors import CorpusError

API = "https://zenodo.org/api"


def record_files(record: str, *, api: str = API) -> dict[str, Remote]:
    """All files of a record by name.

    Raises:
        CorpusError: Zenodo cannot be reached or answers something that is no record with checksums.
    """
    url = f"{api}/records/{record}"
    answer: Any = fetch_json(url)
    try:
        files = {
            str(entry["key"]): Remote(
                url=str(entry["links"]["self"]), size=int(entry["size"]), checksum=_checksum(entry["checksum"])
            )
            for entry in answer["files"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{url} is no record as it is known here: {type(error).__name__}: {error}.") from error
    if not files:
        raise CorpusError(f"{url} lists no files.")
    return files


def _checksum(text: str) -> str:
    kind, separator, digest = text.partition(":")
    if not (separator and kind and digest):
        raise ValueError(f"{text!r} is no checksum; expected md5:…")
    return text
