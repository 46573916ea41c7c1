"""wildlife/lists/report.py, by whole runs of make_lists and by its functions."""

import json
from html.parser import HTMLParser

from datasets.protocols import PROTOCOLS
from tests.wildlife.lists.samples import lists, photo_rows, run, table_rows, write_csv


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.text = [], [], ''

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data):
        self.text += data


def test_the_report(tmp_path):
    rows = table_rows(tmp_path)
    for row in rows:
        row['identity'] = f"<script>alert('{row['identity']}')</script>"
    rows[-1]['identity'] = rows[-1]['identity'].upper()  # a note tells of it
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert json.loads((tmp_path / 'out' / 'report.json').read_text()) == json.loads(
        json.dumps(facts)
    )
    page = Page()
    page.feed((tmp_path / 'out' / 'report.html').read_text())
    assert 'script' not in page.tags and page.tags.count('svg') == len(facts['splits'])
    assert page.links and all(link.startswith('data:image/jpeg;base64,') for link in page.links)
    for text in (
        PROTOCOLS['cross-encounter'].text,
        *facts['commands'],
        *facts['notes'],
        rows[0]['identity'],
    ):
        assert text in page.text
    assert any('<SCRIPT>' in note for note in facts['notes'])
    listed = {
        (row['source'], name): row
        for row in photo_rows(tmp_path / 'out')
        for name in row['split'].split()
    }
    for name, records in lists(tmp_path / 'out').items():
        for record in records:
            row = listed[record.path, name]
            assert (
                facts['labels']['train' if name in ('train', 'val') else 'test'][record.pid]
                == row['identity']
            )
            assert (
                row['side'] == ('left', 'right')[record.side]
                and int(row['encounter']) == record.encounter
            )
    assert len(listed) == sum(map(len, lists(tmp_path / 'out').values()))
