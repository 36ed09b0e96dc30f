"""Tables of text: CSV, XYZ, blanks, tabs or semicolons between columns (UBC-GIF observation files go on to `moho.ubc`).

Every row must have the columns that the first one has, and every column is numbers or text throughout; null markers become
NaN and are counted in the notes. What the columns mean is decided in `moho.columns`; checkshots, tops and horizons are in
`moho.interpretation`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moho import ubc
from moho.columns import IDENTIFIERS, UNITS, recognise, role
from moho.errors import DataError
from moho.files import DELIMITERS, clean, coded, read_text, text_head
from moho.survey import Array, Data

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 20_000_000
MOST_COLUMNS = 2000
COMMENT = re.compile(r"\s*(#|%|//|!|/\s)")
NULL_WORDS = ("", "*", "**", "***", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "None", "none", "-", "--", "?")
NULL_NUMBERS = (
    -999.0, -999.9, -999.25, -999.99, -9999.0, -9999.9, -9999.25, -9999.99, -99999.0, -99999.9, -999999.0,
    9999.0, 9999.9, 9999.99, 99999.0, 99999.9, 999999.0, 1e10,
)  # fmt: skip
ENDLESS = 1e20  # beyond it a number is a mark for "missing" (1e30, -1e32, 1.70141e38, 3.4e38): nothing in a table of a survey is as large
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$")
COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?$")


def looks_like(head: bytes, path: Path) -> bool:
    """Whether the file opens like a table of text: a last resort, to be asked after the other readers."""
    text = text_head(head)
    lines = [line for line in text.split("\n")[:40] if line.strip() and not COMMENT.match(line)]
    if not lines or text.lstrip()[:1] in ("<", "{", "~"):
        return False
    shares = [np.mean([bool(NUMBER.match(cell)) for cell in re.split(r"[,;\t| ]+", line.strip(" ,;\t|"))]) for line in lines]
    numbers = sum(share >= 0.3 for share in shares)
    return bool(numbers >= max(1.0, 0.5 * (len(lines) - 1))) and (_in_columns(lines) or ubc.looks_like(text))


def _in_columns(lines: list[str]) -> bool:
    """Whether most lines have the same number of fields, two or more, by one of the separators: prose with numbers has not."""
    for separator in (r"\t", r"\|", ";", ",", r"\s+"):
        fields = Counter(len(re.split(separator, line.strip())) for line in lines)
        count, most = max(fields.items(), key=lambda item: (item[1], item[0]))
        if count >= 2 and most >= 0.6 * len(lines):
            return True
    return False


def read_table(path: str | Path, *, delimiter: str | None = None, decimal: str | None = None) -> Data:
    """Gravity, Magnetics, Catalogue or Picks where the columns leave no choice, else a Table.

    `delimiter`: "comma", "semicolon", "tab", "bar" or "space", where the file is not plain about it. `decimal`: "." or ",".
    Raises DataError: E_FORMAT, E_TRUNCATED, E_HEADER, E_GEOMETRY, E_UNITS, E_ENCODING, E_LIMIT, E_DATA, E_UNSUPPORTED.
    """
    path = Path(path)
    for given, allowed in ((delimiter, tuple(DELIMITERS)), (decimal, (".", ","))):
        if given is not None and given not in allowed:
            raise ValueError(f"need one of {', '.join(allowed)}, got {given!r}")
    text, notes = read_text(path)
    with coded("the table", path):
        if delimiter is None and ubc.looks_like(text):
            return ubc.read_observations(text, path.name, path.stem, notes)
        columns, said = read_columns(text, path.name, delimiter, decimal)
        return recognise(columns, path.stem, (*notes, *said))


def read_columns(text: str, name: str, delimiter: str | None = None, decimal: str | None = None) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Columns by name, float where they are numbers, and notes on how they were read. Raises DataError as `read_table` does."""
    numbered, comments = _rows(text, name)
    lines = [line for _, line in numbered]
    word = delimiter or _delimiter(lines[:200], name)
    separator = DELIMITERS[word]
    counts = _counts(lines, separator)
    notes = [] if word == "comma" else [f"Columns are separated by {'blanks' if word == 'space' else word + 's'}."]
    header, notes_header = _header(lines, counts, comments, separator, name)
    notes += notes_header
    body = numbered[1:] if header and header[0] == 1 else numbered
    names: list[str] = header[1] if header else []
    counts = counts[len(numbered) - len(body) :]
    if not body:
        raise DataError("E_TRUNCATED", f"{name} has a header and no rows.")
    width = len(names) if names else counts[0]
    blank_end = all(count == width + 1 for count in counts) and all(line.rstrip(" ").endswith(separator.strip() or "\0") for _, line in body)
    if blank_end:
        notes.append("Every row ends in a separator: the empty column is left out.")
    else:
        _even(body, counts, width, separator, name)
    if width > MOST_COLUMNS or len(body) > MOST_ROWS:
        raise DataError("E_LIMIT", f"{name} has {len(body)} rows of {width} columns; at most {MOST_ROWS} of {MOST_COLUMNS} are read.")
    if header and header[0] == 1:
        again = [i for i, (_, line) in enumerate(body) if line == lines[0]]
        if again:
            notes.append(f"The header line comes again {len(again)} times, first on line {body[again[0]][0]}: left out there.")
            left_out = set(again)
            body = [row for i, row in enumerate(body) if i not in left_out]
    if not names:
        names = [f"column_{index + 1}" for index in range(width)]
        notes.append("The file names no columns.")
    if header and (written := _units_row(_fields(body[0][1], separator), len(names))) and len(body) > 1:
        notes.append(f"Line {body[0][0]} gives the units.")
        names = [f"{name} ({unit})" if unit and not role(name).unit else name for name, unit in zip(names, written, strict=True)]
        body = body[1:]
    names, declared = _declared(names, comments)
    notes += declared
    names, copies = _unique(names)
    notes += copies
    mark, mark_notes = _decimal([line for _, line in body[:200]], separator, decimal, name)
    frame = _parse([line for _, line in body], separator, mark, names, blank_end, name)
    return _typed(frame, [number for number, _ in body], name, (*notes, *mark_notes))


