"""Who is this animal? Answers with calibrated probabilities, and "new".

The order of use, all on arrays:

    similarities(…)            answers.py: how alike queries and the individuals of a catalogue are
    fit_calibrator(table, …)   fitting.py: a ``Calibrator`` from queries whose individual is known
    calibrator.label_probabilities(table)      calibration.py: P(k) of each individual and P(new)
    save_calibrator, load_calibrator           calibration_file.py: JSON
    measure_open_set(…)        utils/open_sets.py: AUROC, DIR@FAR, OSCR, BAKS, BAUS
"""
