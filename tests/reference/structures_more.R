# Fits with structures that glmmTMB 1.1.5 and nlme have no term for; writes structures_more.json beside this file.
# fa1: glmmTMB, as the sum of a reduced-rank and a diagonal term. known: lme with columns multiplied by a root of the
# known matrix. The others: the likelihood itself, written with dense matrices and maximized by nlminb and optim.
library(glmmTMB); library(nlme); library(jsonlite)
d <- read.csv("data/repeated.csv"); d$f <- factor(d$time); d$g <- factor(d$g)
out <- list()
add <- function(name, reml, ll, sigma, beta, cov) out[[length(out) + 1]] <<- list(
  name = name, reml = reml, loglik = as.numeric(ll), sigma = sigma, beta = unname(beta), cov = unname(cov))

X <- model.matrix(~ x + f, d); Z <- model.matrix(~ 0 + f, d); y <- d$y; k <- ncol(Z)
rows <- split(seq_len(nrow(d)), d$g)
deviance <- function(G, s2, reml, all = FALSE) {   # -2 log-likelihood with beta at its optimum
  A <- matrix(0, ncol(X), ncol(X)); b <- numeric(ncol(X)); logdet <- 0; q <- 0
  for (i in rows) {
    V <- Z[i, , drop = FALSE] %*% G %*% t(Z[i, , drop = FALSE]) + diag(s2, length(i))
    R <- chol(V); x <- backsolve(R, X[i, ], transpose = TRUE); r <- backsolve(R, y[i], transpose = TRUE)
    logdet <- logdet + 2 * sum(log(diag(R))); A <- A + crossprod(x); b <- b + crossprod(x, r); q <- q + sum(r^2)
  }
  beta <- solve(A, b); n <- length(y); p <- ncol(X)
  v <- logdet + q - sum(b * beta) + (n - if (reml) p else 0) * log(2 * pi)
  if (reml) v <- v + as.numeric(determinant(A)$modulus)
  if (all) list(value = v, beta = as.numeric(beta)) else v
}
toeplitz_cov <- function(r, sd) toeplitz(c(1, r, rep(0, k - 1 - length(r)))) * outer(sd, sd)
families <- list(
  toep = list(start = c(0, 0.3, 0.2, 0.1), G = function(t) toeplitz_cov(t[2:4], rep(exp(t[1]), k))),
  toep2 = list(start = c(0, 0.2), G = function(t) toeplitz_cov(t[2], rep(exp(t[1]), k))),
  toep3 = list(start = c(0, 0.3, 0.1), G = function(t) toeplitz_cov(t[2:3], rep(exp(t[1]), k))),
  toeph3 = list(start = c(rep(0, k), 0.3, 0.1), G = function(t) toeplitz_cov(t[k + 1:2], exp(t[1:k]))),
  ar1h = list(start = c(rep(0, k), 0.5), G = function(t) toeplitz_cov(tanh(t[k + 1])^(1:(k - 1)), exp(t[1:k]))))
for (reml in c(TRUE, FALSE)) {
  for (n in names(families)) {
    fam <- families[[n]]
    f <- function(t) { G <- fam$G(t[-1])
      if (min(eigen(G, TRUE, TRUE)$values) < 0) return(1e10); deviance(G, exp(2 * t[1]), reml) }
    t <- c(0, fam$start)
    for (i in 1:6) {
      t <- nlminb(t, f, control = list(rel.tol = 1e-15, x.tol = 1e-12, eval.max = 5000, iter.max = 5000))$par
      t <- optim(t, f, control = list(reltol = 1e-16, maxit = 5000))$par
    }
    t <- nlminb(t, f, control = list(rel.tol = 1e-15, x.tol = 1e-12, eval.max = 5000, iter.max = 5000))$par
    end <- deviance(fam$G(t[-1]), exp(2 * t[1]), reml, TRUE)
    add(n, reml, -end$value / 2, exp(t[1]), end$beta, fam$G(t[-1]))
  }
  ctl <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-15, x.tol = 1e-12))
  m <- glmmTMB(y ~ x + f + rr(0 + f | g, d = 1) + diag(0 + f | g), d, REML = reml, control = ctl)
  v <- VarCorr(m)$cond
  add("fa1", reml, logLik(m), sigma(m), fixef(m)$cond,
      matrix(as.numeric(v[[1]]), k) + matrix(as.numeric(v[[2]]), k))
  K <- 0.6^abs(outer(1:k, 1:k, "-")) + diag(0.5, k); L <- t(chol(K)); U <- Z %*% L
  for (j in 1:k) d[[paste0("u", j)]] <- U[, j]
  m <- lme(y ~ x + f, d, list(g = pdIdent(~ 0 + u1 + u2 + u3 + u4)), method = if (reml) "REML" else "ML",
           control = lmeControl(opt = "nlminb", msMaxIter = 1000, msTol = 1e-14, tolerance = 1e-12, maxIter = 200))
  add("known", reml, logLik(m), m$sigma, fixef(m), as.numeric(getVarCov(m)[1, 1]) * K)
}
write_json(out, "structures_more.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
