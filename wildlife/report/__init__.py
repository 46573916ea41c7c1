"""Reports of test results: the page of a test, comparisons, tables of runs, model cards."""
