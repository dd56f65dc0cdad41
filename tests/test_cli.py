"""The command line as a person uses it."""

import subprocess
import sys

import pytest

import lmmcore
from lmmcore.__main__ import main

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
    assert "NaN in row 4" in capsys.readouterr().err
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
