"""Slices of movies, where a container does not say where its key pictures are."""

from pathlib import Path

import av
import pytest

from examples.aver.movies import Pictures
from examples.aver.movies.pictures import Damage
from tests.aver.movie_files import grey_levels, level_of

@pytest.mark.parametrize("start", [0.3, 1.3, 2.2])
@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_a_slice_where_key_pictures_cannot_be_sought(tmp_path: Path, ending: str, start: float) -> None:
    path = tmp_path / f"movie.{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.options = {"g": "60"}
        for place, frame in enumerate(grey_levels(75)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = place
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    whole = [(picture.time, level_of(picture.rgb())) for picture in Pictures(path)]
    pictures = Pictures(path, start=start, end=start + 0.5)
    part = [(picture.time, level_of(picture.rgb())) for picture in pictures]
    first = max(place for place, (time, _) in enumerate(whole) if time <= start)
    assert part == [seen for seen in whole[first:] if seen[0] < start + 0.5]
    assert pictures.damage == Damage(0, 0, False)
