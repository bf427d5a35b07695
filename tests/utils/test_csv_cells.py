"""Text in CSV files is inert, numbers stay numbers, and what was written is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micebench.utils.csv_cells import inert, plain


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "-", "'=1"]
)
def test_formulas_are_text(text: str) -> None:
    assert inert(text) == f"'{text}"
    assert plain(f"'{text}") == text


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-2e-05", ".5", "", "cat", "a=b", "'quoted'", -1.5, 0, None, True])
def test_numbers_and_other_text_stay_what_they_are(cell: object) -> None:
    assert inert(cell) is cell


@given(st.text(alphabet="'=+-@\t\r\n1.e a＝", max_size=6))
def test_what_is_written_is_read_back(text: str) -> None:
    written = inert(text)
    assert isinstance(written, str)
    assert plain(written) == text
