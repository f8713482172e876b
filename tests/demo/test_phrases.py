import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from demo.scenes.captions import COLORS, Item
from demo.scenes.phrases import say, shown
from demo.scenes.shapes import KINDS
from demo.training.train_clip import SILENCE, fit

ITEMS = st.lists(
    st.builds(Item, st.sampled_from(COLORS), st.sampled_from(KINDS)),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(ITEMS, st.integers(0, 2**32))
def test_what_is_said_of_a_scene_is_true_of_it(items: list[Item], seed: int) -> None:
    phrase = say(items, ("zebra",), np.random.default_rng(seed))
    assert (shown(items) * phrase.wanted == phrase.wanted).all()
    assert phrase.text
    assert phrase.wanted.sum() == phrase.count <= len(items)


@given(ITEMS, st.integers(0, 2**32))
def test_strange_words_are_the_only_strange_ones(items: list[Item], seed: int) -> None:
    text = say(items, (), np.random.default_rng(seed)).text
    assert "zebra" not in text
    with_strange = [say(items, ("zebra",), np.random.default_rng(n)).text for n in range(100)]
    assert any("zebra" in text for text in with_strange)


def test_fit_of_texts_to_pictures() -> None:
    star, ring = Item("red", "star"), Item("blue", "ring")
    alone = say([star], (), _Saying(0.0))
    both = say([ring, star], (), _Saying(0.0))
    pictures = [[star], [star, ring], [ring], [Item("red", "ring"), Item("blue", "star")]]
    fits = fit(pictures, [alone, both])
    expected: list[list[float]] = [[1, 0], [SILENCE, 1], [0, 0], [0, 0]]
    np.testing.assert_allclose(fits.numpy(), expected)


class _Saying(np.random.Generator):
    """A generator whose uniform numbers are all the same, to choose what is said."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._value = value

    def uniform(self) -> float:  # type: ignore[override]  # only this form is used
        return self._value
