"""Photos that a table calls otherwise than the disk: what is matched, what is not, what is said."""

import os
import unicodedata

import pytest

from wildlife.lists.matching import match_paths

NFC, NFD = (unicodedata.normalize(form, 'Zo\u00e9') for form in ('NFC', 'NFD'))


def match(folder, files, paths, may_move=True):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return match_paths(paths, folder, may_move)


@pytest.mark.parametrize('may_move', [True, False])
@pytest.mark.parametrize(
    ('file', 'path', 'rule'),
    [
        (f'a/{NFD}.png', f'a/{NFC}.png', '1 in the Unicode form of accents'),
        (f'a/{NFC}.png', f'a/{NFD}.png', '1 in the Unicode form of accents'),
        (f'{NFD}/1.png', f'{NFC}/1.png', '1 in the Unicode form of accents'),
        ('A/IMG_1.JPG', 'a/img_1.jpg', '1 in upper and lower case'),
        (f'{NFD}.PNG', f'{NFC}.png', '1 in upper and lower case'),
        ('a/1.png', 'a/1', '1 in the extension, which the table lacks'),
        ('a/1.5.JPG', 'A/1.5', '1 in the extension, which the table'),
        ('a/1.jpg', 'A/1.HEIC', '1 in the extension'),
        ('a/1.png.jpg', 'a/1.png', '1 in the extension, which the table lacks'),
        ('a/1.png', r'C:/Users/ann/a/1.png', "1 in the folder ('C:/Users/ann' is '.' here)"),
        (
            '1.png',
            '/home/ann/1',
            "1 in the folder ('/home/ann' is '.' here) and in the extension, which the table lacks",
        ),
    ],
)
def test_one_file_fits(tmp_path, file, path, rule, may_move):
    matches = match(tmp_path, [file, 'b/2.png'], [path], may_move)
    assert matches.found == {path: file} and not matches.reasons
    assert matches.note.startswith(
        'path: 1 photo of the table found under another name on the disk'
    )
    assert rule in matches.note and f"for example '{path}' for '{file}'" in matches.note


@pytest.mark.parametrize(
    ('files', 'path', 'said'),
    [
        (
            ['a.PNG', 'A.png'],
            'a.png',
            "1 x several files fit, for example 'A.png' and 'a.PNG' for 'a.png': write full paths",
        ),
        (['a.png', 'a.jpg'], 'a', "1 x several files fit, for example 'a.jpg' and 'a.png' for 'a'"),
        (
            ['x/a.png', 'y/a.png'],
            'C:/z/a.png',
            (
                '1 x a file of this name in another folder, for example '
                "'x/a.png' and 'y/a.png' for 'C:/z/a.png'"
            ),
        ),
        (
            ['b.png'],
            'C:/z/a.png',
            '1 x an absolute path from another computer, and no file of this name here: name '
            "the photos' folder with --photos",
        ),
        (
            ['b.png'],
            'a.png',
            ('1 x no file of this name: correct the paths, or name another folder with --photos'),
        ),
        (['b.png'], 'https://photos.org/a.png', '1 x a web address: download the photos'),
    ],
)
def test_no_file_or_several(tmp_path, files, path, said):
    matches = match(tmp_path, files, [path])
    assert matches.found == {} and matches.note == '' and said in matches.reasons


def test_folders_of_another_computer_are_one_beginning_for_all(tmp_path):
    files = ['images/cam1/1.png', 'images/cam1/2.png', 'images/cam2/1.png', 'other/3.png']
    paths = [
        f'D:/field/2020/{path}'
        for path in ('Cam1/1.png', 'cam1/2', 'cam2/1.png', 'cam2/3.png', 'cam3/2.png')
    ]
    matches = match(tmp_path, files, paths, may_move=False)
    assert matches.found == dict(zip(paths, files[:3]))
    assert (
        "1 in the folder ('D:/field/2020' is 'images' here), for example 'D:/field/2020/cam2/1.png'"
        in matches.note
    )
    assert '2 x a file of this name in another folder' in matches.reasons


def test_relative_paths_begin_elsewhere_only_where_none_is_found(tmp_path):
    files = ['x/1.png', 'x/2.png', 'x/deep/3.png']
    paths = ['photos/1.png', 'photos/2.png', 'photos/deep/3.png']
    assert match(tmp_path, files, paths).found == dict(zip(paths, files))
    assert match(tmp_path, files, paths, may_move=False).found == {}
    assert match(tmp_path, files, ['../images/1.png', '../images/2.png']).found == {
        '../images/1.png': 'x/1.png',
        '../images/2.png': 'x/2.png',
    }
    gone = match(
        tmp_path, files, ['1.png'], may_move=False
    )  # others of the table are there: this one was put away
    assert (
        gone.found == {}
        and "1 x a file of this name in another folder, for example 'x/1.png' for '1.png'"
        in gone.reasons
    )


def test_folders_that_were_renamed_one_by_one_are_not_guessed(tmp_path):
    matches = match(
        tmp_path, ['Ann/1.png', 'Bo/1.png', 'Bo/2.png'], ['a/1.png', 'b/1.png', 'b/2.png']
    )
    assert matches.found == {} and '3 x a file of this name in another folder' in matches.reasons


def test_names_alone_in_folders_below(tmp_path):
    files = ['cam1/1.png', 'cam1/2.PNG', 'cam2/3.png', 'cam2/4.png', 'cam1/4.png']
    matches = match(tmp_path, files, ['1.png', '2.png', '3', '4.png'])
    assert matches.found == {'1.png': 'cam1/1.png', '2.png': 'cam1/2.PNG', '3': 'cam2/3.png'}
    assert (
        "1 in the folder (the table names none), for example '1.png' for 'cam1/1.png'"
        in matches.note
    )
    assert "'cam1/4.png' and 'cam2/4.png' for '4.png'" in matches.reasons


def test_two_copies_of_the_folder_are_told(tmp_path):
    files = ['images/a/1.png', 'images/a/2.png', 'backup/a/1.png', 'backup/a/2.png']
    matches = match(tmp_path, files, ['C:/x/a/1.png', 'C:/x/a/2.png'])
    assert (
        matches.found == {}
        and "for example 'backup/a/1.png' and 'images/a/1.png' for 'C:/x/a/1.png'"
        in matches.reasons
    )
    (tmp_path / 'a').mkdir()
    for name in ('1.png', '2.png'):
        (tmp_path / 'a' / name).touch()
    assert match(tmp_path, [], ['C:/x/a/1.png']).found == {
        'C:/x/a/1.png': 'a/1.png'
    }  # the folder that was named


def test_files_without_a_readable_name_are_told(tmp_path):
    (tmp_path / os.fsdecode(b'Zo\xe9.png')).touch()
    matches = match(tmp_path, [], ['Zo\u00e9.png'])
    assert matches.found == {}
    assert (
        '1 photo in the folder with a name that is not UTF-8 text, for example '
        "'Zo\\udce9.png': rename these files" in matches.reasons
    )


def test_a_link_to_nothing_is_no_match_for_itself(tmp_path):
    (tmp_path / 'a.png').symlink_to(tmp_path / 'gone.png')
    assert match(tmp_path, [], ['a.png']).found == {}
