"""Dense routines on small matrices, from the LAPACK that SciPy brings."""

cimport numpy as cnp
from libc.math cimport copysign, fabs, hypot, isfinite, log, sqrt
from scipy.linalg.cython_lapack cimport dpotrf, dpotrs, dsyevd, dtrtri

cnp.import_array()

cdef enum:
    WIDEST = 16  # of matrices that `eigh` takes

cdef double PIVOT = 1e-7  # of the Cholesky factor of a matrix that is singular to rounding


def cholesky_inverse(double[:, ::1] a):
    """Factor the lower triangle of a = L L' in place and return (L^-1, ok); L^-1 is lower."""
    cdef int n = <int> a.shape[0], info = 0
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray out
    cdef double* p
    cdef Py_ssize_t i, j
    shape[0] = shape[1] = n
    out = cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)
    p = <double*> cnp.PyArray_DATA(out)
    # Row-major lower triangles are column-major upper ones for LAPACK. NaN must not reach it.
    for i in range(n):
        for j in range(i + 1):
            if not isfinite(a[i, j]):
                return out, False
    dpotrf(b"U", &n, &a[0, 0], &n, &info)
    if info != 0:
        return out, False
    for i in range(n):
        for j in range(i + 1):
            p[i * n + j] = a[i, j]
    dtrtri(b"U", b"N", &n, p, &n, &info)
    return out, info == 0


def orthonormal(const double[:, ::1] gram):
    """Return (M, pivot): an upper triangular M for which the columns of rows @ M are orthonormal.

    `gram` (n, n) holds the cross-products of the rows; the lower triangle is read. `pivot` is the
    smallest one of the Cholesky factor of gram scaled to a unit diagonal: the part of its length by
    which a column differs from those before it. It is zero, and M means nothing, where gram is
    not positive definite.
    """
    cdef int n = <int> gram.shape[0], info = 0
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray out, lengths
    cdef double* p
    cdef double* length
    cdef double least = 1.0
    cdef Py_ssize_t i, j
    shape[0] = shape[1] = n
    out, lengths = cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0), cnp.PyArray_EMPTY(1, shape, cnp.NPY_DOUBLE, 0)
    p, length = <double*> cnp.PyArray_DATA(out), <double*> cnp.PyArray_DATA(lengths)
    for i in range(n):
        if not (gram[i, i] > 0.0 and isfinite(gram[i, i])):
            return out, 0.0
        length[i] = sqrt(gram[i, i])
    # Upper triangles, in the order of rows, are lower ones for LAPACK: gram = R'R there.
    for i in range(n):
        for j in range(i + 1):
            p[j * n + i] = gram[i, j] / (length[i] * length[j])
            if not isfinite(p[j * n + i]):
                return out, 0.0
    dpotrf(b"L", &n, p, &n, &info)
    if info != 0:
        return out, 0.0
    for i in range(n):
        least = min(least, p[i * n + i])
    dtrtri(b"L", b"N", &n, p, &n, &info)
    if info != 0:
        return out, 0.0
    for i in range(n):
        for j in range(i, n):
            p[i * n + j] /= length[i]
    return out, least


cdef void _rotate(double* v, double* values) noexcept nogil:
    """Replace [[p, q], [q, r]] by its eigenvectors, by Jacobi's rotation (Rutishauser 1966)."""
    cdef double p = v[0], q = v[1], r = v[3], t = 0.0, tau, c, s
    if q != 0.0:
        tau = (r - p) / (2.0 * q)
        t = copysign(1.0, tau) / (fabs(tau) + hypot(1.0, tau))
    c = 1.0 / hypot(1.0, t)
    s = t * c
    if p - t * q <= r + t * q:
        values[0], values[1] = p - t * q, r + t * q
        v[0], v[1], v[2], v[3] = c, -s, s, c
    else:
        values[0], values[1] = r + t * q, p - t * q
        v[0], v[1], v[2], v[3] = s, c, c, -s


