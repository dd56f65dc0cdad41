"""A loop over independent groups: the derivative of the criterion in their cross-products.

The readable twin is `lmmcore.testing.twins.grouped_product_derivative`.
"""

from libc.math cimport sqrt
from libc.stdlib cimport free, malloc


def product_derivative(const double[:, :, ::1] s, const double[:, :, ::1] w,
                       const double[:, ::1] root, const double[:, ::1] inverse_h,
                       const double[::1] solution, double of_residual,
                       const Py_ssize_t[::1] kept, Py_ssize_t first, Py_ssize_t last,
                       double[:, :, ::1] zz, double[:, :, ::1] zx):
    """Put the derivative of groups first:last into `zz` (G, k, k) and `zx` (G, k, width), which is zero.

    Of `s`, lower triangles of Z'Z, the upper ones are not read; `root` is Λ (k, r). With
    K = Λ(Λ'Z'ZΛ + I)⁻¹Λ' and b = K Z'[X y] of the kept columns, for p fixed effects:

        zz = K + b_x H b_x' + c_r (b s)(b s)',   zx = [−b_x H, 0] − c_r (b s) s'.
    """
    cdef Py_ssize_t k = s.shape[1], r = root.shape[1], p = inverse_h.shape[0], q = p + 1
    cdef Py_ssize_t g, a, b, c, j
    cdef double t
    cdef double* work = <double*> malloc((2 * k * r + r * r + k * k + 2 * k * q + k + 1) * sizeof(double))
    if work == NULL:
        raise MemoryError()
    cdef double* sl = work               # Z'ZΛ
    cdef double* half = sl + k * r       # L⁻¹Λ' (r, k)
    cdef double* m = half + r * k
    cdef double* big_k = m + r * r
    cdef double* kz = big_k + k * k      # K Z'[X y]
    cdef double* moved = kz + k * q      # b_x H
    cdef double* e = moved + k * q       # b s
    with nogil:
        for g in range(first, last):
            for a in range(k):
                for c in range(r):
                    t = 0.0
                    for b in range(k):
                        t += (s[g, a, b] if b <= a else s[g, b, a]) * root[b, c]
                    sl[a * r + c] = t
            for a in range(r):
                for c in range(a + 1):
                    t = 1.0 if a == c else 0.0
                    for b in range(k):
                        t += root[b, a] * sl[b * r + c]
                    for b in range(c):
                        t -= m[a * r + b] * m[c * r + b]
                    if a == c:
                        m[a * r + a] = sqrt(t)
                    else:
                        m[a * r + c] = t / m[c * r + c]
                for b in range(k):
                    t = root[b, a]
                    for c in range(a):
                        t -= m[a * r + c] * half[c * k + b]
                    half[a * k + b] = t / m[a * r + a]
            for a in range(k):
                for b in range(a + 1):
                    t = 0.0
                    for c in range(r):
                        t += half[c * k + a] * half[c * k + b]
                    big_k[a * k + b] = t
                    big_k[b * k + a] = t
            for a in range(k):
                for j in range(q):
                    t = 0.0
                    for b in range(k):
                        t += big_k[a * k + b] * w[g, b, kept[j]]
                    kz[a * q + j] = t
                t = 0.0
                for j in range(q):
                    t += kz[a * q + j] * solution[j]
                e[a] = t
                for j in range(p):
                    t = 0.0
                    for c in range(p):
                        t += kz[a * q + c] * inverse_h[c, j]
                    moved[a * q + j] = t
                    zx[g, a, kept[j]] = -t - of_residual * e[a] * solution[j]
                zx[g, a, kept[p]] = -of_residual * e[a] * solution[p]
            for a in range(k):
                for b in range(k):
                    t = big_k[a * k + b] + of_residual * e[a] * e[b]
                    for j in range(p):
                        t += moved[a * q + j] * kz[b * q + j]
                    zz[g, a, b] = t
    free(work)
