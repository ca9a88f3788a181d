"""What is covered, as spans, is what is covered as a set of moments."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from history.spans import Spans

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


@given(spans, st.integers(-3, 43), st.integers(-3, 43))
def test_gaps_are_the_moments_that_were_never_added(added, start, end):
    made, moments = Spans(), set()
    for low, high in added:
        made.add(low, high)
        moments |= set(range(low, high))
    gaps = made.gaps(start, end)

    assert {moment for low, high in gaps for moment in range(low, high)} == set(range(start, end)) - moments
    assert all(low < high for low, high in gaps)
    assert all(before[1] < after[0] for before, after in pairwise(gaps))
    assert made.first() == (min(moments) if moments else None)
