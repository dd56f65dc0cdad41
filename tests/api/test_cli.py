"""The command line as a person uses it."""

import subprocess
import sys

import pytest

import lmmcore
from lmmcore.__main__ import main
from lmmcore.tables import read_table

FORMULA = "Reaction ~ Days + (Days | Subject)"


def test_a_data_set_of_the_package(capsys):
    assert main(["fit", FORMULA, "sleepstudy"]) == 0
    out = capsys.readouterr().out
    assert "1743.6283" in out
    assert "Converged to an interior optimum" in out


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.tsv"])
def test_a_file(tmp_path, capsys, name):
    path = tmp_path / name
    data = lmmcore.datasets.load_sleepstudy()
    data.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    assert main(["fit", FORMULA, str(path)]) == 0
    assert "1743.6283" in capsys.readouterr().out


def test_a_parquet_file(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    lmmcore.datasets.load_sleepstudy().to_parquet(path)
    assert main(["fit", FORMULA, str(path)]) == 0
    assert "1743.6283" in capsys.readouterr().out


def test_options(tmp_path, capsys):
    path = tmp_path / "data.csv"
    data = lmmcore.datasets.load_sleepstudy()
    data["w"] = 1 + data["Days"] % 3
    data.loc[4, "Reaction"] = None
    data.to_csv(path, index=False)
    assert main(["fit", FORMULA, str(path), "--missing", "raise"]) == 2
    err = capsys.readouterr().err
    assert "NaN in row 4" in err
    assert "missing=" not in err
    arguments = [
        "--ml",
        "--missing",
        "drop",
        "--weights",
        "w",
        "--method",
        "bfgs",
        "--level",
        "0.9",
    ]
    assert main(["fit", FORMULA, str(path), *arguments]) == 0
    out = capsys.readouterr().out
    assert "1 row with missing values" in out
    assert "bfgs" in out
    assert "0.95]" in out
    spelling = ["--groups", "Subject", "--re-formula", "1 + Days"]
    assert main(["fit", "Reaction ~ Days", "sleepstudy", *spelling]) == 0
    assert "1743.6283" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", FORMULA, "sleepstud"], "did you mean 'sleepstudy'"),
        (["fit", FORMULA, "no/such/file.csv"], "neither a file nor a data set"),
        (["fit", "Reaction ~ Day + (1 | Subject)", "sleepstudy"], "did you mean 'Days'"),
        (["fit", FORMULA, "sleepstudy", "--method", "x"], "optimizer 'x' is not known"),
    ],
)
def test_errors_are_one_sentence(capsys, arguments, words):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("lmmcore: ")
    assert words in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--level", "95"],
            "'95'; expected a number between 0 and 1, such as 0.95 for 95 percent",
        ),
        (["--level", "1.5"], "'1.5'; expected a number between 0 and 1"),
        (["--level", "x"], "'x'; expected a number between 0 and 1"),
        (["--missing", "keep"], "invalid choice: 'keep'"),
        (["--wieghts", "w"], "unrecognized arguments"),
    ],
)
def test_flags_are_refused_in_one_line(capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main(["fit", FORMULA, "sleepstudy", *arguments])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("lmmcore: ")
    assert words in err
    assert err.count("\n") == 1
    assert "alpha" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "Reaction ~ Days", "sleepstudy"], "give --groups g"),
        (["fit", "Reaction ~ Days", "sleepstudy", "--groups", "Subjct"], "--groups 'Subjct' is no"),
        (["fit", FORMULA, "sleepstudy", "--weights", "w"], "--weights 'w' is not a column"),
        (["fit", "sleepstudy", FORMULA], "the formula comes first"),
    ],
)
def test_errors_name_the_flags(capsys, arguments, words):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_warnings_are_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lmmcore", "fit", "Reaction ~ Days + I(Days * 2) + (1 | Subject)",
         "sleepstudy"],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.stderr.startswith("lmmcore: warning: dropped 'I(Days * 2)'")
    assert done.stderr.count("\n") == 1


SEPARATED = {
    "semicolons": (";", "."), "semicolons and decimal commas": (";", ","), "tabs": ("\t", "."),
    "bars": ("|", "."), "tabs and decimal commas": ("\t", ","),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".csv", ".txt", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("marks", SEPARATED)
def test_separators_and_decimal_commas(tmp_path, marks, ending):
    separator, decimal = SEPARATED[marks]
    data = lmmcore.datasets.load_sleepstudy()
    data["note"] = "a,b;c|d"  # quoted where a separator is in it
    path = tmp_path / f"data{ending}"
    data.to_csv(path, index=False, sep=separator, decimal=decimal)
    found = read_table(str(path))
    assert list(found.columns) == list(data.columns)
    assert found["Reaction"].to_numpy() == pytest.approx(data["Reaction"].to_numpy())
    assert (found["note"] == "a,b;c|d").all()


def test_points_and_commas_in_one_file_are_not_guessed(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("y;x;g\n1,5;2.5;a\n2,5;3.5;b\n")
    found = read_table(str(path))
    assert found["x"].tolist() == [2.5, 3.5]
    assert found["y"].tolist() == ["1,5", "2,5"]


BROKEN = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n\n", "is empty"),
    "header.csv": (b"Reaction,Days,Subject\n", "no rows"),
    "latin.csv": ("S\xfcbject,Days\n1,2\n".encode("latin-1"), "UTF-8 (byte 0xfc"),
    "binary.csv": (bytes(range(256)) * 9, "UTF-8"),
    "zeros.csv": (bytes(500), "is not text"),
    "twice.csv": (b"Days,Days,Subject\n1,2,3\n4,5,6\n", "several columns named 'Days'"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3,4\n", "the same number of columns"),
    "data.csv.gz": (b"no gzip", "cannot be read"),
    "data.parquet": (b"no parquet", "Parquet"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_one_line(tmp_path, capsys, name):
    content, words = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    assert main(["fit", FORMULA, str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert name in err
    assert err.count("\n") == 1


def test_a_folder_and_blanks_after_commas(tmp_path, capsys):
    assert main(["fit", FORMULA, str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    path = tmp_path / "data.csv"
    path.write_text("y, x, g\n1, 2, a\n2, 3, b\n", encoding="utf-8-sig")
    found = read_table(str(path))
    assert list(found.columns) == ["y", "x", "g"]
    assert found["g"].tolist() == ["a", "b"]


def test_files_that_are_no_tables(tmp_path, capsys):
    for name, content in (("a.docx", b"x"), ("b.csv", b""), ("c", b"x,y\n1,2")):
        path = tmp_path / name
        path.write_bytes(content)
        assert main(["fit", FORMULA, str(path)]) == 2
        assert str(path) in capsys.readouterr().err


def test_plugins_and_version(capsys):
    assert main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert "newton" in out
    assert "unstructured" in out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert lmmcore.__version__ in capsys.readouterr().out


def test_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lmmcore", "fit", FORMULA, "sleepstudy"],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert "1743.6283" in done.stdout