def _rows(text: str, name: str) -> tuple[list[tuple[int, str]], list[str]]:
    """(line number, line) of what is neither blank nor a comment at the top, and those comments."""
    rows: list[tuple[int, str]] = []
    comments: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if line[0] in "#%!/" and COMMENT.match(line):
            if not rows:
                comments.append(COMMENT.sub("", line, count=1).strip())
            continue
        rows.append((number, line))
    if not rows:
        raise DataError("E_FORMAT", f"{name} holds no rows.")
    return rows, comments


def _fields(line: str, separator: str) -> list[str]:
    if separator == " ":
        return next(csv.reader([re.sub(r"\s+", " ", line.strip())], delimiter=" ")) if '"' in line else line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]


def _counts(lines: list[str], separator: str) -> list[int]:
    """Fields of each line; quoted ones are taken whole."""
    if separator == " ":
        return [len(line.split()) if '"' not in line else len(_fields(line, " ")) for line in lines]
    return [line.count(separator) + 1 if '"' not in line else len(_fields(line, separator)) for line in lines]


def _delimiter(lines: list[str], name: str) -> str:
    """The separator that cuts the first lines alike."""
    found: dict[str, tuple[float, int]] = {}
    for word, separator in DELIMITERS.items():
        counts = _counts(lines, separator)
        usual, times = Counter(counts).most_common(1)[0]
        if usual > 1:
            found[word] = times / len(counts), usual
    whole = [word for word in found if found[word][0] == 1.0]
    if "comma" in whole and "space" in whole and not {"tab", "bar", "semicolon"}.intersection(whole):
        cells = [cell for line in lines[1:20] or lines for cell in line.split()]
        if cells and all(NUMBER.match(c) or COMMA_NUMBER.match(c) for c in cells) and any(COMMA_NUMBER.match(c) for c in cells):
            return "space"  # 18,344 -34,129 979656,12
        return "comma"
    for word in DELIMITERS:
        if word in whole:
            return word
    if not found:
        if all(len(line.split()) == 1 for line in lines):
            return "space"
        raise DataError("E_FORMAT", f"{name} is no table: its lines have no separator in common.")
    best = max(found, key=lambda word: found[word][0])
    others = [word for word in found if word != best and found[word][0] > 0.25 and word != "space"]
    if found[best][0] < 0.6 or (others and best != "space"):
        words = ", ".join(f"{word}s in {share:.0%} of its first lines" for word, (share, _) in sorted(found.items()))
        raise DataError("E_FORMAT", f"{name} mixes separators: {words}.", "Give delimiter= where one of them is meant.")
    return best