def eigh(a):
    """Return eigenvalues (n,) in ascending order and eigenvectors (n, n) of a symmetric matrix, or None.

    The lower triangle is read. None stands for entries that are not finite and for no convergence.
    """
    cdef double[:, :] given = a
    cdef int n = <int> given.shape[0], info = 0, lwork, liwork
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray values, vectors
    cdef double work[1 + 6 * WIDEST + 2 * WIDEST * WIDEST]
    cdef int iwork[3 + 5 * WIDEST]
    cdef double* v
    cdef Py_ssize_t i, j
    if n > WIDEST:
        return None
    shape[0] = shape[1] = n
    values, vectors = cnp.PyArray_EMPTY(1, shape, cnp.NPY_DOUBLE, 0), cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 1)
    v = <double*> cnp.PyArray_DATA(vectors)
    for i in range(n):
        for j in range(i + 1):
            if not isfinite(given[i, j]):
                return None
            v[j * n + i] = given[i, j]
    if n == 2:
        _rotate(v, <double*> cnp.PyArray_DATA(values))
        return values, vectors
    lwork, liwork = 1 + 6 * n + 2 * n * n, 3 + 5 * n
    dsyevd(b"V", b"L", &n, v, &n, <double*> cnp.PyArray_DATA(values), work, &lwork, iwork, &liwork, &info)
    return None if info != 0 else (values, vectors)


def semidefinite_cholesky(double[:, :] g, double tolerance):
    """Return the lower triangular L with L L' = g; a column with a pivot below tolerance is zero."""
    cdef Py_ssize_t k = g.shape[0], i, j, l
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray out
    cdef double* p
    cdef double pivot, x
    shape[0] = shape[1] = k
    out = cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)
    p = <double*> cnp.PyArray_DATA(out)
    for j in range(k):
        pivot = g[j, j]
        for l in range(j):
            pivot -= p[j * k + l] * p[j * k + l]
        if not (pivot > tolerance * max(g[j, j], 0.0) and pivot > 0.0):
            continue
        pivot = sqrt(pivot)
        p[j * k + j] = pivot
        for i in range(j + 1, k):
            x = g[i, j]
            for l in range(j):
                x -= p[i * k + l] * p[j * k + l]
            p[i * k + j] = x / pivot
    return out


def symmetric(const double[:, :] a):
    """Return the symmetric matrix whose lower triangle is given."""
    cdef Py_ssize_t k = a.shape[0], i, j
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray out
    cdef double* p
    shape[0] = shape[1] = k
    out = cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)
    p = <double*> cnp.PyArray_DATA(out)
    for i in range(k):
        for j in range(i + 1):
            p[i * k + j] = p[j * k + i] = a[i, j]
    return out


def log_det(double[:, :] root, Py_ssize_t n):
    """Return log|L L'| of the first n rows and columns of a triangular L."""
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        total += log(root[i, i])
    return 2.0 * total


def solve_positive(double[:, :] a, double[:] b):
    """Return x with a x = b for a positive definite a, scaled to a unit diagonal first; else None."""
    cdef int n = <int> a.shape[0], info = 0, one = 1
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray matrix, out
    cdef double* p
    cdef double* x
    cdef Py_ssize_t i, j
    shape[0] = shape[1] = n
    matrix, out = cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0), cnp.PyArray_EMPTY(1, shape, cnp.NPY_DOUBLE, 0)
    p, x = <double*> cnp.PyArray_DATA(matrix), <double*> cnp.PyArray_DATA(out)
    for i in range(n):
        if not (a[i, i] > 0.0 and isfinite(b[i])):
            return None
        x[i] = 1.0 / sqrt(a[i, i])
    for i in range(n):
        for j in range(i + 1):
            p[i * n + j] = a[i, j] * x[i] * x[j]
            if not isfinite(p[i * n + j]):
                return None
    for i in range(n):
        x[i] *= b[i]
    dpotrf(b"U", &n, p, &n, &info)
    if info != 0:
        return None
    for i in range(n):  # pivots of a matrix with unit diagonal
        if p[i * n + i] < PIVOT:
            return None
    dpotrs(b"U", &n, &one, p, &n, x, &n, &info)
    if info != 0:
        return None
    for i in range(n):
        x[i] /= sqrt(a[i, i])
    return out
