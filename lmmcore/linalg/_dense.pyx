"""Dense routines on small matrices, from the LAPACK that SciPy brings."""

cimport numpy as cnp
from libc.math cimport isfinite
from scipy.linalg.cython_lapack cimport dpotrf, dtrtri

cnp.import_array()


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
