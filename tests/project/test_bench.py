from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.checks import CheckError, check_csv_files, check_record_lines
from benchmarks.columns import NARROW, WIDE
from benchmarks.data import BASE_ROWS, Source
from benchmarks.figures import Figure, Goal, Line, Pair, Sense, Unit, Verdict, extended, paired
from benchmarks.measure import Command, RunError, measured
from benchmarks.race import Contender, Entry, Track, UnavailableError
from benchmarks.report import table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OTHER_TAPS = ("tap-postgres", "pipelinewise-tap-postgres", "tap-csv", "mixed")
EXPECTED = {
    ("tap", 2000): [
        ("tap", "textbook SDK tap"),
        ("tap", "DuckDB, one thread"),
        ("tap, java", "textbook SDK tap, java"),
        ("tap, java", "DuckDB, one thread, java"),
        ("tap, quoted", "textbook SDK tap, quoted"),
        ("tap, quoted", "DuckDB, one thread, quoted"),
        ("tap, slowest input", "tap, fastest input"),
        ("tap, half of the columns", "tap"),
        ("tap, BATCH parquet", "tap"),
        ("pyarrow alone, to parquet", "tap"),
        ("tap, BATCH parquet", "pyarrow alone, to parquet"),
    ],
    ("narrow", 2000): [("tap, 3 columns", "textbook SDK tap, 3 columns")],
    ("target", 500): [
        ("target", "textbook SDK target"),
        ("target", "bare loop"),
        *(
            (f"target, {name}", f"{other}, {name}")
            for name in OTHER_TAPS
            for other in ("textbook SDK target", "bare loop")
        ),
        ("target, slowest input", "target, fastest input"),
    ],
    ("large tap", 200): [
        ("tap, 2,000 rows", "polars, typed"),
        ("tap, 2,000 rows, java", "polars, typed, java"),
        ("tap, 2,000 rows", "tap, 200 rows"),
        ("tap, 2,000 rows", ""),
        ("tap, 2,000 rows, java", "tap, 200 rows"),
        ("tap, 2,000 rows, java", ""),
    ],
    ("large target", 200): [
        ("target, 2,000 rows", "target, 200 rows"),
        ("target, 2,000 rows", ""),
        ("target, 2,000 rows, mixed", "target, 200 rows, mixed"),
        ("target, 2,000 rows, mixed", ""),
    ],
    ("jobs", 2000): [("two streams", "one stream")],
    ("imports", 2000): [
        ("imports, one at a time", "sum of the jobs"),
        ("imports, 2 at a time", "sum of the jobs"),
    ],
    ("start-up", 2000): [
        ("tap-demandbase --version", "import singer_sdk"),
        ("tap-demandbase --discover", "import singer_sdk"),
        ("target-demandbase --version", "import singer_sdk"),
        ("demandbase --version", "import singer_sdk"),
    ],
}
MAY_BE_MISSING = ("DuckDB", "bare loop", "polars", "tap, BATCH parquet", "pyarrow alone")


