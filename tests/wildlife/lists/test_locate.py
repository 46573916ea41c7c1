"""wildlife/lists/locate.py, by whole runs of make_lists and by its functions."""

import html
import json

import pytest
from PIL import Image

from tests.wildlife.lists.samples import (
    STRANGE,
    fails,
    lists,
    photo_rows,
    run,
    save,
    table_rows,
    write_coco,
    write_csv,
    write_folder,
)


def test_photos_behind_links_say_where_they_are(tmp_path):
    source = write_folder(tmp_path / 'real' / 'species')
    (tmp_path / 'folders').mkdir()
    for folder in source.iterdir():
        (tmp_path / 'folders' / folder.name).symlink_to(folder)
    assert (
        '8 x link to a folder; links are not followed: '
        f'name the folder that they point to, {source}'
        in fails(tmp_path / 'folders', tmp_path / 'out')
    )
    for path in source.rglob('*.png'):
        link = tmp_path / 'files' / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    message = fails(tmp_path / 'files', tmp_path / 'out')
    assert (
        f'to {source}/' in message
        and 'name the folder that contains the photos, or copy them' in message
    )


def test_a_link_to_nothing(tmp_path):
    source = write_folder(tmp_path / 'species')
    (source / 'a00' / 'x.png').symlink_to(tmp_path / 'unmounted' / 'x.png')
    assert fails(source, tmp_path / 'out') == (
        f"1 of 33 photos are missing in '{source}' (a00/x.png): 1 x a link to a missing "
        "file, for example 'a00/x.png': "
        'restore the file, or delete the link; --skip-bad skips and counts such photos'
    )
    assert run(source, tmp_path / 'skip', '--skip-bad')['left_out'] == {'missing photo': 1}


