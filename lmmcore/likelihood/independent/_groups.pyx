"""Loops over independent groups: criterion and derivatives of the profiled likelihood.

Groups are packed LANES at a time, side by side, so that every line of the small dense algebra
below works on LANES groups at once, for any number of columns. Per group, with Z_g = Q_g R_g,

    N = I + R G R' = L L',   T = L^-1 Q'[X y],   Y = L^-1 R,
    log|V| = log|N|,  [X y]'V^-1[X y] = within + T'T,  Z'V^-1 Z = Y'Y,  Z'V^-1[X y] = Y'T.

Only sums of squares are formed: nothing cancels, and a singular G is no special case.
`multiplicity` says how many groups share R: groups of one R are replaced by few pseudo-groups
with the same sum of outer products of Q'[X y]. The readable twin is
`lmmcore.testing.twins.grouped_derivatives`.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport log, sqrt
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cnp.import_array()

cdef extern from "simd.h":
    ctypedef double vec "lmm_vec"
    ctypedef int cloned "LMM_CLONED"
    enum:
        LANES_ "LMM_LANES"

LANES = LANES_

cdef double LARGE = 1e150


cdef cloned factor(const vec* r, const double* lam, Py_ssize_t k, vec* rl, vec* n, vec* inv,
                   vec* pivots) noexcept nogil:
    """Cholesky factor L of N = I + (R lam)(R lam)' (lower triangle of n), 1 / diag L, pivots."""
    cdef Py_ssize_t a, b, c, l
    cdef vec t
    cdef double s
    for a in range(k):
        for c in range(k):
            t = r[0] * 0.0
            for b in range(a, k):
                s = lam[b * k + c]
                if s != 0.0:
                    t = t + r[a * k + b] * s
            rl[a * k + c] = t
    for a in range(k):
        for b in range(a + 1):
            t = rl[a * k] * rl[b * k]
            for c in range(1, k):
                t = t + rl[a * k + c] * rl[b * k + c]
            if a == b:
                t = t + 1.0
            for c in range(b):
                t = t - n[a * k + c] * n[b * k + c]
            if a == b:
                pivots[a] = t
                for l in range(LANES_):
                    (<double*> (inv + a))[l] = 1.0 / sqrt((<double*> &t)[l])
                n[a * k + a] = t * inv[a]
            else:
                n[a * k + b] = t * inv[b]
    return 0


cdef cloned forward(const vec* n, const vec* inv, Py_ssize_t k, const vec* w, Py_ssize_t q,
                    vec* t) noexcept nogil:
    """t = L^-1 w for k x q arrays."""
    cdef Py_ssize_t a, b, j
    cdef vec s
    for a in range(k):
        for j in range(q):
            s = w[a * q + j]
            for b in range(a):
                s = s - n[a * k + b] * t[b * q + j]
            t[a * q + j] = s * inv[a]
    return 0


