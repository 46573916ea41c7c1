"""Identification: which known individual a photo shows, or that it is new, with probabilities.

What ``tools.identify`` does:

    gallery_of(features)       gallery.py: the known individuals of a catalogue
    unidentified, new_question asking.py: the query photos, with features
    units_of(photos, …)        units.py: which photos get one answer together
    individual_scores(…)       search.py: exact search; unit_means: of the photos of a unit
    Answerer(…)                answering.py: ranked individuals, P(k), P(new), decision, set
    write_result, html_page    results.py, page.py; job.py does all of it in order

What ``tools.rank_photos`` does, without a catalogue:

    rank_photos(cfg, …)        from_lists.py: the same, from the lists of a config, uncalibrated

What ``tools.calibrate`` does:

    usable_individuals(…)      trained.py: those that the model was not trained on
    material_of, calibrate     calibrating.py: photos and pairs, the fit
    kept_calibrator, rule_of   kept.py: the saved calibrator, and decisions at a stated rate

Below both, on arrays:

    similarities(…)                  answers.py: queries against the individuals of a catalogue
    encounter_means(…)               encounters.py: encounters as queries
    leave_out(…), fit_calibrator(…)  fitting.py: a ``Calibrator`` from photos of known individuals
    judge(…)                         judging.py: how good its held-out probabilities are
    save_calibrator, load_calibrator calibration_file.py: as JSON
    calibrator.label_probabilities   calibration.py: P(k) of each individual and P(new)
    calibrator.thresholds, decide    known, new or unsure at a stated rate of errors
    calibrator.sets                  the labels that hold the truth with 95 %
    told_apart, trust_notes          sentences about its quality
    measure_open_set(…)              utils/open_set_intervals.py: AUROC, DIR@FAR, OSCR, BAKS, BAUS
"""
