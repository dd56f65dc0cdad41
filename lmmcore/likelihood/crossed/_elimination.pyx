"""Loops over the levels of crossed and nested factors: a blocked sparse Cholesky factorization.

Levels of the leading factors ("nodes") are eliminated one by one; what they leave is the dense lower
triangle of the remaining columns. Columns are numbered in the order of elimination: those of node v are
start[v] … start[v] + k - 1, the dense ones follow from m1 on. A node has entries, sorted: the
later columns that occur together with it, each with k numbers. How the arrays are made, and what
the quantities mean, is said in `plan` and `engine` beside this file; the readable twins are in
`lmmcore.testing.twins`.
"""

import numpy as np

from libc.math cimport fabs, log, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset


cdef int cholesky(double* a, Py_ssize_t k) noexcept nogil:
    """Lower factor of the lower triangle of a, in place; 1 when a is not positive definite."""
    cdef Py_ssize_t i, j, c
    cdef double t
    for j in range(k):
        t = a[j * k + j]
        for c in range(j):
            t -= a[j * k + c] * a[j * k + c]
        if not t > 0.0:
            return 1
        t = sqrt(t)
        a[j * k + j] = t
        for i in range(j + 1, k):
            for c in range(j):
                a[i * k + j] -= a[i * k + c] * a[j * k + c]
            a[i * k + j] /= t
    return 0


cdef int invert(double* a, double* out, Py_ssize_t k) noexcept nogil:
    """out = inverse of a (k x k, destroyed), with row pivots; 1 when a is singular."""
    cdef Py_ssize_t i, j, c, pivot
    cdef double t
    for i in range(k):
        for j in range(k):
            out[i * k + j] = 1.0 if i == j else 0.0
    for j in range(k):
        pivot = j
        for i in range(j + 1, k):
            if fabs(a[i * k + j]) > fabs(a[pivot * k + j]):
                pivot = i
        if not fabs(a[pivot * k + j]) > 0.0:
            return 1
        if pivot != j:
            for c in range(k):
                t = a[j * k + c]
                a[j * k + c] = a[pivot * k + c]
                a[pivot * k + c] = t
                t = out[j * k + c]
                out[j * k + c] = out[pivot * k + c]
                out[pivot * k + c] = t
        t = 1.0 / a[j * k + j]
        for c in range(k):
            a[j * k + c] *= t
            out[j * k + c] *= t
        for i in range(k):
            if i != j:
                t = a[i * k + j]
                if t != 0.0:
                    for c in range(k):
                        a[i * k + c] -= t * a[j * k + c]
                        out[i * k + c] -= t * out[j * k + c]
    return 0


