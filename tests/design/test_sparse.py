"""Sparse matrices are refused by name; frames with sparse columns are data like any other."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataTypeError

DATA = lmmcore.datasets.load_sleepstudy()
Y, G = DATA["Reaction"].to_numpy(), DATA["Subject"].to_numpy()
X = np.column_stack([np.ones(180), DATA["Days"]])
FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("name", ["endog", "exog", "exog_re", "groups", "weights", "data"])
def test_sparse_matrices(name, kind):
    given = {"endog": Y, "exog": X, "groups": G, "exog_re": X, "weights": np.ones(180)}
    matrix = kind(np.asarray(given.get(name, X), dtype=float).reshape(180, -1))
    words = rf"{name}.* is a {kind.__name__}, a sparse matrix; expected .*toarray\(\)"
    with pytest.raises(DataTypeError, match=words):
        lmmcore.mixedlm(FORMULA, matrix) if name == "data" else MixedLM(**{**given, name: matrix})


def test_sparse_hypotheses_and_new_rows():
    fit = lmmcore.mixedlm(FORMULA, DATA).fit()
    with pytest.raises(DataTypeError, match="r_matrix is a csr_matrix, a sparse matrix"):
        fit.t_test(sparse.csr_matrix([[0.0, 1.0]]))
    with pytest.raises(DataTypeError, match="is a csr_matrix, a sparse matrix"):
        fit.predict(sparse.csr_matrix(X))
    with pytest.raises(DataTypeError, match="is a csr_matrix, a sparse matrix"):
        MixedLM(Y, X, G).fit().predict(sparse.csr_matrix(X))


def test_sparse_columns():
    thin = {name: pd.arrays.SparseArray(DATA[name].astype(float)) for name in ("Reaction", "Days")}
    data = DATA.assign(**thin)
    expected = 1743.6282719584906
    assert lmmcore.mixedlm(FORMULA, data).fit().criterion == pytest.approx(expected)
    by_patsy = "Reaction ~ I(Days + 0) + (I(Days + 0) | Subject)"
    assert lmmcore.mixedlm(by_patsy, data).fit().criterion == pytest.approx(expected)
    exog = data[["Days"]].assign(one=1.0)
    fit = MixedLM(data["Reaction"], exog, data["Subject"], exog_re=exog).fit()
    assert fit.criterion == pytest.approx(expected)
    groups = pd.arrays.SparseArray(DATA["Subject"].astype(int))
    fit = lmmcore.mixedlm(FORMULA, data.assign(Subject=groups)).fit()
    assert fit.criterion == pytest.approx(expected)