@pytest.mark.parametrize(("case", "rows"), EXPECTED)
def test_a_case_measures_what_it_names_and_checks_it(tmp_path: Path, case: str, rows: int) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.run", f"--rows={rows}", "--runs=1"]
    places = [
        f"--bin={os.path.relpath(BIN, ROOT)}",
        f"--work={tmp_path / 'work'}",
        f"--results={results}",
    ]
    done = subprocess.run(
        [*command, "--no-peers", f"--only={case}", *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text(encoding="utf-8"))
    lines = found["lines"]
    assert [(line["what"], line["against"]) for line in lines] == EXPECTED[case, rows]
    for line in lines:
        if line["verdict"] == "not available":
            assert any(name in line["what"] + line["against"] for name in MAY_BE_MISSING)
            assert "not available" in done.stdout
        else:
            assert line["ours"]["median"] > 0
    assert found["versions"]["singer-sdk"]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_pipe_and_those_that_wait_are_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.pipe"]
    options = ["--rows=2000", "--waiting=1", "--seconds=4"]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    one, tap, target, waiting = done.stdout.splitlines()
    assert re.fullmatch(r"2,000 rows in \d+ s, 1 import jobs", one)
    for line, name in ((tap, "tap"), (target, "target")):
        found = re.fullmatch(rf"{name}: ([\d.]+) s of processor time, (\d+) MiB, \d+ MB .+", line)
        assert found
        assert float(found[1]) > 0.1
        assert 30 < int(found[2]) < 250
    found = re.match(r"1 pipes that wait: (\d+) MiB each, ([\d.]+) s .+ ([\d.]+) % ", waiting)
    assert found
    assert 40 < int(found[1]) < 250


def test_a_case_that_fails_is_a_line_and_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")
    ran = Track(tmp_path / "track", quick=True).race(
        [Contender("x", 1, lambda _: Command([str(tmp_path / "bin" / "python")], {}))], 1
    )
    line = Pair("group", "x", ran["x"], ran["x"], None, "").rates()
    assert line.verdict is Verdict.FAILED
    assert "FAILED: x: python ended with 1" in table([line])


def test_a_stopped_benchmark_leaves_nothing_running(tmp_path: Path) -> None:
    mark = f"6{tmp_path.stat().st_ino}"
    code = (
        "import pathlib, signal, sys\n"
        "from benchmarks.measure import Command, measured\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "here = pathlib.Path(sys.argv[1])\n"
        f"measured(Command(['/bin/sh', '-c', 'sleep {mark} | cat'], {{}}), here, here / 'out')\n"
    )
    bench = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    while not sleeping(mark):
        assert bench.poll() is None
        time.sleep(0.02)
    bench.terminate()
    assert bench.wait(10) == 1
    deadline = time.monotonic() + 10
    while sleeping(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not sleeping(mark)


def sleeping(mark: str) -> bool:
    command = ["ps", "-eo", "args"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f"sleep {mark}" in listed.splitlines()


def test_other_rows_under_the_same_name_are_found(tmp_path: Path) -> None:
    source = Source("narrow", NARROW, 100)
    (path,) = source.csv_files(tmp_path, 100, 1).parts
    check_csv_files([path], source, 100)
    with pytest.raises(CheckError, match="100 rows instead of 101"):
        check_csv_files([path], source, 101)
    rows = path.read_text(encoding="utf-8").splitlines()
    rows[1] = rows[1].replace(",", ",1", 1)
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(CheckError, match=r"row 0 .* has a wrong visits"):
        check_csv_files([path], source, 100)


def test_rows_beyond_the_base_have_keys_of_their_own(tmp_path: Path) -> None:
    rows = BASE_ROWS + 3
    source = Source("narrow", NARROW, rows)
    check_csv_files(source.csv_files(tmp_path, rows, 2).parts, source, rows)
    check_record_lines(source.singer_file(tmp_path, rows), source, rows)
    text = (tmp_path / f"narrow-{rows}.jsonl").read_text(encoding="utf-8")
    keys = [
        json.loads(line)["record"]["account_id"] for line in text.splitlines() if '"RECORD"' in line
    ]
    assert len(set(keys)) == rows


def test_the_same_sizes_make_the_same_files(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files = Source("wide", WIDE, 50).csv_files(tmp_path / name, 50, 2)
        texts.append([part.read_bytes() for part in files.parts])
    assert texts[0] == texts[1]


def test_time_and_peak_memory_are_those_of_the_command(tmp_path: Path) -> None:
    code = "import time; held = bytearray(150 * 2**20); time.sleep(0.2)"
    run = measured(Command([sys.executable, "-c", code], {}), tmp_path, tmp_path / "out")
    assert run.seconds >= 0.2
    assert 150 <= run.peak_mib < 250
    small = measured(Command([sys.executable, "-S", "-c", ""], {}), tmp_path, tmp_path / "out")
    assert small.peak_mib < 50


def test_the_error_of_a_failed_command_has_its_last_line(tmp_path: Path) -> None:
    command = Command([sys.executable, "-c", "import sys; sys.exit('no such thing')"], {})
    with pytest.raises(RunError, match="ended with 1: no such thing"):
        measured(command, tmp_path, tmp_path / "out")


def test_contenders_run_in_turns_and_failed_ones_stop(tmp_path: Path) -> None:
    order: list[str] = []

    def contender(name: str, code: str = "") -> Contender:
        def command(_: Path) -> Command:
            order.append(name)
            if name == "absent":
                raise UnavailableError("it is not installed")
            return Command([sys.executable, "-S", "-c", code], {})

        return Contender(name, 1, command)

    contenders = [contender("a"), contender("b"), contender("bad", "1 / 0"), contender("absent")]
    ran = Track(tmp_path, quick=True).race(contenders, 2)
    assert order == ["a", "b", "bad", "absent", "b", "a"]
    assert len(ran["a"].runs) == 2
    assert "ZeroDivisionError" in ran["bad"].problem
    lines = [Pair("", name, ran[name], ran["a"], None, "").rates() for name in ran]
    expected = [Verdict.REPORTED, Verdict.REPORTED, Verdict.FAILED, Verdict.MISSING]
    assert [line.verdict for line in lines] == expected


def test_a_goal_is_met_on_its_good_side_only() -> None:
    line = Line("", "", "", "", Unit.RATE, Figure.of([1.0, 2.0, 9.0]))
    assert replace(line, goal=Goal(Sense.AT_LEAST, 2.0)).verdict is Verdict.MET
    assert replace(line, goal=Goal(Sense.AT_LEAST, 2.1)).verdict is Verdict.MISSED
    assert replace(line, goal=Goal(Sense.AT_MOST, 1.9)).verdict is Verdict.MISSED


def test_a_line_without_runs_has_failed() -> None:
    assert Pair("", "x", Entry("x", 1, problem="died"), Entry("y", 1), None, "").rates().problem


SECONDS = st.floats(0.01, 1e4)


@given(start=SECONDS, each=SECONDS, rows=st.integers(1, 10**6), more=st.integers(1, 10**7))
def test_a_time_that_is_linear_in_the_rows_is_extrapolated_exactly(
    start: float, each: float, rows: int, more: int
) -> None:
    found = extended(start + each * rows, rows, start, more)
    assert found == pytest.approx(start + each * more, rel=1e-6)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1))
def test_the_spread_of_a_ratio_holds_its_median(pairs: list[tuple[float, float]]) -> None:
    figure = paired([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    assert figure.low <= figure.median <= figure.high