def test_photos_that_are_missing_broken_or_elsewhere(tmp_path):
    rows = table_rows(tmp_path)
    rows[2]['path'] = 'photos/none.png'
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert (
        f"1 of 48 photos are missing in '{tmp_path}'" in message
        and 'm.csv:4: photos/none.png' in message
    )
    assert run(tmp_path / 'm.csv', tmp_path / 'skip', '--skip-bad')['left_out'] == {
        'missing photo': 1
    }

    (tmp_path / 'photos' / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n and no more')
    rows[2]['path'] = 'photos/broken.png'
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert 'm.csv:4' in message and 'broken.png: not a picture in a supported format' in message
    whole = (tmp_path / rows[3]['path']).read_bytes()
    (tmp_path / rows[3]['path']).write_bytes(whole[:-30])  # the head is fine
    assert run(tmp_path / 'm.csv', tmp_path / 'skip2', '--skip-bad')['left_out'] == {
        'broken photo': 2
    }

    inner = tmp_path / 'inner'
    inner.mkdir()
    rows = [row | {'path': f'../{row["path"]}'} for row in rows]
    message = fails(write_csv(inner / 'm.csv', rows), tmp_path / 'out', '--photos', inner)
    assert 'is outside the photos' in message and '--photos' in message
    rows = [
        row | {'path': str(tmp_path / row['path'].removeprefix('../'))}
        for row in table_rows(tmp_path)
    ]
    run(write_csv(inner / 'm.csv', rows), tmp_path / 'absolute', '--photos', tmp_path)
    assert lists(tmp_path / 'absolute')['train'][0].path.startswith('photos/')
    (tmp_path / 'secret.png').symlink_to(__file__)
    rows[0]['path'] = 'secret.png'
    assert 'links to ' in fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def make_strange(source, kind):
    """Something without a readable name below ``source``."""
    strange = source / 'a00' / STRANGE
    if kind == 'photo':
        save(strange.with_suffix('.png'))
    elif kind == 'folder':
        save(source / STRANGE / 'x.png')
    elif kind == 'file':
        strange.write_text('no photo')
    elif kind == 'ending':
        (source / 'a00' / f'x.{STRANGE}').write_text('no photo')
    elif kind == 'line break':
        save(source / 'a00' / 'x\ny\tz.png')
    elif kind == 'link to a folder':
        strange.symlink_to(source / 'a01')
    elif kind == 'link to a file':
        strange.with_suffix('.png').symlink_to(source / 'a01' / '0.png')
    elif kind == 'thumbnails':
        save(source / '.thumbnails' / f'{STRANGE}.png')


@pytest.mark.parametrize(
    ('kind', 'reason'),
    [
        ('photo', 'path that is not text'),
        ('folder', 'path that is not text'),
        ('line break', 'path that is not text'),
        ('link to a file', 'path that is not text'),
        ('file', "not a photo ('caf\udce9')"),
        ('ending', "not a photo ('.caf\udce9')"),
        ('link to a folder', 'link to a folder'),
        ('thumbnails', "in a folder '.thumbnails'"),
    ],
)
def test_names_that_are_no_text(tmp_path, kind, reason):
    source = write_folder(tmp_path / 's')
    expected = run(source, tmp_path / 'clean')
    make_strange(source, kind)
    if reason == 'path that is not text':
        message = fails(source, tmp_path / 'out')
        assert 'is not plain text; rename the photo; --skip-bad' in message and (
            '\\udce9' in message or '\\n' in message
        )
        assert not (tmp_path / 'out').exists()
        options = ['--skip-bad']
    else:
        options = []
    facts = run(source, tmp_path / 'out', *options, '--prepare')
    assert facts['left_out'] == {reason: 1} and lists(tmp_path / 'out') == lists(tmp_path / 'clean')
    assert facts['labels'] == expected['labels']
    row = next(row for row in photo_rows(tmp_path / 'out') if row['left_out'])
    assert 'udce9' in row['source'] or '\n' in row['source']
    assert '\\udce9' in row['left_out'] or 'caf' not in row['left_out']
    page = (tmp_path / 'out' / 'report.html').read_text(encoding='utf-8')
    assert reason.replace('\udce9', '\\udce9') in html.unescape(page)


def test_a_photo_may_be_a_link_to_a_name_that_is_no_text(tmp_path):
    source = write_folder(tmp_path / 's')
    (source / 'a00' / '0.png').rename(source / STRANGE)
    (source / 'a00' / '0.png').symlink_to(source / STRANGE)
    facts = run(source, tmp_path / 'out', '--skip-bad', '--prepare')
    assert facts['source']['photos'] == 32


def test_a_table_of_another_computer(tmp_path):
    """Windows paths in another case, photos in a folder beside the table, sizes of a COCO file by
    the table's names.
    """
    tree = write_coco(tmp_path / 'images', size=(40, 30), bbox=[5, 5, 20, 10])
    table = tmp_path / 'm.json'
    (tmp_path / 'images' / 'm.json').unlink()
    exif = Image.Exif()
    exif[0x112] = 6
    for image in tree['images']:
        save(tmp_path / 'images' / image['file_name'], size=(40, 30), exif=exif)
        image['file_name'] = 'C:\\Users\\Ann\\photos\\' + image['file_name'].replace('.png', '.PNG')
    table.write_text(json.dumps(tree))
    facts = run(table, tmp_path / 'out', '--margin', 0)
    note = next(
        note
        for note in facts['notes']
        if note.startswith('path: 24 photos of the table found under another name on the disk')
    )
    assert (
        "24 in the folder ('C:/Users/Ann/photos' is 'images' here) and in upper and lower case, "
        'for example' in note
    )
    listed = {row['source']: row['listed'] for row in photo_rows(tmp_path / 'out')}
    assert listed['images/0.png'] == 'images/0__5_5_20_10.png'
    with Image.open(tmp_path / 'out' / 'photos' / listed['images/0.png']) as photo:
        assert photo.size == (10, 20)  # the size said that boxes are meant in the stored picture


def test_names_without_their_endings_and_rows_that_are_no_photos(tmp_path):
    rows = table_rows(tmp_path)
    for row in rows:
        new = row['path'].replace('.png', '.left.png')
        (tmp_path / row['path']).rename(tmp_path / new)
        row['path'] = new.removesuffix('.png')
    rows.append(rows[0] | {'path': 'photos/clip.mp4'})
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert facts['source']['photos'] == 48 and facts['left_out'] == {"not a photo ('.mp4')": 1}
    assert lists(tmp_path / 'out')['train'][0].path.endswith('.left.png')
    rows[3]['path'] = 'photos/nobody'
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'none')
    assert (
        '1 of 49 photos are missing' in message
        and '1 x no file of this name: correct the paths' in message
    )


def test_two_rows_whose_names_are_one_file_on_this_disk(tmp_path):
    rows = table_rows(tmp_path)
    rows.append(rows[0] | {'path': rows[0]['path'].upper(), 'identity': 'another'})
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert f"'{rows[0]['path']}' occurs twice (another, ind 0): photo of two individuals" in message
