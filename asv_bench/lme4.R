# Fits a model each time a line arrives on standard input; answers with seconds and criterion.
# Arguments: file of float64 columns, names of the columns, names of the groups, formula.
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
columns <- strsplit(arguments[2], ",")[[1]]
values <- readBin(arguments[1], "double", file.size(arguments[1]) / 8)
frame <- as.data.frame(matrix(values, ncol = length(columns), dimnames = list(NULL, columns)))
for (group in strsplit(arguments[3], ",")[[1]]) frame[[group]] <- factor(frame[[group]])
formula <- as.formula(arguments[4])
orders <- file("stdin", "r")
cat("ready\n")
while (length(readLines(orders, 1))) {
  start <- as.numeric(Sys.time())
  model <- suppressMessages(suppressWarnings(lmer(formula, frame)))
  seconds <- as.numeric(Sys.time()) - start
  cat(sprintf("%.9f %.17g\n", seconds, -2 * as.numeric(logLik(model))))
}
