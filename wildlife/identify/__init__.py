"""Who is this animal? Answers with calibrated probabilities, and "new".

The order of use, all on arrays:

    similarities(…)                  answers.py: queries against the individuals of a catalogue
    encounter_means(…)               encounters.py: encounters as queries
    leave_out(…), fit_calibrator(…)  fitting.py: a ``Calibrator`` from photos of known individuals
    save_calibrator, load_calibrator calibration_file.py: as JSON
    calibrator.label_probabilities   calibration.py: P(k) of each individual and P(new)
    calibrator.limits, decide        known, new or unsure at a stated rate of errors
    calibrator.sets                  the labels that hold the truth with 95 %
    told_apart, trust_notes          what to say about it, in words
    measure_open_set(…)              utils/open_set_intervals.py: AUROC, DIR@FAR, OSCR, BAKS, BAUS
"""