def _header(
    lines: list[str], counts: list[int], comments: list[str], separator: str, name: str
) -> tuple[tuple[int, list[str]] | None, list[str]]:
    """(lines it takes, names) of the header: the first row where it is words, else the last comment where it has as many words."""
    first = _fields(lines[0], separator)
    numeric = [bool(NUMBER.match(cell) or COMMA_NUMBER.match(cell)) or cell in NULL_WORDS for cell in first]
    if not any(numeric) or (len(first) > 2 and sum(numeric) == 1 and not first[numeric.index(True)]):
        if len(lines) > 1 and counts[0] != counts[1] and separator != " " and counts[1] >= 2 * counts[0] - 1 > 1:
            words = f"{name}: {counts[0]} names for {counts[1]} values in a row: are its commas decimal?"
            raise DataError("E_FORMAT", words, "Give delimiter and decimal.")
        return (1, [clean(cell, 60) or f"column_{i + 1}" for i, cell in enumerate(first)]), []
    if len(lines) > 1 and not all(numeric):
        second = [bool(NUMBER.match(cell)) for cell in _fields(lines[1], separator)]
        if sum(numeric) < 0.5 * len(first) and sum(second) > sum(numeric):
            return (1, [clean(cell, 60) or f"column_{i + 1}" for i, cell in enumerate(first)]), ["Some column names are numbers."]
    for comment in reversed(comments):
        cells = _fields(comment, separator)
        if len(cells) == counts[0] and not any(NUMBER.match(cell) for cell in cells):
            return (0, [clean(cell, 60) for cell in cells]), ["Column names are from the last comment line above the rows."]
    return None, []


def _units_row(cells: list[str], width: int) -> list[str]:
    """The units of the columns where a row is made of them, "" for a column without; nothing where it is any other row."""
    words = [cell.strip().strip("[](){}").strip() for cell in cells]
    if len(words) != width or not any(word.lower() in UNITS for word in words):
        return []
    bare = ("", "-", "--", "1", "none")
    return [word if word.lower() in UNITS else "" for word in words] if all(word.lower() in (*UNITS, *bare) for word in words) else []


def _declared(names: list[str], comments: list[str]) -> tuple[list[str], list[str]]:
    """Names with the units that the comments above the rows give them ("heights in feet"), and notes; names with a unit stay."""
    result, notes = list(names), []
    for at, name in enumerate(names):
        found = role(name)
        if not found.role or found.unit or found.role in IDENTIFIERS:
            continue
        words = [re.escape(word) for word in {found.role.split(" ")[-1], *re.split(r"[\s_\-]+", name.strip().lower())} if len(word) > 2]
        words += ["elev\\w*", "altitudes?"] if found.role == "height" else []
        units = "|".join(sorted((re.escape(unit) for unit in UNITS if len(unit) > 1 or unit == "m"), key=len, reverse=True))
        pattern = re.compile(rf"\b(?:{'|'.join(words)})s?\b[^,;.]{{0,30}}?(?:\bin\b|[:=(\[])\s*({units})(?![\w/^])", re.IGNORECASE) if words else None
        said = next((match[1].lower() for line in comments if pattern and (match := pattern.search(line))), "")
        if said:
            result[at] = f"{name} ({UNITS[said]})"
            notes.append(f"The lines above the table say that {clean(name, 30)} is in {UNITS[said]}.")
    return result, notes


def _even(body: list[tuple[int, str]], counts: list[int], width: int, separator: str, name: str) -> None:
    """Refuse rows with another number of columns."""
    ragged = [i for i, count in enumerate(counts) if count != width]
    if not ragged:
        return
    at = ragged[0]
    more = f", and {len(ragged) - 1} more such rows" if len(ragged) > 1 else ""
    words = f"{name}, line {body[at][0]}: {counts[at]} columns where {width} are wanted{more}"
    if ragged == [len(body) - 1] and counts[-1] < width:
        raise DataError("E_TRUNCATED", f"{words}: the file ends within a row.")
    raise DataError("E_FORMAT", f"{words}: {clean(body[at][1], 60)!r}.")


def _unique(names: list[str]) -> tuple[list[str], list[str]]:
    """Names with copies numbered, and notes."""
    seen: Counter[str] = Counter()
    result, notes = [], []
    for name in names:
        seen[name] += 1
        if seen[name] > 1:
            notes.append(f"Column {name} comes more than once: the later one is called {name}_{seen[name]}.")
            name = f"{name}_{seen[name]}"
        result.append(name)
    return result, notes


def _decimal(lines: list[str], separator: str, asked: str | None, name: str) -> tuple[str, tuple[str, ...]]:
    """The decimal mark: a comma where numbers have one and no point."""
    if asked is not None:
        return asked, ()
    cells = [cell for line in lines for cell in _fields(line, separator)]
    commas = [cell for cell in cells if COMMA_NUMBER.match(cell)]
    grouped = [cell for cell in cells if re.match(r"[+-]?\d{1,3}([.,]\d{3})+[.,]\d+$", cell) and "," in cell and "." in cell]
    if grouped:
        raise DataError("E_FORMAT", f"{name} has numbers with points and commas: {clean(grouped[0], 20)!r}.", "Write them with a decimal point only.")
    if not commas or separator == ",":
        if commas:
            raise DataError("E_FORMAT", f"{name} has quoted numbers with commas: {clean(commas[0], 20)!r}.", "Write decimal points.")
        return ".", ()
    points = [cell for cell in cells if NUMBER.match(cell) and "." in cell]
    lists = [cell for cell in cells if cell.count(",") > 1]
    if lists:
        return ".", ()
    if points:
        words = f"{name} has decimal commas ({clean(commas[0], 20)}) and decimal points ({clean(points[0], 20)})."
        raise DataError("E_FORMAT", words, "Give decimal.")
    return ",", ("Numbers have decimal commas.",)


