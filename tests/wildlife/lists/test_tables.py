"""wildlife/lists/tables.py, by whole runs of make_lists and by its functions."""

import pytest

from tests.wildlife.lists.samples import fails


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('m.csv', b'path,identity\na.png,x"y,"z"w\n', 'm.csv:2: not a readable CSV'),
        (
            'm.csv',
            b'path,identity,note\na.png,x,"big" bull\n',
            'double each double quote that is part of the text',
        ),
        (
            'm.csv',
            b'path,identity,note\na.png,x,"two\nlines"\nb.png,"x,y\nc.png,z,\n',
            'm.csv:4: a double quote in this row is not closed (read up to line 5',
        ),
        (
            'm.csv',
            b'path,identity\na.png,"x\nb.png,y\nc.png,"z"\n',
            'm.csv:2: a double quote in this row',
        ),
        (
            'm.csv',
            b'path,identity\na.png,"x\nb.png,y\nc.png,z"\n',
            "m.csv:2: the individual's name 'x\\nb.png",
        ),
        ('m.csv', b'path,identity\na.png,x,y\n', 'm.csv:2: 3 cells'),
        ('m.csv', b'path,identity\n\xe9.png,x\n', 'm.csv:2: not UTF-8'),
        ('m.csv', b'', 'no rows'),
        ('m.csv', b'path,identity\n', 'no rows'),
        ('m.csv', b'path,path,identity\na,b,c\n', "the column 'path' occurs twice"),
        ('m.csv', b'who,path\nx,a.png\n', 'no column gives the individual'),
        ('m.csv', b'identity,what\nx,a.png\n', 'no column gives the path'),
        ('m.csv', b'path,identity\n,x\n', 'm.csv:2: the path of the photo is empty'),
        ('m.csv', b'path,identity\na\x00.png,x\n', 'm.csv:2'),
        ('m.json', b'{"images": [', 'not readable JSON'),
        ('m.json', b'[' * 100_000, 'not readable JSON'),
        ('m.json', b'[]', 'not COCO-style'),
        ('m.json', b'{"images": [1], "annotations": []}', 'images 1: expected an object'),
        ('m.json', b'{"images": [{"id": 1}, {"id": 1}], "annotations": []}', 'id 1 occurs twice'),
        ('m.json', b'{"images": [], "annotations": [3]}', 'annotation 1: expected an object'),
        ('m.json', b'{"images": [], "annotations": []}', 'no annotations'),
        ('m.xlsx', b'PK', 'save a spreadsheet as CSV UTF-8'),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert said in fails(tmp_path / name, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