cdef class Elimination:
    """An elimination plan with the numbers of a model and a workspace, which one fit uses at a time.

    Parameters
    ----------
    nodes, rows : `plan.NodeArrays`, `plan.DenseArrays`
    numbers : `plan.Numbers`
    """

    cdef readonly Py_ssize_t n_nodes, m1, m2
    cdef const int32_t[::1] factor, cols, tmap, child_node, dense_node, node_of, base_col
    cdef const int32_t[::1] dense_k, dense_factor, ks
    cdef const int64_t[::1] start, cptr, vptr, dptr, rfirst, child_ptr, child_entry, child_map
    cdef const int64_t[::1] entry_map, dense_ptr, dense_entry, base_ptr, kptr
    cdef const double[::1] diag, vals
    cdef double[::1] asm_, w, mbuf, bbuf, selfk, kappa
    cdef readonly Py_ssize_t kmax, longest

    def __init__(self, nodes, rows, numbers):
        self.factor, self.cols, self.tmap = nodes.factor, nodes.cols, nodes.tmap
        self.child_node, self.dense_node = nodes.child_node, nodes.dense_node
        self.node_of, self.ks, self.start = nodes.node_of, nodes.ks, nodes.start
        self.cptr, self.vptr, self.dptr, self.rfirst = nodes.cptr, nodes.vptr, nodes.dptr, nodes.rfirst
        self.child_ptr, self.child_entry, self.child_map = (
            nodes.child_ptr, nodes.child_entry, nodes.child_map)
        self.entry_map, self.dense_ptr, self.dense_entry = (
            nodes.entry_map, nodes.dense_ptr, nodes.dense_entry)
        self.kptr, self.kmax, self.longest = nodes.kptr, nodes.kmax, nodes.longest
        self.dense_k, self.dense_factor = rows.k, rows.factor
        self.base_ptr, self.base_col = rows.ptr, rows.col
        self.diag, self.vals = numbers.diag, numbers.vals
        size, squares = len(numbers.vals), len(numbers.diag)
        self.asm_, self.w = np.zeros(size), np.zeros(size)
        self.mbuf, self.bbuf, self.selfk = np.zeros(squares), np.zeros(squares), np.zeros(squares)
        self.kappa = np.zeros(max(1, nodes.n_kappa))
        self.n_nodes = self.factor.shape[0]
        self.m1, self.m2 = self.node_of.shape[0], self.dense_k.shape[0]

    def node_blocks(self):
        """Return the blocks Λ N^-1 Λ' of the nodes that `diagonal_blocks` has left, node by node."""
        return np.asarray(self.selfk)

    def eliminate(self, const double[:, :, ::1] lam, const double[:, :, ::1] dense_lam,
                  Py_ssize_t first, Py_ssize_t last):
        """Factor nodes first:last, whose children are done; return the sum of log|N| (NaN: failed).

        `lam` (factors, kmax, kmax) are the factors of the nodes' covariance matrices, `dense_lam` those
        by which the dense columns are scaled.
        """
        cdef double total = 0.0
        cdef int bad = 0
        cdef double* work = <double*> malloc((4 * self.kmax * self.kmax + 1) * sizeof(double))
        if work == NULL:
            raise MemoryError()
        with nogil:
            bad = self._eliminate(&lam[0, 0, 0], &dense_lam[0, 0, 0], first, last, work, &total)
        free(work)
        return float("nan") if bad else total

    cdef int _eliminate(self, const double* lam, const double* dense_lam, Py_ssize_t first,
                        Py_ssize_t last, double* work, double* total) noexcept nogil:
        cdef Py_ssize_t km = self.kmax, v, k, a, b, c, d, x, e, nc, t, u, kc, c0, width, pos, f
        cdef double* m
        cdef double* asm_v
        cdef double* w_v
        cdef double* bb
        cdef double* n_v = work
        cdef double* tmp = work + km * km
        cdef const double* l
        cdef const double* dl
        cdef const double* wu
        cdef double s, z
        for v in range(first, last):
            f = self.factor[v]
            k = self.ks[f]
            l = lam + f * km * km
            nc = self.cptr[v + 1] - self.cptr[v]
            m = &self.mbuf[self.dptr[v]]
            memcpy(m, &self.diag[self.dptr[v]], k * k * sizeof(double))
            asm_v = &self.asm_[self.vptr[v]]
            w_v = &self.w[self.vptr[v]]
            # Entries as they are; those of dense columns times the factor of their level.
            c = self.rfirst[v] - self.cptr[v]
            memcpy(asm_v, &self.vals[self.vptr[v]], c * k * sizeof(double))
            while c < nc:
                x = self.cols[self.cptr[v] + c] - self.m1
                width = self.dense_k[x]
                dl = dense_lam + self.dense_factor[x] * km * km
                if width == 1:
                    for a in range(k):
                        asm_v[c * k + a] = self.vals[self.vptr[v] + c * k + a] * dl[0]
                else:
                    for b in range(width):
                        for a in range(k):
                            s = 0.0
                            for d in range(width):
                                s += self.vals[self.vptr[v] + (c + d) * k + a] * dl[d * km + b]
                            asm_v[(c + b) * k + a] = s
                c += width
            for t in range(self.child_ptr[v], self.child_ptr[v + 1]):
                u = self.child_node[t]
                kc = self.ks[self.factor[u]]
                wu = &self.w[self.vptr[u]]
                c0 = self.child_entry[t] - self.cptr[u]
                for a in range(k):
                    for b in range(k):
                        s = 0.0
                        for x in range(kc):
                            s += wu[(c0 + a) * kc + x] * wu[(c0 + b) * kc + x]
                        m[a * k + b] -= s
                e = self.cptr[u + 1] - self.cptr[u]
                for c in range(c0 + k, e):
                    pos = self.tmap[self.child_map[t] + c - c0 - k]
                    for a in range(k):
                        s = 0.0
                        for x in range(kc):
                            s += wu[(c0 + a) * kc + x] * wu[c * kc + x]
                        asm_v[pos * k + a] -= s
            bb = &self.bbuf[self.dptr[v]]
            if k == 1:
                s = 1.0 + l[0] * m[0] * l[0]
                if not s > 0.0:
                    return 1
                total[0] += log(s)
                z = l[0] / sqrt(s)
                bb[0] = z
                for c in range(nc):
                    w_v[c] = z * asm_v[c]
                continue
            # N = I + L'ML, then B = chol(N)^-1 L'.
            for a in range(k):
                for b in range(k):
                    s = 0.0
                    for d in range(k):
                        s += m[a * k + d] * l[d * km + b]
                    tmp[a * k + b] = s
            for a in range(k):
                for b in range(a + 1):
                    s = 1.0 if a == b else 0.0
                    for d in range(k):
                        s += l[d * km + a] * tmp[d * k + b]
                    n_v[a * k + b] = s
            if cholesky(n_v, k):
                return 1
            for a in range(k):
                total[0] += 2.0 * log(n_v[a * k + a])
                for b in range(k):
                    s = l[b * km + a]
                    for d in range(a):
                        s -= n_v[a * k + d] * bb[d * k + b]
                    bb[a * k + b] = s / n_v[a * k + a]
            for c in range(nc):
                for a in range(k):
                    s = 0.0
                    for b in range(k):
                        s += bb[a * k + b] * asm_v[c * k + b]
                    w_v[c * k + a] = s
        return 0

    def dense_rows(self, const double[::1] base, double unit, double[:, ::1] out,
                   Py_ssize_t first, Py_ssize_t last):
        """Form rows first:last of the lower triangle that the eliminated nodes leave.

        `base` holds the cross-products of the dense columns, scaled; `unit` is added to the diagonal.
        """
        cdef Py_ssize_t j, t, e, v, k, c, x, pos, r0
        cdef double* row
        cdef const double* wv
        cdef const int32_t* cv
        cdef double s
        cdef int32_t shift = <int32_t> self.m1
        with nogil:
            for j in range(first, last):
                row = &out[j, 0]
                memset(row, 0, (j + 1) * sizeof(double))
                for t in range(self.base_ptr[j], self.base_ptr[j + 1]):
                    row[self.base_col[t]] += base[t]
                row[j] += unit
                for t in range(self.dense_ptr[j], self.dense_ptr[j + 1]):
                    e = self.dense_entry[t]
                    v = self.dense_node[t]
                    k = self.ks[self.factor[v]]
                    pos = e - self.cptr[v]
                    r0 = self.rfirst[v] - self.cptr[v]
                    wv = &self.w[self.vptr[v]]
                    cv = &self.cols[self.cptr[v]]
                    if k == 1:
                        s = wv[pos]
                        for c in range(r0, pos + 1):
                            row[cv[c] - shift] -= s * wv[c]
                    else:
                        for c in range(r0, pos + 1):
                            s = 0.0
                            for x in range(k):
                                s += wv[pos * k + x] * wv[c * k + x]
                            row[cv[c] - shift] -= s

    def forward(self, double[:, ::1] rhs):
        """Nodes' part of T = L^-1 Λ' rhs, in place; rows of dense columns come scaled and go reduced."""
        cdef Py_ssize_t r = rhs.shape[1], v, k, a, b, c, j, e
        cdef double* x
        cdef double* y
        cdef const double* bb
        cdef const double* wv
        cdef double s
        cdef double* tmp = <double*> malloc((self.kmax * r + 1) * sizeof(double))
        if tmp == NULL:
            raise MemoryError()
        with nogil:
            for v in range(self.n_nodes):
                k = self.ks[self.factor[v]]
                x = &rhs[0, 0] + self.start[v] * r
                bb = &self.bbuf[self.dptr[v]]
                memcpy(tmp, x, k * r * sizeof(double))
                for a in range(k):
                    for j in range(r):
                        x[a * r + j] = bb[a * k] * tmp[j]
                    for b in range(1, k):
                        s = bb[a * k + b]
                        for j in range(r):
                            x[a * r + j] += s * tmp[b * r + j]
                wv = &self.w[self.vptr[v]]
                c = 0
                for e in range(self.cptr[v], self.cptr[v + 1]):
                    y = &rhs[0, 0] + self.cols[e] * r
                    for a in range(k):
                        s = wv[c]
                        c += 1
                        for j in range(r):
                            y[j] -= s * x[a * r + j]
        free(tmp)

    def backward(self, double[:, ::1] rhs):
        """Nodes' part of Λ L'^-1 T, in place; rows of dense columns hold L'^-1 of theirs."""
        cdef Py_ssize_t r = rhs.shape[1], v, k, a, b, c, j, e
        cdef double* x
        cdef const double* y
        cdef const double* bb
        cdef const double* wv
        cdef double s
        cdef double* tmp = <double*> malloc((self.kmax * r + 1) * sizeof(double))
        if tmp == NULL:
            raise MemoryError()
        with nogil:
            for v in range(self.n_nodes - 1, -1, -1):
                k = self.ks[self.factor[v]]
                x = &rhs[0, 0] + self.start[v] * r
                wv = &self.w[self.vptr[v]]
                c = 0
                for e in range(self.cptr[v], self.cptr[v + 1]):
                    y = &rhs[0, 0] + self.cols[e] * r
                    for a in range(k):
                        s = wv[c]
                        c += 1
                        for j in range(r):
                            x[a * r + j] -= s * y[j]
                bb = &self.bbuf[self.dptr[v]]
                memcpy(tmp, x, k * r * sizeof(double))
                for a in range(k):
                    for j in range(r):
                        x[a * r + j] = bb[a] * tmp[j]
                    for b in range(1, k):
                        s = bb[b * k + a]
                        for j in range(r):
                            x[a * r + j] += s * tmp[b * r + j]
        free(tmp)

    def multiply(self, const double[:, ::1] x, const double[::1] base, double[:, ::1] out):
        """out = Z'Z x for x (columns, r); `base` are the cross-products of the dense columns."""
        cdef Py_ssize_t r = x.shape[1], v, k, a, b, c, j, e, row, t
        cdef double* y
        cdef double* z
        cdef const double* xv
        cdef const double* xe
        cdef const double* vv
        cdef double s
        with nogil:
            memset(&out[0, 0], 0, (self.m1 + self.m2) * r * sizeof(double))
            for v in range(self.n_nodes):
                k = self.ks[self.factor[v]]
                y = &out[0, 0] + self.start[v] * r
                xv = &x[0, 0] + self.start[v] * r
                for a in range(k):
                    for b in range(k):
                        s = self.diag[self.dptr[v] + a * k + b]
                        for j in range(r):
                            y[a * r + j] += s * xv[b * r + j]
                vv = &self.vals[self.vptr[v]]
                c = 0
                for e in range(self.cptr[v], self.cptr[v + 1]):
                    z = &out[0, 0] + self.cols[e] * r
                    xe = &x[0, 0] + self.cols[e] * r
                    for a in range(k):
                        s = vv[c]
                        c += 1
                        if s != 0.0:
                            for j in range(r):
                                y[a * r + j] += s * xe[j]
                                z[j] += s * xv[a * r + j]
            for row in range(self.m2):
                y = &out[0, 0] + (self.m1 + row) * r
                xv = &x[0, 0] + (self.m1 + row) * r
                for t in range(self.base_ptr[row], self.base_ptr[row + 1]):
                    s = base[t]
                    xe = &x[0, 0] + (self.m1 + self.base_col[t]) * r
                    z = &out[0, 0] + (self.m1 + self.base_col[t]) * r
                    for j in range(r):
                        y[j] += s * xe[j]
                    if self.base_col[t] != row:
                        for j in range(r):
                            z[j] += s * xv[j]

    def diagonal_blocks(self, const double[:, :, ::1] g, const double[:, ::1] inverse,
                        Py_ssize_t first, Py_ssize_t last, double[:, :, ::1] total,
                        double[::1] cross=None):
        """Add Z_v'V^-1 Z_v of nodes first:last, in descending order, to `total` by factor.

        `g` (factors, kmax, kmax) are the covariance matrices, `inverse` the lower triangle of the
        inverse of the dense rest. The blocks Λ N^-1 Λ' of the nodes go to `selfk`, and those
        between a node and its entries to `kappa` where a child needs them, and all to `cross`.
        """
        cdef int bad
        cdef Py_ssize_t size = 2 * self.longest * self.kmax + 4 * self.kmax * self.kmax + 1
        cdef double* work = <double*> calloc(size, sizeof(double))
        if work == NULL:
            raise MemoryError()
        with nogil:
            bad = self._diagonal_blocks(&g[0, 0, 0], &inverse[0, 0] if self.m2 else NULL, first,
                                        last, &total[0, 0, 0],
                                        NULL if cross is None else &cross[0], work)
        free(work)
        return bad == 0

    cdef int _diagonal_blocks(self, const double* g, const double* inverse, Py_ssize_t first,
                              Py_ssize_t last, double* total, double* cross,
                              double* work) noexcept nogil:
        cdef Py_ssize_t km = self.kmax, v, f, k, nc, r0, a, b, c, d, x, u, ku, cu, m2 = self.m2
        cdef Py_ssize_t col, base, pos
        cdef double* fv = work
        cdef double* pv = work + self.longest * km
        cdef double* av = pv + self.longest * km
        cdef double* t1 = av + km * km
        cdef double* t2 = t1 + km * km
        cdef double* t3 = t2 + km * km
        cdef const double* m
        cdef const double* asm_v
        cdef const double* gf
        cdef const double* row
        cdef const int32_t* cv
        cdef double s, z, kcd
        for v in range(last - 1, first - 1, -1):
            f = self.factor[v]
            k = self.ks[f]
            gf = g + f * km * km
            nc = self.cptr[v + 1] - self.cptr[v]
            r0 = self.rfirst[v] - self.cptr[v]
            m = &self.mbuf[self.dptr[v]]
            asm_v = &self.asm_[self.vptr[v]]
            cv = &self.cols[self.cptr[v]]
            # A = (I + M G)^-1, F = A (entries).
            for a in range(k):
                for b in range(k):
                    s = 1.0 if a == b else 0.0
                    for d in range(k):
                        s += m[a * k + d] * gf[d * km + b]
                    t1[a * k + b] = s
            if invert(t1, av, k):
                return 1
            for c in range(nc):
                for a in range(k):
                    s = 0.0
                    for b in range(k):
                        s += av[a * k + b] * asm_v[c * k + b]
                    fv[c * k + a] = s
            memset(pv, 0, nc * k * sizeof(double))
            # P = F K for the block K of the entries: first the columns of later nodes …
            c = 0
            while c < r0:
                u = self.node_of[cv[c]]
                ku = self.ks[self.factor[u]]
                for a in range(ku):
                    for b in range(ku):
                        kcd = self.selfk[self.dptr[u] + a * ku + b]
                        for x in range(k):
                            pv[(c + b) * k + x] += fv[(c + a) * k + x] * kcd
                base = self.entry_map[self.cptr[v] + c]
                for d in range(c + ku, nc):
                    pos = self.kptr[u] + self.tmap[base + d - c - ku] * ku
                    for a in range(ku):
                        kcd = self.kappa[pos + a]
                        for x in range(k):
                            pv[d * k + x] += fv[(c + a) * k + x] * kcd
                            pv[(c + a) * k + x] += fv[d * k + x] * kcd
                c += ku
            # … then the dense ones.
            if k == 1:
                for c in range(r0, nc):
                    row = inverse + (cv[c] - self.m1) * m2
                    s = 0.0
                    z = fv[c]
                    for d in range(r0, c):
                        kcd = row[cv[d] - self.m1]
                        s += kcd * fv[d]
                        pv[d] += kcd * z
                    pv[c] += s + row[cv[c] - self.m1] * z
            else:
                for c in range(r0, nc):
                    row = inverse + (cv[c] - self.m1) * m2
                    for d in range(r0, c):
                        kcd = row[cv[d] - self.m1]
                        for x in range(k):
                            pv[c * k + x] += kcd * fv[d * k + x]
                            pv[d * k + x] += kcd * fv[c * k + x]
                    kcd = row[cv[c] - self.m1]
                    for x in range(k):
                        pv[c * k + x] += kcd * fv[c * k + x]
            # t1 = P F', total += A M - P F', self = G A + G P F' G, kappa = -G P.
            for a in range(k):
                for b in range(k):
                    s = 0.0
                    for c in range(nc):
                        s += pv[c * k + a] * fv[c * k + b]
                    t1[a * k + b] = s
                    z = 0.0
                    for d in range(k):
                        z += av[a * k + d] * m[d * k + b]
                    total[f * km * km + a * km + b] += z - s
            for a in range(k):
                for b in range(k):
                    s = 0.0
                    z = 0.0
                    for d in range(k):
                        s += gf[a * km + d] * av[d * k + b]
                        z += gf[a * km + d] * t1[d * k + b]
                    t2[a * k + b] = s
                    t3[a * k + b] = z
            for a in range(k):
                for b in range(k):
                    s = t2[a * k + b]
                    for d in range(k):
                        s += t3[a * k + d] * gf[d * km + b]
                    self.selfk[self.dptr[v] + a * k + b] = s
            if self.kptr[v] >= 0 or cross != NULL:
                for c in range(nc):
                    for a in range(k):
                        s = 0.0
                        for d in range(k):
                            s -= gf[a * km + d] * pv[c * k + d]
                        if self.kptr[v] >= 0:
                            self.kappa[self.kptr[v] + c * k + a] = s
                        if cross != NULL:
                            cross[self.vptr[v] + c * k + a] = s
        return 0