def _parse(lines: list[str], separator: str, mark: str, names: list[str], blank_end: bool, name: str) -> pd.DataFrame:
    """The rows by pandas, which was shown to be given as many fields as there are names."""
    import pandas as pd

    used = [*names, "\0blank"] if blank_end else names
    frame = pd.read_csv(
        io.StringIO("\n".join(lines)), sep=r"\s+" if separator == " " else separator, header=None, names=used, decimal=mark, index_col=False,
        na_values=list(NULL_WORDS), keep_default_na=False, skip_blank_lines=False, skipinitialspace=True, low_memory=False, engine="c",
    )  # fmt: skip
    if len(frame) != len(lines):
        raise DataError("E_FORMAT", f"{name}: {len(lines)} lines make {len(frame)} rows: is a quotation mark left open?")
    return frame[names]


def _typed(frame: pd.DataFrame, numbers: list[int], name: str, notes: tuple[str, ...]) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Columns as float64 or text, nulls as NaN or '', with counts in the notes."""
    import pandas as pd

    columns: dict[str, Array] = {}
    said = list(notes)
    empty: list[str] = []
    for column in frame.columns:
        series = frame[column]
        if pd.api.types.is_bool_dtype(series):
            series = series.astype(str)
        if pd.api.types.is_numeric_dtype(series):
            values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            text = series.astype("string").str.strip()
            filled = text.notna()
            named = role(column).role in IDENTIFIERS
            number = text if named else pd.to_numeric(text, errors="coerce")
            if not named and number.notna().sum() > 0.5 * filled.sum():
                row = int((number.isna() & filled).to_numpy().argmax())
                count = int((number.isna() & filled).sum())
                where = f"{name}, line {numbers[row]}, column {clean(column, 30)}"
                raise DataError("E_FORMAT", f"{where}: {clean(str(text.iloc[row]), 30)!r} among numbers ({count} such of {len(text)}).")
            columns[column] = text.fillna("").to_numpy(dtype=str)
            if not filled.all():
                said.append(f"{clean(column, 30)}: {int((~filled).sum())} rows are empty.")
            continue
        values, nulls = _nulls(values)
        infinite = np.isinf(values)
        values[infinite] = np.nan
        for null, count, first in nulls:
            where = f"on line {numbers[first]}" if count == 1 else f"the first on line {numbers[first]}"
            said.append(f"{clean(column, 30)}: {count} values of {null:g} are taken as null, {where}.")
        if infinite.any():
            said.append(f"{clean(column, 30)}: {int(infinite.sum())} infinite values are taken as null.")
        missing = int(np.isnan(values).sum()) - sum(count for _, count, _ in nulls) - int(infinite.sum())
        if missing:
            said.append(f"{clean(column, 30)}: {missing} values are missing.")
        if not np.isfinite(values).any():
            empty.append(column)
        columns[column] = values
    if not columns or len(empty) == len(columns):
        raise DataError("E_DATA", f"{name}: every value of its {len(columns)} columns is null.")
    said += [f"{clean(column, 30)} is null throughout." for column in empty]
    return columns, tuple(said)


def _nulls(values: Array) -> tuple[Array, list[tuple[float, int, int]]]:
    """Values with null numbers as NaN, and (number, how many, first row) of each.

    A number of nines is null where it lies at the end of the column's range, well apart from all that is no such number; what is
    beyond ENDLESS always is.
    """
    finite = np.isfinite(values)
    hits = {null: values == null for null in NULL_NUMBERS}
    endless = finite & (np.abs(values) > ENDLESS)
    rest = values[finite & ~endless & ~np.any(list(hits.values()), axis=0)]
    if len(rest):
        low, high, apart = rest.min(), rest.max(), 0.5 * np.ptp(rest)
        hits = {null: hit for null, hit in hits.items() if not low - apart <= null <= high + apart}
    hits |= {float(null): values == null for null in np.unique(values[endless])}
    found = [(null, int(hit.sum()), int(hit.argmax())) for null, hit in hits.items() if hit.any()]
    values = values.copy()
    for null, _, _ in found:
        values[hits[null]] = np.nan
    return values, found
