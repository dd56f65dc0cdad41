"""Kenward–Roger and Satterthwaite in n × n matrices, from the definitions, to compare with."""

import numpy as np


def covariance_matrices(results, frame, terms):
    """Return V and ∂V/∂φ for terms [(Z column arrays, codes)], unstructured, and σ² (over weights)."""
    n = len(frame)
    scale, weights = results.scale, results.model.design.weights
    inverse_weights = np.ones(n) if weights is None else 1.0 / weights
    v, slopes = np.diag(scale * inverse_weights), []
    for (columns, codes), g in zip(terms, results.fit.relative):
        same = codes[:, None] == codes[None, :]
        k = len(columns)
        for a in range(k):
            for b in range(a + 1):
                outer = np.outer(columns[a], columns[b])
                pattern = (outer if a == b else outer + outer.T) * same
                v = v + scale * g[a, b] * pattern
                slopes.append(pattern)
    slopes.append(np.diag(inverse_weights))
    return v, slopes


def kenward_roger(x, v, slopes, L):
    """Return Φ_A, df and scale of F with the expected information."""
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    left = [inverse @ s for s in slopes]
    p = [-x.T @ a @ inverse @ x for a in left]
    m = len(slopes)
    q = [[x.T @ left[r] @ left[s] @ inverse @ x for s in range(m)] for r in range(m)]
    info = np.array(
        [
            [
                np.trace(left[r] @ left[s]) - 2 * np.trace(phi @ q[r][s])
                + np.trace(phi @ p[r] @ phi @ p[s])
                for s in range(m)
            ]
            for r in range(m)
        ]
    )  # fmt: skip
    w = 2 * np.linalg.inv(info)
    inner = sum(w[r, s] * (q[r][s] - p[r] @ phi @ p[s]) for r in range(m) for s in range(m))
    adjusted = phi + 2 * phi @ inner @ phi
    theta = L.T @ np.linalg.inv(L @ phi @ L.T) @ L
    one = [theta @ phi @ a @ phi for a in p]
    a1 = sum(w[r, s] * np.trace(one[r]) * np.trace(one[s]) for r in range(m) for s in range(m))
    a2 = sum(w[r, s] * np.trace(one[r] @ one[s]) for r in range(m) for s in range(m))
    ell = len(L)
    b = (a1 + 6 * a2) / (2 * ell)
    g = ((ell + 1) * a1 - (ell + 4) * a2) / ((ell + 2) * a2)
    d = 3 * ell + 2 * (1 - g)
    mean = 1 / (1 - a2 / ell)
    variance = 2 / ell * (1 + g / d * b)
    variance /= (1 - (ell - g) / d * b) ** 2 * (1 - (ell + 2 - g) / d * b)
    rho = variance / (2 * mean**2)
    df = 4 + (ell + 2) / (ell * rho - 1)
    return adjusted, df, df / (mean * (df - 2))


def restricted(v, x, y):
    """Return −2 log restricted likelihood up to a constant."""
    inverse = np.linalg.inv(v)
    h = x.T @ inverse @ x
    beta = np.linalg.solve(h, x.T @ inverse @ y)
    e = y - x @ beta
    return np.linalg.slogdet(v)[1] + np.linalg.slogdet(h)[1] + e @ inverse @ e


def kenward_roger_of(x, y, covariance, psi, observed, bent):
    """Return Φ_A for V = covariance(ψ), any smooth function; derivatives by complex steps."""
    h = 1e-30
    m, n = len(psi), len(y)

    def slopes_at(at):
        return [covariance(at + 1j * h * e).imag / h for e in np.eye(m)]

    v, slopes = covariance(psi).real, slopes_at(psi)
    step = 1e-4 * np.maximum(np.abs(psi), 0.1)
    second = np.empty((m, m, n, n))
    for j in range(m):
        e = np.eye(m)[j] * step[j]
        far, near = (
            [
                (a - b) / (2 * s * step[j])
                for a, b in zip(slopes_at(psi + s * e), slopes_at(psi - s * e))
            ]
            for s in (2.0, 1.0)
        )
        second[j] = (4.0 * np.array(near) - np.array(far)) / 3.0
    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    left = [inverse @ s for s in slopes]
    p = [-x.T @ a @ inverse @ x for a in left]
    q = [[x.T @ a @ b @ inverse @ x for b in left] for a in left]
    r = [[x.T @ inverse @ second[i, j] @ inverse @ x for j in range(m)] for i in range(m)]
    projected = inverse - inverse @ x @ phi @ x.T @ inverse
    py = projected @ y
    information = np.empty((m, m))
    for i in range(m):
        for j in range(m):
            expected = np.trace(projected @ slopes[i] @ projected @ slopes[j])
            information[i, j] = expected
            if observed:
                square = py @ slopes[i] @ projected @ slopes[j] @ py
                curve = np.trace(projected @ second[i, j]) - py @ second[i, j] @ py
                information[i, j] = -expected + 2.0 * square + curve
    w = 2.0 * np.linalg.inv(information)
    inner = sum(
        w[i, j] * (q[i][j] - p[i] @ phi @ p[j] - (0.25 * r[i][j] if bent else 0.0))
        for i in range(m)
        for j in range(m)
    )
    return phi + 2.0 * phi @ inner @ phi
