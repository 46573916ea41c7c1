"""A catalogue of known individuals: their photos, features and all decisions.

A catalogue is a folder::

    nyala/catalogue.sqlite     one SQLite file, read and written by SQLAlchemy Core (schema.py)
    nyala/features/*.npy       (rows, D) float32, one file per model, can be memory-mapped

Tables. Deleted rows are gone from their table; the journal can restore each of them.

    settings       id, name, value: 'format' (of the schema), 'species', 'margin' (around boxes, as
                   a share of the box), 'model' (id of the model in use)
    individuals    id, name (unique), sex ('female', 'male', '' = unknown), notes
    aliases        id, alias (unique, also among the names), individual_id
    photos         id, path (absolute), sha256 and bytes (of the file), box ('' = whole photo, else
                   'x y width height [theta]' as shares of the upright photo), side (0 left, 1
                   right), camera, date (local time), encounter, place, individual_id (NULL = not
                   identified); (sha256, box) is unique, so each animal of a photo has one row
    models         id, key (unique text: all that features depend on), sha256 (of the weights),
                   length (D), file, rows (of the file), config (JSON), created; not in the journal
    features       id, model_id, photo_id, row (in the model's file), crc (CRC-32 of its bytes)
    decisions      id, photo_id, answer ('known', 'new', 'unsure', 'none'), individual_id, said
                   (the name as it was then), method ('human', 'machine'), probability, note, by,
                   program, at
    calibrations   id, model_id, content (JSON), by, at
    journal        id, at, by, program, action (what was done, in words), undoes (id of an entry)
    changes        id, entry_id, table_name, row_id, before, after (JSON of the row, NULL = no such
                   row)

Reading::

    from wildlife.catalogue.store import open_catalogue

    with open_catalogue('nyala') as catalogue:
        catalogue.settings()       # {'format': '1', 'species': …}
        catalogue.individuals()    # [Individual(id, name, aliases, sex, notes, photos, encounters,
                                   #             first_seen, last_seen)], by name
        catalogue.photos()         # [Photo(id, path, sha256, box, side, camera, date, encounter,
                                   #        place, individual_id, individual …)], by id
        catalogue.decisions()      # [Decision(…)], by id
        catalogue.model()          # Model in use: id, key, sha256, length, config …; None = none
        catalogue.model_in_use()   # the same, or an error that says how to get one
        features = catalogue.features()    # of the model in use; features(model) of another one
        features.matrix            # (R, D) float32 numpy memory map, L2-normalised rows;
                                   # torch.from_numpy(features.matrix) copies nothing
        features.photos            # N photos with features, by id
        features.rows              # (N,) int64: row of ``matrix`` of each photo
        features.owner             # (R,) int64: index in ``photos`` of each row, -1 = of no photo
        features.of(photos)        # (len(photos), D) array, a copy
        catalogue.calibration()    # newest Calibration of the model in use; None = none
        catalogue.journal()        # [Entry(id, at, by, program, action, undoes, undone)], by id

Each of these calls reads one consistent state. The product of two rows is their cosine similarity.

Writing: every function makes its changes in one transaction, which is one entry of the journal, and
returns the entry's number. ``Author(by, program)`` says who does it::

    from wildlife.catalogue.decisions import Answer, decide
    from wildlife.catalogue.edit import merge, remove_individual, rename, split, undo …
    from wildlife.catalogue.journal import Author

    me = Author('anna', 'tools.identify')
    decide(catalogue, me, [Answer(photo=12, answer='known', name='Nala', probability=0.98)])
    decide(catalogue, me, [Answer(photo=13, answer='new', name='Zuri')])   # creates Zuri
    undo(catalogue, me)                                                    # the last entry

    from wildlife.catalogue.calibrations import save_calibration
    save_calibration(catalogue, me, {'fingerprint': …, …})

New photos::

    from wildlife.catalogue.sources import photos_of_config, photos_of_source   # -> NewPhotos
    from wildlife.catalogue.encode import catalogue_encoder  # the model in use, checked
    from wildlife.catalogue.kept_features import kept_features
    from wildlife.catalogue.add import add_photos          # photos and features, one transaction

    new = photos_of_source(options)                        # wildlife.lists.options.ReadOptions
    encoder = catalogue_encoder(catalogue, opts)           # needs no --config_file
    add_photos(catalogue, me, new, encoder)
    with kept_features(photos, encoder, margin, folder) as vectors:
        ...                                                # {key: (D,)}, as those of the catalogue;
                                                           # kept in folder till the block's end

Several programs may read and write at once: a writer waits up to 30 s for another one. Rows of a
file of features never change after their transaction, so memory maps stay valid.
"""
