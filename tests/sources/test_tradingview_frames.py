"""TradingView's framing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.tradingview_frames import Frame, encode_frame, resume_within, split_frames, utf16_length


def payloads(message):
    return [frame.payload for frame in split_frames(message) if not frame.fault]


def faults(message):
    return [frame.fault for frame in split_frames(message) if frame.fault]


def test_the_recorded_batch_holds_eleven_messages(recorded):
    line = (recorded / "tradingview" / "hector53-cbot-bidask-2023.txt").read_text().strip()

    frames = list(split_frames(line.removeprefix("in\t")))

    assert len(frames) == 11
    assert [frame.fault for frame in frames] == [""] * 11


def test_a_length_counts_javascripts_characters():
    """The euro sign is one unit and three bytes; the smile beyond the basic plane is two units and one letter."""
    assert [utf16_length(text) for text in ("abc", "€", "🙂")] == [3, 1, 2]
    assert encode_frame('{"n":"🙂€"}') == '~m~11~m~{"n":"🙂€"}'


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=6))
def test_what_is_framed_comes_back(texts):
    """Whatever is in the strings: letters beyond the basic plane too."""
    whole = [text for text in texts if "~m~" not in text]

    assert payloads("".join(map(encode_frame, whole))) == whole


def test_a_payload_may_contain_the_marker():
    """By length, not by search: a description with ~m~4~m~ in it is one string of one message."""
    payload = '{"description":"~m~4~m~~h~1"}'

    assert payloads(encode_frame(payload) + encode_frame("{}")) == [payload, "{}"]


def test_a_truncated_frame_is_named_with_its_lengths(recorded):
    """Its author replaced a token after recording: 1,102 characters declared, 39 there."""
    first = (recorded / "tradingview" / "genesis-chart-frames-mdx.txt").read_text().splitlines()[0]

    assert faults(first.removeprefix("out\t")) == ["declares 1102 characters and has 39"]


@pytest.mark.parametrize("declared", [0, 3, 5, 9, 40, 100, 999_999_999])
def test_a_wrong_length_does_not_take_the_other_frames_with_it(declared):
    """The bad one holds four characters; too short, too long within the message, too long beyond it."""
    message = encode_frame("first") + f"~m~{declared}~m~abcd" + encode_frame('{"m":2}') + encode_frame("third")

    assert payloads(message) == ["first", '{"m":2}', "third"]
    assert faults(message) == [f"declares {declared} characters and has 4"]


def test_frames_swallowed_by_a_length_that_fits_can_be_found_again():
    """Four characters too many by exactly one frame: the length ends at a header and is believed."""
    swallowed = encode_frame("{}")
    message = f"~m~{4 + len(swallowed)}~m~abcd{swallowed}" + encode_frame("[]")

    first, second = split_frames(message)

    assert second == Frame("[]", "")
    assert resume_within(first.payload) == swallowed
    assert resume_within("abcd") is None


def test_a_letter_cut_in_two_is_a_fault():
    assert faults("~m~1~m~🙂") == ["declares 1 characters and has 2"]


@given(st.text(st.sampled_from("~mh0123456789{}🙂a"), max_size=60))
def test_any_text_is_read_to_its_end(message):
    """Nothing is lost silently: every character is in a header, a payload or a fault."""
    frames = list(split_frames(message))

    assert sum(len(frame.payload) for frame in frames) <= len(message)
    assert bool(frames) == bool(message)
