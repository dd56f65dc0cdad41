# Fits with covariance structures by glmmTMB and nlme; writes structures.json beside this file.
library(glmmTMB); library(nlme); library(jsonlite)
d <- read.csv("data/repeated.csv"); d$f <- factor(d$time); d$g <- factor(d$g)
ctl <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-15, x.tol = 1e-12))
out <- list()
add <- function(name, reml, ll, sigma, beta, cov) out[[length(out) + 1]] <<- list(
  name = name, reml = reml, loglik = as.numeric(ll), sigma = sigma, beta = unname(beta), cov = unname(cov))
terms <- c(us = "us(0 + f | g)", diag = "diag(0 + f | g)", csh = "cs(0 + f | g)", ar1 = "ar1(0 + f | g)",
           toeph = "toep(0 + f | g)", rr1 = "rr(0 + f | g, d = 1)", rr2 = "rr(0 + f | g, d = 2)")
for (reml in c(TRUE, FALSE)) {
  for (n in names(terms)) {
    m <- glmmTMB(as.formula(paste("y ~ x + f +", terms[[n]])), d, REML = reml, control = ctl)
    v <- VarCorr(m)$cond$g
    add(n, reml, logLik(m), sigma(m), fixef(m)$cond, matrix(as.numeric(v), nrow(v)))
  }
  how <- if (reml) "REML" else "ML"
  strict <- lmeControl(opt = "nlminb", msMaxIter = 1000, msTol = 1e-14, tolerance = 1e-12, maxIter = 200)
  for (n in c("cs", "id", "diag")) {
    pd <- switch(n, cs = pdCompSymm(~ 0 + f), id = pdIdent(~ 0 + f), diag = pdDiag(~ 0 + f))
    m <- lme(y ~ x + f, d, list(g = pd), method = how, control = strict)
    v <- getVarCov(m)
    add(paste0(n, if (n == "diag") "_nlme" else ""), reml, logLik(m), m$sigma, fixef(m), matrix(as.numeric(v), nrow(v)))
  }
}
write_json(out, "structures.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
