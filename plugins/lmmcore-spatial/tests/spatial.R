# Spatial fits by glmmTMB 1.1.5, and by nlminb on the likelihood itself; writes spatial.csv and spatial.json.
library(glmmTMB); library(jsonlite)
set.seed(20); G <- 40
xy <- rbind(c(0, 0), c(1, 0), c(0, 1.5), c(2, 2), c(3, 0.5), c(1, 3))
D <- as.matrix(dist(xy)); k <- nrow(xy)
L <- t(chol(exp(-D / 1.7)))
d <- do.call(rbind, lapply(1:G, function(g) {
  b <- 1.3 * as.numeric(L %*% rnorm(k)); i <- rep(1:k, each = 2)
  data.frame(g = g, x = xy[i, 1], y = xy[i, 2], u = rnorm(2 * k), b = b[i]) }))
d$z <- round(1 + 0.5 * d$u + d$b + 0.8 * rnorm(nrow(d)), 4); d$u <- round(d$u, 4); d$b <- NULL
keep <- sort(sample(nrow(d), 400)); d <- d[keep, ]
write.csv(d, "spatial.csv", row.names = FALSE)
d <- read.csv("spatial.csv"); d$pos <- numFactor(d$x, d$y); d$g <- factor(d$g)
out <- list()
add <- function(name, reml, ll, sigma, sd, range) out[[length(out) + 1]] <<- list(
  name = name, reml = reml, loglik = as.numeric(ll), sigma = sigma, sd = sd, range = range)
ctl <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-15, x.tol = 1e-12))
X <- model.matrix(~ u, d); y <- d$z; rows <- split(seq_len(nrow(d)), d$g)
deviance <- function(t, corr, reml) {
  A <- 0; b <- 0; logdet <- 0; q <- 0
  for (i in rows) {
    V <- exp(2 * t[2]) * corr(as.matrix(dist(d[i, c("x", "y")])) / exp(t[3])) + diag(exp(2 * t[1]), length(i))
    R <- chol(V); x <- backsolve(R, X[i, ], transpose = TRUE); r <- backsolve(R, y[i], transpose = TRUE)
    logdet <- logdet + 2 * sum(log(diag(R))); A <- A + crossprod(x); b <- b + crossprod(x, r); q <- q + sum(r^2)
  }
  v <- logdet + q - sum(b * solve(A, b)) + (length(y) - if (reml) ncol(X) else 0) * log(2 * pi)
  if (reml) v + as.numeric(determinant(A)$modulus) else v
}
matern <- function(nu) function(h) ifelse(h == 0, 1, 2^(1 - nu) / gamma(nu) * h^nu * besselK(pmax(h, 1e-10), nu))
direct <- list(sph = function(h) ifelse(h < 1, 1 - 1.5 * h + 0.5 * h^3, 0), mat32 = matern(1.5),
               mat52 = matern(2.5), mat08 = matern(0.8))
for (reml in c(TRUE, FALSE)) {
  for (n in c("exp", "gau")) {
    m <- glmmTMB(as.formula(paste0("z ~ u + ", n, "(0 + pos | g)")), d, REML = reml, control = ctl)
    t <- getME(m, "theta")
    # exp: corr = exp(-d exp(-t2)); gau: corr = exp(-d^2 exp(-2 t2)).
    add(n, reml, logLik(m), sigma(m), unname(exp(t[1])), unname(exp(t[2])))
  }
  for (n in names(direct)) {
    f <- function(t) deviance(t, direct[[n]], reml)
    t <- c(0, 0, log(2))
    for (i in 1:5) t <- nlminb(optim(t, f, control = list(reltol = 1e-16, maxit = 3000))$par, f,
                               control = list(rel.tol = 1e-15, x.tol = 1e-12))$par
    add(n, reml, -f(t) / 2, exp(t[1]), exp(t[2]), exp(t[3]))
  }
}
write_json(out, "spatial.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