cdef cloned criterion_blocks(const vec* r, const vec* w, const double* mult, const double* lam,
                             Py_ssize_t k, Py_ssize_t q, Py_ssize_t start, Py_ssize_t stop,
                             vec* work, double* gram, double* logdet) noexcept nogil:
    cdef Py_ssize_t block, a, i, j, l, at
    cdef vec* rl = work
    cdef vec* n = rl + k * k
    cdef vec* inv = n + k * k
    cdef vec* pivots = inv + k
    cdef vec* t = pivots + k
    cdef vec* acc = t + k * q
    cdef vec s
    cdef double m, p, d, total = 0.0
    memset(acc, 0, (q * (q + 1) // 2) * sizeof(vec))
    for block in range(start, stop):
        factor(r + block * k * k, lam, k, rl, n, inv, pivots)
        forward(n, inv, k, w + block * k * q, q, t)
        at = 0
        for i in range(q):
            for j in range(i + 1):
                s = acc[at]
                for a in range(k):
                    s = s + t[a * q + i] * t[a * q + j]
                acc[at] = s
                at += 1
        for l in range(LANES_):
            m = mult[block * LANES_ + l]
            if m != 0.0:
                p = 1.0
                d = 0.0
                for a in range(k):
                    p *= (<double*> (pivots + a))[l]
                    if p > LARGE:
                        d += log(p)
                        p = 1.0
                total += m * (d + log(p))
    at = 0
    for i in range(q):
        for j in range(i + 1):
            for l in range(LANES_):
                gram[i * q + j] += (<double*> (acc + at))[l]
            at += 1
    logdet[0] += total
    return 0


cdef cloned derivative_blocks(const vec* r, const vec* w, const double* mult, const double* lam,
                              const double* inverse, Py_ssize_t k, Py_ssize_t q,
                              const int32_t* pa, const int32_t* pb, const int32_t* pc,
                              Py_ssize_t n_pairs, Py_ssize_t n_coords, bint reml,
                              double weight_c, double weight_e, double weight_s,
                              Py_ssize_t start, Py_ssize_t stop, vec* work, double* trace,
                              double* quad, double* outer, double* c_out, double* f_out,
                              Py_ssize_t ld) noexcept nogil:
    """Sums over groups that make up gradient and Hessian in the coordinates of G.

    Coordinate c is a symmetric pattern E_c, the sum of unit matrices over its pairs (a, b).
    trace[c] = sum tr(C E_c); quad[c, d] = sum tr(C E_c F E_d) with
    F = weight_c C + weight_e B B' + weight_s s s'; outer[c] = sum of B_a' B_b over the pairs, where
    [B s] = Y'T inverse' has the columns of Z'V^-1[X e] in the metric of X'V^-1X and r^2.
    Where c_out is given, the lower triangles of C and F are written (entry by entry, groups side
    by side, ld apart) and quad is left out: for many columns it is a product of matrices.
    """
    cdef Py_ssize_t block, a, b, d, i, j, l, u, v, c, at, tri = q * (q + 1) // 2
    cdef Py_ssize_t first = 0 if reml else q - 1
    cdef vec* rl = work
    cdef vec* n = rl + k * k
    cdef vec* inv = n + k * k
    cdef vec* pivots = inv + k
    cdef vec* t = pivots + k
    cdef vec* y = t + k * q
    cdef vec* bs = y + k * k
    cdef vec* cm = bs + k * q
    cdef vec* f = cm + k * k
    cdef vec* acc_trace = f + k * k
    cdef vec* acc_quad = acc_trace + n_coords
    cdef vec* acc_outer = acc_quad + n_coords * n_coords
    cdef vec* o
    cdef vec s, e, m
    memset(acc_trace, 0, (n_coords + n_coords * n_coords + n_coords * tri) * sizeof(vec))
    for block in range(start, stop):
        factor(r + block * k * k, lam, k, rl, n, inv, pivots)
        forward(n, inv, k, w + block * k * q, q, t)
        forward(n, inv, k, r + block * k * k, k, y)
        for a in range(k):
            for j in range(q - 1, -1, -1):
                s = t[a * q + j] * inverse[j * q + j]
                for i in range(j):
                    s = s + t[a * q + i] * inverse[j * q + i]
                t[a * q + j] = s
        for a in range(k):
            for j in range(q):
                s = y[a] * t[j]
                for d in range(1, k):
                    s = s + y[d * k + a] * t[d * q + j]
                bs[a * q + j] = s
        m = (<const vec*> (mult + block * LANES_))[0]
        for a in range(k):
            for b in range(a + 1):
                s = y[a] * y[b]
                for d in range(1, k):
                    s = s + y[d * k + a] * y[d * k + b]
                cm[a * k + b] = s
                cm[b * k + a] = s
                e = s * 0.0
                if weight_e != 0.0:
                    for j in range(q - 1):
                        e = e + bs[a * q + j] * bs[b * q + j]
                s = (m * s) * weight_c + e * weight_e + (
                    bs[a * q + q - 1] * bs[b * q + q - 1]) * weight_s
                f[a * k + b] = s
                f[b * k + a] = s
        if c_out != NULL:
            at = (block - start) * LANES_
            for a in range(k):
                for b in range(a + 1):
                    (<vec*> (c_out + at))[0] = cm[a * k + b]
                    (<vec*> (f_out + at))[0] = f[a * k + b]
                    at += ld
        for u in range(n_pairs):
            a = pa[u]
            b = pb[u]
            c = pc[u]
            acc_trace[c] = acc_trace[c] + m * cm[a * k + b]
            for v in range(0 if c_out != NULL else n_pairs):
                acc_quad[c * n_coords + pc[v]] = (
                    acc_quad[c * n_coords + pc[v]] + cm[pb[v] * k + a] * f[b * k + pa[v]])
            o = acc_outer + c * tri
            at = first * (first + 1) // 2
            for i in range(first, q):
                s = bs[a * q + i]
                for j in range(i + 1):
                    o[at] = o[at] + s * bs[b * q + j]
                    at += 1
    for c in range(n_coords):
        for l in range(LANES_):
            trace[c] += (<double*> (acc_trace + c))[l]
    for c in range(n_coords * n_coords):
        for l in range(LANES_):
            quad[c] += (<double*> (acc_quad + c))[l]
    for c in range(n_coords * tri):
        for l in range(LANES_):
            outer[c] += (<double*> (acc_outer + c))[l]
    return 0


cdef class Batch:
    """Groups that have the same columns, packed LANES at a time.

    Parameters
    ----------
    r : float64 array (blocks, k, k, LANES), upper triangular R of each group
    w : float64 array (blocks, k, q, LANES), Q'[X y] of each group
    multiplicity : float64 array (blocks, LANES)
    pairs : int32 arrays (a, b, c): coordinate c contains the entry (a, b) of G
    n_coords : int, number of coordinates
    """

    cdef readonly Py_ssize_t k, q, n_blocks, n_coords, n_pairs
    cdef const double[:, :, :, ::1] r, w
    cdef const double[:, ::1] multiplicity
    cdef const int32_t[::1] pa, pb, pc

    def __init__(self, r, w, multiplicity, pairs, Py_ssize_t n_coords):
        self.r, self.w, self.multiplicity = r, w, multiplicity
        self.pa, self.pb, self.pc = pairs
        self.n_blocks, self.k, self.q = r.shape[0], r.shape[1], w.shape[2]
        self.n_coords, self.n_pairs = n_coords, self.pa.shape[0]
        if self.k < 1 or self.w.shape[1] != self.k or r.shape[3] != LANES_:
            raise ValueError("r and w do not fit")

    def __reduce__(self):
        pairs = np.asarray(self.pa), np.asarray(self.pb), np.asarray(self.pc)
        r, w = np.asarray(self.r), np.asarray(self.w)
        return Batch, (r, w, np.asarray(self.multiplicity), pairs, self.n_coords)

    def criterion(self, const double[:, ::1] lam, Py_ssize_t start, Py_ssize_t stop,
                  double[:, ::1] gram):
        """Add T'T of blocks start:stop to the lower triangle of gram; return log|N|."""
        cdef Py_ssize_t k = self.k, q = self.q
        cdef double logdet = 0.0
        cdef vec* work = <vec*> calloc(2 * k * k + 2 * k + k * q + q * (q + 1) // 2, sizeof(vec))
        if work == NULL:
            raise MemoryError()
        with nogil:
            criterion_blocks(<const vec*> &self.r[0, 0, 0, 0], <const vec*> &self.w[0, 0, 0, 0],
                             &self.multiplicity[0, 0], &lam[0, 0], k, q, start, stop, work,
                             &gram[0, 0], &logdet)
        free(work)
        return logdet

    def derivatives(self, const double[:, ::1] lam, const double[:, ::1] inverse, bint reml,
                    double weight_c, double weight_e, double weight_s, Py_ssize_t start,
                    Py_ssize_t stop, double[::1] trace, double[:, ::1] quad,
                    double[:, ::1] outer, double[:, ::1] c_out=None, double[:, ::1] f_out=None):
        """Add the sums of `derivative_blocks` over blocks start:stop.

        `c_out` and `f_out` (k (k + 1) / 2, groups) receive the triangles of C and F in place of quad.
        """
        cdef double* c_ptr = NULL
        cdef double* f_ptr = NULL
        cdef Py_ssize_t ld = 0
        if c_out is not None:
            c_ptr, f_ptr, ld = &c_out[0, 0], &f_out[0, 0], c_out.shape[1]
        cdef Py_ssize_t k = self.k, q = self.q, tri = q * (q + 1) // 2, nc = self.n_coords
        cdef vec* work = <vec*> calloc(
            5 * k * k + 2 * k + 2 * k * q + nc + nc * nc + nc * tri, sizeof(vec))
        if work == NULL:
            raise MemoryError()
        with nogil:
            derivative_blocks(<const vec*> &self.r[0, 0, 0, 0], <const vec*> &self.w[0, 0, 0, 0],
                              &self.multiplicity[0, 0], &lam[0, 0], &inverse[0, 0], k, q,
                              &self.pa[0], &self.pb[0], &self.pc[0], self.n_pairs, nc, reml,
                              weight_c, weight_e, weight_s, start, stop, work, &trace[0],
                              &quad[0, 0], &outer[0, 0], c_ptr, f_ptr, ld)
        free(work)

    def criterion_many(self, const double[:, :, ::1] lam, const double[:, :, :, ::1] y,
                       Py_ssize_t first, Py_ssize_t last, double[:, :, ::1] gram,
                       double[::1] logdet):
        """`criterion` of responses first:last, each with its own lam, added to gram and logdet.

        `y` (responses, blocks, k, LANES) takes the place of the last column of w.
        """
        cdef Py_ssize_t k = self.k, q = self.q, j
        cdef vec* w = self._copy_of_w()
        cdef vec* work = <vec*> calloc(2 * k * k + 2 * k + k * q + q * (q + 1) // 2, sizeof(vec))
        if w == NULL or work == NULL:
            free(w)
            free(work)
            raise MemoryError()
        with nogil:
            for j in range(first, last):
                self._put(w, &y[j, 0, 0, 0])
                criterion_blocks(<const vec*> &self.r[0, 0, 0, 0], w, &self.multiplicity[0, 0],
                                 &lam[j, 0, 0], k, q, 0, self.n_blocks, work, &gram[j, 0, 0],
                                 &logdet[j])
        free(w)
        free(work)

    def derivatives_many(self, const double[:, :, ::1] lam, const double[:, :, ::1] inverse,
                         const double[:, :, :, ::1] y, bint reml, double weight_c, double weight_e,
                         double weight_s, Py_ssize_t first, Py_ssize_t last,
                         double[:, ::1] trace, double[:, :, ::1] quad, double[:, :, ::1] outer):
        """`derivatives` of responses first:last, each with its own lam and inverse."""
        cdef Py_ssize_t k = self.k, q = self.q, tri = q * (q + 1) // 2, nc = self.n_coords, j
        cdef vec* w = self._copy_of_w()
        cdef vec* work = <vec*> calloc(
            5 * k * k + 2 * k + 2 * k * q + nc + nc * nc + nc * tri, sizeof(vec))
        if w == NULL or work == NULL:
            free(w)
            free(work)
            raise MemoryError()
        with nogil:
            for j in range(first, last):
                self._put(w, &y[j, 0, 0, 0])
                derivative_blocks(<const vec*> &self.r[0, 0, 0, 0], w, &self.multiplicity[0, 0],
                                  &lam[j, 0, 0], &inverse[j, 0, 0], k, q, &self.pa[0],
                                  &self.pb[0], &self.pc[0], self.n_pairs, nc, reml, weight_c,
                                  weight_e, weight_s, 0, self.n_blocks, work, &trace[j, 0],
                                  &quad[j, 0, 0], &outer[j, 0, 0], NULL, NULL, 0)
        free(w)
        free(work)

    cdef vec* _copy_of_w(self) noexcept nogil:
        cdef size_t size = self.n_blocks * self.k * self.q * sizeof(vec)
        cdef vec* w = <vec*> calloc(size, 1)
        if w != NULL:
            memcpy(w, &self.w[0, 0, 0, 0], size)
        return w

    cdef void _put(self, vec* w, const double* y) noexcept nogil:
        """Put a response in the last column of a copy of w."""
        cdef Py_ssize_t i, q = self.q
        for i in range(self.n_blocks * self.k):
            w[i * q + q - 1] = (<const vec*> y)[i]


def assemble(const double[::1] trace, const double[:, ::1] quad, const double[:, ::1] outer,
             Py_ssize_t p, bint reml, double of_q, double on_x, double on_w, double on_q):
    """Gradient (m,) and Hessian (m, m) in the coordinates of G from the sums over groups.

    With x the entries of `outer` that belong to X (REML only), w those of X and e, q that of e:
    ``g_c = trace_c - tr x_c - of_q q_c`` and
    ``h_cd = quad_cd + on_x <x_c, x_d> + 2 on_w <w_c, w_d> + on_q q_c q_d``.
    """
    cdef Py_ssize_t m = trace.shape[0], c, d, i, j, at
    cdef double t, u, x, w
    cdef cnp.npy_intp shape[2]
    shape[0] = shape[1] = m
    cdef cnp.ndarray gradient = cnp.PyArray_EMPTY(1, shape, cnp.NPY_DOUBLE, 0)
    cdef cnp.ndarray hessian = cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)
    cdef double* g = <double*> cnp.PyArray_DATA(gradient)
    cdef double* h = <double*> cnp.PyArray_DATA(hessian)
    cdef Py_ssize_t last = p * (p + 1) // 2
    with nogil:
        for c in range(m):
            t = trace[c] - of_q * outer[c, last + p]
            if reml:
                at = 0
                for i in range(p):
                    t -= outer[c, at + i]
                    at += i + 1
            g[c] = t
            for d in range(c + 1):
                x = 0.0
                if reml:
                    at = 0
                    for i in range(p):
                        for j in range(i):
                            x += 2.0 * outer[c, at] * outer[d, at]
                            at += 1
                        x += outer[c, at] * outer[d, at]
                        at += 1
                w = 0.0
                for j in range(p):
                    w += outer[c, last + j] * outer[d, last + j]
                u = outer[c, last + p] * outer[d, last + p]
                h[c * m + d] = 0.5 * (quad[c, d] + quad[d, c]) + on_x * x + 2.0 * on_w * w + on_q * u
                h[d * m + c] = h[c * m + d]
    return gradient, hessian


def chain_rule(const double[::1] g, const double[:, ::1] h, list factors, list slopes):
    """Gradient and Hessian in theta from those in the coordinates of G = L L'.

    Per term, L is k x w and the slopes dL (m, k, w); dG = dL L' + L dL', and L linear in theta
    adds 2 tr(D dL_i dL_j') with D = dd/dG.
    """
    cdef Py_ssize_t n = g.shape[0], total = 0, at, start, k, m, i, j, a, b, c, d, u, w
    cdef double t
    cdef const double[:, ::1] factor
    cdef const double[:, :, ::1] slope
    for item in slopes:
        total += item.shape[0]
    cdef cnp.npy_intp shape[2]
    shape[0] = shape[1] = total
    cdef cnp.ndarray gradient = cnp.PyArray_ZEROS(1, shape, cnp.NPY_DOUBLE, 0)
    cdef cnp.ndarray hessian = cnp.PyArray_ZEROS(2, shape, cnp.NPY_DOUBLE, 0)
    cdef double* grad = <double*> cnp.PyArray_DATA(gradient)
    cdef double* hess = <double*> cnp.PyArray_DATA(hessian)
    cdef double* jac = <double*> calloc(2 * total * n + 1, sizeof(double))
    cdef double* product = jac + total * n
    if jac == NULL:
        raise MemoryError()
    at = start = 0
    for u in range(len(factors)):
        factor = factors[u]
        slope = slopes[u]
        k, w, m = factor.shape[0], factor.shape[1], slope.shape[0]
        for i in range(m):
            c = at
            for a in range(k):
                for b in range(a + 1):
                    t = 0.0
                    for d in range(w):
                        t += slope[i, a, d] * factor[b, d] + factor[a, d] * slope[i, b, d]
                    jac[(start + i) * n + c] = t
                    c += 1
        for i in range(m):
            for j in range(i + 1):
                t = 0.0
                c = at
                for a in range(k):
                    for b in range(a + 1):
                        if g[c] != 0.0:
                            for d in range(w):
                                t += g[c] * slope[i, a, d] * slope[j, b, d]
                                t += g[c] * slope[i, b, d] * slope[j, a, d]
                        c += 1
                hess[(start + i) * total + start + j] = t
                hess[(start + j) * total + start + i] = t
        at += k * (k + 1) // 2
        start += m
    for i in range(total):
        for c in range(n):
            grad[i] += jac[i * n + c] * g[c]
            for d in range(n):
                product[i * n + c] += jac[i * n + d] * h[d, c]
        for j in range(i + 1):
            t = 0.0
            for c in range(n):
                t += product[i * n + c] * jac[j * n + c]
            hess[i * total + j] += t
            if j < i:
                hess[j * total + i] += t
    free(jac)
    return gradient, hessian


def pack(const double[:, ::1] a):
    """Put the rows of a (G, m) side by side in lanes: (blocks, m, LANES), zeros at the end."""
    cdef cnp.npy_intp shape[3]
    cdef Py_ssize_t g, j, block, lane
    shape[0], shape[1], shape[2] = (a.shape[0] + LANES_ - 1) // LANES_, a.shape[1], LANES_
    cdef cnp.ndarray result = cnp.PyArray_ZEROS(3, shape, cnp.NPY_DOUBLE, 0)
    cdef double* out = <double*> cnp.PyArray_DATA(result)
    with nogil:
        for g in range(a.shape[0]):
            block = g // LANES_
            lane = g - block * LANES_
            for j in range(a.shape[1]):
                out[(block * a.shape[1] + j) * LANES_ + lane] = a[g, j]
    return result


def whiten(const double[:, :, ::1] s, const double[:, :, ::1] w, const double[:, ::1] unit,
           double tolerance, Py_ssize_t start, Py_ssize_t stop, double[:, :, ::1] r,
           double[:, :, ::1] out, cnp.npy_bool[:, ::1] seen):
    """Triangular factors of groups start:stop: s = R'R, out = R'^-1 w, r = R unit.

    `s` holds lower triangles. A pivot below `tolerance` times its diagonal entry is a column that
    the earlier ones determine within the group: its row of R and of out is zero, and it is not seen.
    """
    cdef Py_ssize_t g, a, b, c, j, k = s.shape[1], q = w.shape[2]
    cdef double t
    cdef double* f = <double*> calloc(k * k, sizeof(double))
    if f == NULL:
        raise MemoryError()
    with nogil:
        for g in range(start, stop):
            for a in range(k):
                seen[g, a] = 0
                for b in range(a + 1):
                    t = s[g, a, b]
                    for c in range(b):
                        t -= f[a * k + c] * f[b * k + c]
                    if b < a:
                        f[a * k + b] = t / f[b * k + b] if f[b * k + b] > 0.0 else 0.0
                    elif t > tolerance * s[g, a, a]:
                        f[a * k + a] = sqrt(t)
                        seen[g, a] = 1
                    else:
                        f[a * k + a] = 0.0
                for j in range(q):
                    if f[a * k + a] > 0.0:
                        t = w[g, a, j]
                        for c in range(a):
                            t -= f[a * k + c] * out[g, c, j]
                        out[g, a, j] = t / f[a * k + a]
                    else:
                        out[g, a, j] = 0.0
            for a in range(k):
                for b in range(a, k):
                    t = 0.0
                    for c in range(a, b + 1):
                        t += f[c * k + a] * unit[c, b]
                    r[g, a, b] = t
    free(f)
