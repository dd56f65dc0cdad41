# Maximal models of crossed.csv by lme4, iterated far beyond its default tolerances.
# Rscript maximal.R  (in the folder of maximal.csv); prints JSON.
library(lme4)
d <- read.csv("maximal.csv", stringsAsFactors = TRUE)
models <- list(
  maximal = y ~ a * b + (a * b | subject) + (a * b | item),
  maximal_singular = y_singular ~ a * b + (a * b | subject) + (a * b | item),
  maximal_three = y_three ~ a * b + (a * b | subject) + (a * b | item) + (a + b | site))
for (name in names(models)) for (reml in c(TRUE, FALSE)) {
  best <- NULL
  start <- NULL
  for (round in 1:4) {
    for (opt in c("bobyqa", "nloptwrap")) {
      ctl <- if (opt == "bobyqa")
        lmerControl(optimizer = opt, calc.derivs = FALSE, check.conv.singular = "ignore",
                    optCtrl = list(maxfun = 1e5, rhobeg = 0.1 / round, rhoend = 1e-9))
      else
        lmerControl(optimizer = opt, calc.derivs = FALSE, check.conv.singular = "ignore",
                    optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", maxeval = 1e5, xtol_abs = 1e-10,
                                   xtol_rel = 1e-12, ftol_abs = 1e-12, ftol_rel = 1e-15))
      f <- suppressWarnings(lmer(models[[name]], d, REML = reml, start = start, control = ctl))
      v <- -2 * as.numeric(logLik(f))
      if (is.null(best) || v < best) { best <- v; start <- getME(f, "theta"); keep <- f }
    }
  }
  cat(jsonlite::toJSON(list(name = name, reml = reml, formula = deparse1(models[[name]]),
      criterion = best, sigma = sigma(keep), theta = unname(start), beta = unname(fixef(keep)),
      singular = isSingular(keep, 1e-4)),
      auto_unbox = TRUE, digits = NA), "\n")
}
