"""Loops over the rows: the only place where lmmcore touches them before a fit.

Rows are read in blocks that stay in the first-level cache. A block is gathered column by
column (any stride, float64/float32/int64/int32/bool), shifted, weighted, multiplied by an upper
triangular matrix and then added to the cross-products. The readable twin is
`lmmcore.testing.twins.accumulate`.
"""

cimport numpy as cnp
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

cnp.import_array()

cdef extern from "simd.h":
    ctypedef double vec "lmm_vec"
    ctypedef int cloned "LMM_CLONED"
    enum:
        LANES "LMM_LANES"

cdef enum:
    BLOCK = 256

cdef enum:
    ONE = 0        # a column of ones that is not stored
    F8 = 1
    F4 = 2
    I8 = 3
    I4 = 4
    U1 = 5


cdef class Columns:
    """A design as a list of columns, none of them copied.

    Parameters
    ----------
    columns : sequence of 1-d arrays or None
        float64, float32, int64, int32 or bool, of any stride; None is a column of ones.
    n_rows : int
    """

    cdef readonly Py_ssize_t n_rows
    cdef readonly Py_ssize_t n_columns
    cdef tuple owners
    cdef const char** data
    cdef Py_ssize_t* stride
    cdef int* kind

    def __cinit__(self, columns, Py_ssize_t n_rows):
        cdef Py_ssize_t j
        cdef cnp.ndarray a
        cdef int t
        self.owners = tuple(columns)
        self.n_columns = len(self.owners)
        self.n_rows = n_rows
        self.data = <const char**> calloc(self.n_columns + 1, sizeof(char*))
        self.stride = <Py_ssize_t*> calloc(self.n_columns + 1, sizeof(Py_ssize_t))
        self.kind = <int*> calloc(self.n_columns + 1, sizeof(int))
        if self.data == NULL or self.stride == NULL or self.kind == NULL:
            raise MemoryError()
        for j in range(self.n_columns):
            if self.owners[j] is None:
                self.kind[j] = ONE
                continue
            a = self.owners[j]
            if cnp.PyArray_NDIM(a) != 1 or cnp.PyArray_DIM(a, 0) != n_rows:
                raise ValueError("a column does not have n_rows entries")
            t = cnp.PyArray_TYPE(a)
            if not cnp.PyArray_ISBEHAVED_RO(a):
                raise ValueError("a column is not aligned or not in native byte order")
            if t == cnp.NPY_DOUBLE:
                self.kind[j] = F8
            elif t == cnp.NPY_FLOAT:
                self.kind[j] = F4
            elif t == cnp.NPY_BOOL:
                self.kind[j] = U1
            elif cnp.PyArray_ISSIGNED(a) and cnp.PyArray_ISINTEGER(a) and cnp.PyArray_ITEMSIZE(a) == 8:
                self.kind[j] = I8
            elif cnp.PyArray_ISSIGNED(a) and cnp.PyArray_ISINTEGER(a) and cnp.PyArray_ITEMSIZE(a) == 4:
                self.kind[j] = I4
            else:
                raise TypeError("a column has a type that the row kernel does not read")
            self.data[j] = <const char*> cnp.PyArray_DATA(a)
            self.stride[j] = cnp.PyArray_STRIDE(a, 0)

    def typical(self, Py_ssize_t step):
        """Return a value near the mean of each column: the mean of every step-th row (n_columns,).

        It is zero for a column of ones, and where the mean is not finite.
        """
        cdef cnp.npy_intp shape[1]
        cdef Py_ssize_t i, j, m = (self.n_rows + step - 1) // step
        cdef double x, total
        cdef cnp.ndarray out
        shape[0] = self.n_columns
        out = cnp.PyArray_ZEROS(1, shape, cnp.NPY_DOUBLE, 0)
        for j in range(self.n_columns):
            if self.kind[j] == ONE or m == 0:
                continue
            total = 0.0
            for i in range(m):
                gather(self.kind[j], self.data[j], self.stride[j], i * step, 1, 0.0, &x)
                total += x
            if isfinite(total):
                (<double*> cnp.PyArray_DATA(out))[j] = total / m
        return out

    def __dealloc__(self):
        free(self.data)
        free(self.stride)
        free(self.kind)


