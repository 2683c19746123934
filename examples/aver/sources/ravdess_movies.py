"""RAVDESS movies of speech, as their authors publish them (Livingstone and Russo, 2018, Zenodo record 1188976).

``Video_Speech_Actor_01.zip`` … ``24`` hold ``Actor_01/01-01-06-01-02-01-01.mp4``, with pictures and sound, and
``02-01-06-01-02-01-01.mp4``, the same take without its sound. What a name says is told in
:mod:`examples.aver.ravdess_official`. Only ``01`` counts: 24 actors with 60 takes are 1,440 clips. Whether a clip has
sound is what its name says; some of the ``02`` files do carry a stream of sound.
"""

from itertools import product
from pathlib import Path

from examples.aver.clips import EMOTIONS
from examples.aver.ravdess_official import INTENSITIES, Name, decode_name, survey, why_not
from examples.aver.sources.cremad import NAME as CREMAD_NAME
from examples.aver.sources.inventory import MOVIES, Inventory, LeftOut, MovieClip, SoundFrom, files_below, once
from mrpnkit.errors import CorpusError

ACTORS = 24
KINDS = {2: "the same takes without sound (02)", 3: "sound only (03)"}


def read_ravdess_movies(folder: Path, *, sound: SoundFrom = "movie") -> Inventory:
    """All audio-video clips of speech anywhere below ``folder``, sorted by actor and then by name.

    Args:
        folder: everything below it is looked at. Names that look like those of RAVDESS and are none, and movies of
            CREMA-D, are told as left out; files with other names are passed over.
        sound: ``"recording"`` takes the sound from the recording of the same take (``03-….wav``, or ``01-….wav``
            beside the movie), where there is one.

    Raises:
        CorpusError: no such folder, no clip in it, or two files of one name and different size.
    """
    found: dict[str, Path] = {}
    left_out = []
    for path in files_below(folder, MOVIES):
        try:
            name = decode_name(path.stem)
        except CorpusError:
            wrong = why_not(path.stem)
            if wrong is not None:
                left_out.append(LeftOut(path, f"named like RAVDESS, but {wrong}"))
            elif CREMAD_NAME.fullmatch(path.stem):
                left_out.append(LeftOut(path, "of CREMA-D, in a folder of RAVDESS (prepare it with --source cremad)"))
            continue
        if name.channel != 1:
            left_out.append(LeftOut(path, "song, not speech"))
        elif name.modality != 1:
            left_out.append(LeftOut(path, KINDS[name.modality]))
        elif not once(found, name.clip, path):
            left_out.append(LeftOut(path, "here twice"))
    if not found:
        raise CorpusError(
            f"Below {folder} is no RAVDESS movie of speech with sound, such as Actor_12/01-01-06-01-02-01-12.mp4; "
            "unpack Video_Speech_Actor_01.zip to 24 of Zenodo record 1188976 there."
        )
    recordings = survey(folder).audio if sound == "recording" else {}
    names = sorted((decode_name(f"01-{clip}") for clip in found), key=lambda name: (name.actor, name))
    missing = sorted(expected_clips() - found.keys(), key=lambda clip: (clip[-2:], clip))
    return Inventory(
        "RAVDESS movies",
        EMOTIONS,
        tuple(_clip(name, found[name.clip], recordings.get(name.clip)) for name in names),
        len(expected_clips()),
        tuple(missing),
        tuple(left_out),
    )


def expected_clips() -> set[str]:
    """The ids of all 1,440 clips; neutral has no strong intensity.

    >>> len(expected_clips()), "01-01-01-02-01-12" in expected_clips(), "01-01-02-02-01-12" in expected_clips()
    (1440, True, False)
    """
    takes = product(range(1, len(EMOTIONS) + 1), INTENSITIES, (1, 2), (1, 2), range(1, ACTORS + 1))
    return {Name(1, 1, *take).clip for take in takes if take[:2] != (1, 2)}


def _clip(name: Name, movie: Path, wave: Path | None) -> MovieClip:
    return MovieClip(
        id=name.clip,
        movie=movie,
        wave=wave,
        actor=str(name.actor),
        sex="male" if name.actor % 2 else "female",
        emotion=EMOTIONS[name.emotion - 1],
        attributes={
            "intensity": INTENSITIES[name.intensity],
            "statement": str(name.statement),
            "repetition": str(name.repetition),
        },
    )
