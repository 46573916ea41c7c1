"""wildlife/lists/levels.py, by whole runs of make_lists and by its functions."""

from tests.wildlife.lists.samples import fails, run, save, write_folder


def test_folders_of_a_camera_are_no_individuals(tmp_path):
    for number in range(4):
        save(tmp_path / 'card' / 'DCIM' / f'10{number}RECNX' / 'x.png')
    message = fails(tmp_path / 'card', tmp_path / 'out')
    assert 'individuals look like folders of a camera (100RECNX, 101RECNX, 102RECNX …)' in message
    assert (
        'make one folder per individual, or list the photos in a table' in message
        and '--identity-level 1' not in message
    )
    for individual in range(6):
        for name in ('100_PANA', '101apple'):
            save(
                tmp_path / 's' / f'i{individual}' / 'DCIM' / name / 'x.png',
                colour=(individual, len(name), 0),
            )
    message = fails(tmp_path / 's', tmp_path / 'out')
    assert (
        '--identity-level 1 gives 6 individuals (i0, i1, i2 …), or' in message
        and '--identity-level 2' not in message
    )
    assert (
        run(tmp_path / 's', tmp_path / 'out', '--identity-level', 1)['source']['individuals'] == 6
    )
    for number in range(6):
        for photo in range(2):
            save(tmp_path / 'n' / f'20{number}45678' / f'{photo}.png')  # eight digits are a name
            save(tmp_path / 'm' / f'10{number}MASAI' / f'{photo}.png')
    assert run(tmp_path / 'n', tmp_path / 'numbers')['source']['individuals'] == 6
    assert '--identity-level -1 uses them anyway' in fails(tmp_path / 'm', tmp_path / 'none')
    facts = run(tmp_path / 'm', tmp_path / 'names', '--identity-level', -1)
    assert facts['source']['individuals'] == 6
    assert any(
        '6 of 6 individuals have names that look like folders of a camera' in note
        for note in facts['notes']
    )


def test_individuals_at_different_depths(tmp_path):
    source = write_folder(tmp_path / 's', 6)
    for number in range(3):
        save(source / 'a03' / '2024' / f'{number}.png', colour=(number, 7, 7))
    (source / 'overview.png').write_bytes(
        (source / 'a00' / '0.png').read_bytes()
    )  # outside all folders: nobody's
    message = fails(source, tmp_path / 'out')
    assert "photos are at different depths, for example 'a00/0.png' and 'a03/2024/0.png'" in message
    assert '--identity-level 1 gives 6 individuals (a00, a01, a02 …)' in message
    assert '--identity-level -1 gives 7 individuals (2024, a00, a01 …)' in message
    facts = run(source, tmp_path / 'out', '--identity-level', 1)
    assert facts['source']['individuals'] == 6 and facts['left_out'] == {'unidentified': 1}
    facts = run(source, tmp_path / 'last', '--identity-level', -1)
    assert any(
        '1 of 7 individuals have names that look like years (2024)' in note
        for note in facts['notes']
    )


def test_folders_above_the_individuals_are_told(tmp_path):
    """Herds, or individuals above their encounters? Folders of splits, years or of all are
    neither.
    """
    expected = {'herds': True, 'years': False, 'one': False}
    for individual in range(8):
        for number in range(3):
            for name, above in (
                ('herds', f'h{individual // 3}'),
                ('years', f'{2020 + individual // 3}'),
                ('one', 'images'),
            ):
                save(tmp_path / name / above / f'i{individual}' / f'{number}.png')
    for name, told in expected.items():
        notes = run(tmp_path / name, tmp_path / f'out {name}')['notes']
        assert told == (
            'the folder that contains a photo names its individual; --identity-level 1 gives 3 '
            'individuals (h0, h1, h2)' in notes
        ) and told == any('--identity-level' in note for note in notes)


def test_one_folder_name_below_every_individual(tmp_path):
    for individual in range(6):
        for number in range(3):
            save(
                tmp_path / 's' / f'i{individual}' / 'crops' / f'{number}.png',
                colour=(individual, number, 0),
            )
    message = fails(tmp_path / 's', tmp_path / 'out')
    assert (
        "for example 'crops' in i0, i1, i2 …; --identity-level 1 gives 6 individuals (i0, i1, i2 …)"
        in message
    )
    assert '--identity-level -1' not in message  # of one individual there is nothing to learn
    assert (
        run(tmp_path / 's', tmp_path / 'out', '--identity-level', 1)['source']['individuals'] == 6
    )