cdef void gather(int kind, const char* data, Py_ssize_t stride, Py_ssize_t start, Py_ssize_t m,
                 double shift, double* out) noexcept nogil:
    """out[:m] = column[start:start + m] - shift."""
    cdef Py_ssize_t i
    cdef const char* p = data + start * stride
    if kind == ONE:
        for i in range(m):
            out[i] = 1.0
    elif kind == F8:
        if stride == sizeof(double):
            for i in range(m):
                out[i] = (<const double*> p)[i] - shift
        else:
            for i in range(m):
                out[i] = (<const double*> (p + i * stride))[0] - shift
    elif kind == F4:
        for i in range(m):
            out[i] = <double> (<const float*> (p + i * stride))[0] - shift
    elif kind == I8:
        for i in range(m):
            out[i] = <double> (<const int64_t*> (p + i * stride))[0] - shift
    elif kind == I4:
        for i in range(m):
            out[i] = <double> (<const int32_t*> (p + i * stride))[0] - shift
    else:
        for i in range(m):
            out[i] = <double> (<const uint8_t*> (p + i * stride))[0] - shift


cdef cloned scale_rows(double* x, const double* w, Py_ssize_t c) noexcept nogil:
    cdef Py_ssize_t j, v
    for j in range(c):
        for v in range(BLOCK // LANES):
            (<vec*> (x + j * BLOCK))[v] = (
                (<vec*> (x + j * BLOCK))[v] * (<const vec*> w)[v])
    return 0


cdef cloned transform(double* x, Py_ssize_t c, const double* m) noexcept nogil:
    """x <- x M in place for an upper triangular M (c x c), last column first."""
    cdef Py_ssize_t i, j, v
    cdef double t
    cdef double* xj
    for j in range(c - 1, -1, -1):
        xj = x + j * BLOCK
        t = m[j * c + j]
        for v in range(BLOCK // LANES):
            (<vec*> xj)[v] = (<vec*> xj)[v] * t
        for i in range(j):
            t = m[i * c + j]
            if t != 0.0:
                for v in range(BLOCK // LANES):
                    (<vec*> xj)[v] = (
                        (<vec*> xj)[v] + (<vec*> (x + i * BLOCK))[v] * t)
    return 0


cdef double lane_sum(const vec* a) noexcept nogil:
    cdef double s = 0.0
    cdef Py_ssize_t l
    for l in range(LANES):
        s += (<const double*> a)[l]
    return s


cdef cloned gram(const double* x, Py_ssize_t c, double* out) noexcept nogil:
    """out (c x c, lower triangle) += x'x, in tiles of two by two columns.

    x has an even number of columns: one of zeros follows where c is odd.
    """
    cdef Py_ssize_t i, j, v
    cdef vec a, b, s, t, acc00, acc01, acc10, acc11
    cdef const double* xi
    cdef const double* xj
    for i in range(0, c, 2):
        xi = x + i * BLOCK
        for j in range(0, i + 1, 2):
            xj = x + j * BLOCK
            acc00 = (<const vec*> xi)[0] * (<const vec*> xj)[0]
            acc01 = (<const vec*> xi)[0] * (<const vec*> (xj + BLOCK))[0]
            acc10 = (<const vec*> (xi + BLOCK))[0] * (<const vec*> xj)[0]
            acc11 = (<const vec*> (xi + BLOCK))[0] * (<const vec*> (xj + BLOCK))[0]
            for v in range(1, BLOCK // LANES):
                a = (<const vec*> xi)[v]
                b = (<const vec*> (xi + BLOCK))[v]
                s = (<const vec*> xj)[v]
                t = (<const vec*> (xj + BLOCK))[v]
                acc00 = acc00 + a * s
                acc01 = acc01 + a * t
                acc10 = acc10 + b * s
                acc11 = acc11 + b * t
            out[i * c + j] += lane_sum(&acc00)
            if j < i:
                out[i * c + j + 1] += lane_sum(&acc01)
            if i + 1 < c:
                out[(i + 1) * c + j] += lane_sum(&acc10)
                out[(i + 1) * c + j + 1] += lane_sum(&acc11)
    return 0


cdef cloned scatter(const double* z, Py_ssize_t k, const double* x, Py_ssize_t c, double* rows,
                    double* acc, const int32_t* codes, Py_ssize_t m, double* s,
                    double* w) noexcept nogil:
    """s[g] += z'z (lower triangle), w[g] += z'x for the rows of each group g of a block.

    Runs of rows of one group are summed in `acc` before they are added to the group.
    """
    cdef Py_ssize_t i, j, a, b, v, padded = (c + LANES - 1) // LANES * LANES
    cdef Py_ssize_t width = k * padded
    cdef double* acc_s = acc + width
    cdef double* row
    cdef double t
    cdef int32_t g
    for j in range(c):
        for i in range(m):
            rows[i * padded + j] = x[j * BLOCK + i]
    i = 0
    while i < m:
        g = codes[i]
        memset(acc, 0, (width + k * k) * sizeof(double))
        while i < m and codes[i] == g:
            row = rows + i * padded
            for a in range(k):
                t = z[a * BLOCK + i]
                for v in range(padded // LANES):
                    (<vec*> (acc + a * padded))[v] = (
                        (<vec*> (acc + a * padded))[v] + (<vec*> row)[v] * t)
                for b in range(a + 1):
                    acc_s[a * k + b] += t * z[b * BLOCK + i]
            i += 1
        for a in range(k):
            for j in range(c):
                w[(g * k + a) * c + j] += acc[a * padded + j]
            for b in range(a + 1):
                s[(g * k + a) * k + b] += acc_s[a * k + b]
    return 0


cdef void scatter_ragged(const int64_t* indptr, const int32_t* cols, const double* vals,
                         const double* sw, const double* x, Py_ssize_t c, const int32_t* codes,
                         Py_ssize_t start, Py_ssize_t m, const int32_t* width, const int64_t* s_at,
                         const int64_t* w_at, double* s, double* w) noexcept nogil:
    """The same for groups with columns of their own: row i has entries indptr[i]:indptr[i+1]."""
    cdef Py_ssize_t i, j, e, f
    cdef double t
    cdef double* target
    cdef int32_t g
    for i in range(m):
        g = codes[i]
        for e in range(indptr[start + i], indptr[start + i + 1]):
            t = vals[e] * sw[i]
            target = w + w_at[g] + cols[e] * c
            for j in range(c):
                target[j] += t * x[j * BLOCK + i]
            target = s + s_at[g] + cols[e] * width[g]
            for f in range(indptr[start + i], indptr[start + i + 1]):
                target[cols[f]] += t * vals[f] * sw[i]


def accumulate(Columns x, const double[::1] shift, const double[:, ::1] basis, Columns weights,
               Py_ssize_t start, Py_ssize_t stop, double[:, ::1] total, Columns z=None,
               const double[::1] z_shift=None, const int32_t[::1] codes=None,
               double[:, :, ::1] s=None, double[:, :, ::1] w=None, ragged=None):
    """Add rows start:stop to the cross-products.

    Each row is ``sqrt(weight) * (x - shift) @ basis``. `total` (c x c) receives the lower
    triangle of its cross-products, `s` (groups, k, k) the lower triangle of z'z and `w`
    (groups, k, c) those of z with the transformed row. `ragged` is a tuple
    ``(indptr, cols, vals, width, s_at, w_at, s, w)`` for columns that differ by group.
    """
    cdef Py_ssize_t c = x.n_columns, k = 0, row, m, j, padded
    cdef double* block
    cdef double* zblock
    cdef double* rows
    cdef double* acc
    cdef double* sw
    cdef const double* mat = NULL
    cdef const double* shifts = &shift[0]
    cdef const double* z_shifts = NULL
    cdef const int32_t* group = NULL
    cdef double* s_ptr = NULL
    cdef double* w_ptr = NULL
    cdef const int64_t[::1] indptr, s_at, w_at
    cdef const int32_t[::1] cols, width
    cdef const double[::1] vals
    cdef double[::1] s_flat, w_flat
    cdef bint is_ragged = ragged is not None, weighted = weights is not None
    if basis is not None:
        mat = &basis[0, 0]
    if codes is not None:
        group = &codes[0]
    if z is not None:
        k = z.n_columns
        z_shifts = &z_shift[0]
        s_ptr = &s[0, 0, 0]
        w_ptr = &w[0, 0, 0]
    if is_ragged:
        indptr, cols, vals, width, s_at, w_at, s_flat, w_flat = ragged
    padded = (c + LANES - 1) // LANES * LANES
    block = <double*> calloc((c + 1) * BLOCK, sizeof(double))
    zblock = <double*> calloc((k + 1) * BLOCK, sizeof(double))
    rows = <double*> calloc(BLOCK * padded, sizeof(double))
    acc = <double*> calloc(k * padded + k * k + 1, sizeof(double))
    sw = <double*> malloc(BLOCK * sizeof(double))
    if block == NULL or zblock == NULL or rows == NULL or acc == NULL or sw == NULL:
        free(block)
        free(zblock)
        free(rows)
        free(acc)
        free(sw)
        raise MemoryError()
    with nogil:
        for j in range(BLOCK):
            sw[j] = 1.0
        row = start
        while row < stop:
            m = stop - row if stop - row < BLOCK else BLOCK
            for j in range(c):
                gather(x.kind[j], x.data[j], x.stride[j], row, m, shifts[j], block + j * BLOCK)
                if m < BLOCK:
                    memset(block + j * BLOCK + m, 0, (BLOCK - m) * sizeof(double))
            for j in range(k):
                gather(z.kind[j], z.data[j], z.stride[j], row, m, z_shifts[j],
                       zblock + j * BLOCK)
            if weighted:
                gather(weights.kind[0], weights.data[0], weights.stride[0], row, m, 0.0, sw)
                for j in range(m):
                    sw[j] = sqrt(sw[j])
                scale_rows(block, sw, c)
                scale_rows(zblock, sw, k)
            if mat != NULL:
                transform(block, c, mat)
            gram(block, c, &total[0, 0])
            if k > 0:
                scatter(zblock, k, block, c, rows, acc, group + row, m, s_ptr, w_ptr)
            if is_ragged:
                scatter_ragged(&indptr[0], &cols[0], &vals[0], sw, block, c, group + row, row, m,
                               &width[0], &s_at[0], &w_at[0], &s_flat[0], &w_flat[0])
            row += m
    free(block)
    free(zblock)
    free(rows)
    free(acc)
    free(sw)


def integer_range(const int64_t[::1] values):
    """Return the smallest and the largest of some integers, at least one."""
    cdef Py_ssize_t i
    cdef int64_t low = values[0], high = values[0]
    with nogil:
        for i in range(values.shape[0]):
            low = min(low, values[i])
            high = max(high, values[i])
    return low, high


def code_integers(const int64_t[::1] values, int64_t low, int64_t high):
    """Codes of integer labels in [low, high] and the sorted labels that occur.

    One counting pass and one look-up pass; returns (codes int32, labels int64, is_sorted).
    """
    cdef Py_ssize_t n = values.shape[0], i, span = high - low + 1, q = 0
    cdef int32_t* table = <int32_t*> calloc(span, sizeof(int32_t))
    if table == NULL:
        raise MemoryError()
    cdef cnp.ndarray codes = cnp.PyArray_EMPTY(1, [n], cnp.NPY_INT32, 0)
    cdef int32_t* out = <int32_t*> cnp.PyArray_DATA(codes)
    cdef bint in_order = True
    with nogil:
        for i in range(n):
            table[values[i] - low] = 1
        for i in range(span):
            if table[i]:
                table[i] = <int32_t> q
                q += 1
            else:
                table[i] = -1
    cdef cnp.npy_intp size = q
    cdef cnp.ndarray labels = cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT64, 0)
    cdef int64_t* names = <int64_t*> cnp.PyArray_DATA(labels)
    with nogil:
        for i in range(span):
            if table[i] >= 0:
                names[table[i]] = low + i
        for i in range(n):
            out[i] = table[values[i] - low]
            if i and out[i] < out[i - 1]:
                in_order = False
    free(table)
    return codes, labels, in_order
