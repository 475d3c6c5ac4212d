"""Films hold all their frames and call no address."""

import base64
import io
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mmlib.plots.film import film


def frames_of(text: str) -> list[np.ndarray]:
    packed = json.loads(re.search(r"frames = (\[.*?\]), labels", text).group(1))
    return [plt.imread(io.BytesIO(base64.b64decode(one))) for one in packed]


def test_frames_come_back_pixel_by_pixel() -> None:
    images = [np.linspace(0, 1, 12).reshape(3, 4), np.zeros((3, 4))]
    text = film(images, ["a", "b"], "two pictures", start=1).data
    for frame, image in zip(frames_of(text), images, strict=True):
        np.testing.assert_allclose(frame[:, :, 0], image, atol=1 / 255)
    assert 'value="1"' in text and ">b</output>" in text
    colour = np.random.default_rng(0).random((2, 2, 3))
    np.testing.assert_allclose(
        frames_of(film([colour], ["a"], "x").data)[0][:, :, :3], colour, atol=1 / 255
    )


def test_figures_are_closed_and_equal_films_equal() -> None:
    def made() -> str:
        figure, ax = plt.subplots(figsize=(1, 1))
        ax.plot([0, 1])
        return film([figure], ["one"], "a line").data

    assert made() == made() and not plt.get_fignums()


def test_calls_no_address_and_escapes_text() -> None:
    text = film([np.zeros((2, 2))], ["</script><b>"], 'a "b" <c>', caption="<i>").data
    assert not re.search(r"https?:", text)
    assert (
        text.count("</script>") == 1 and "<b>" not in text.replace("<\\/", "").split("<script>")[0]
    )
    assert "&quot;b&quot; &lt;c&gt;" in text and "&lt;i&gt;" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([], [], "x"), "frames: expected at least one"),
        (([np.zeros((2, 2))], ["a", "b"], "x"), "labels: expected 1, one per frame, but got 2"),
        (([np.zeros((2, 2))], ["a"], " "), "alt: expected a description"),
        (([np.zeros((2, 2, 4))], ["a"], "x"), "frames: expected images"),
    ],
)
def test_refuses(given: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        film(*given)


def test_refuses_a_start_outside() -> None:
    with pytest.raises(ValueError, match="start: expected an integer"):
        film([np.zeros((2, 2))], ["a"], "x", start=1)
