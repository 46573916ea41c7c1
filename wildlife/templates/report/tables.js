// The table of individuals, the confusions, and what the page leaves out; then the first list.

const COLUMNS = [ // key, title, whether a column of numbers, cell
  ['name', 'individual', false, (row) => link(() => showOnly(row.who), data.names[row.who])],
  ['mAP', 'mAP', true, (row) => shareCell(row.mAP)],
  ['rank1', 'rank-1', true, (row) => shareCell(row.rank1)],
  ['queries', 'queries', true, (row) => String(row.queries)],
  ['gallery', 'in gallery', true, (row) => String(row.gallery)],
  ['worst', 'worst query', false, (row) => worstCell(row)],
];
const table = document.getElementById('individual-table');
const sorting = { key: 'mAP', down: false };

/** A button that looks like a link. */
const link = (does, text) => action(does, { className: 'plain' }, text);

function shareCell(value) {
  const bar = element('i');
  bar.style.width = `${100 * (value ?? 0)}%`;
  const share = element('span', { className: 'share', 'aria-hidden': 'true' }, bar);
  return element('span', {}, percent(value), share);
}

function worstCell(row) {
  if (row.worst === null) return '–';
  const query = data.queries[row.worst];
  const show = () => { form.reset(); setTimeout(() => focusPhoto(row.worst, 0), 20); };
  const text = link(show, `query ${query.number}, AP ${percent(query.ap)}`);
  return element('span', { className: 'worst' }, picture(photoOf(query)), text);
}

function sortValue(row, key) {
  if (key === 'name') return data.names[row.who];
  if (key === 'worst') return row.worst === null ? Infinity : data.queries[row.worst].ap;
  return row[key] ?? Infinity;
}

function compareRows(a, b) {
  const [left, right] = [sortValue(a, sorting.key), sortValue(b, sorting.key)];
  const isText = typeof left === 'string';
  const order = isText ? left.localeCompare(right, 'en', { numeric: true }) : left - right;
  return sorting.down ? -order : order;
}

function heading([key, title, numbers]) {
  let [sign, sorted] = [' ↕', 'none'];
  if (sorting.key === key) {
    [sign, sorted] = sorting.down ? [' ↓', 'descending'] : [' ↑', 'ascending'];
  }
  const sort = () => {
    sorting.down = sorting.key === key && !sorting.down;
    sorting.key = key;
    showTable();
    table.querySelectorAll('th button')[COLUMNS.findIndex((column) => column[0] === key)].focus();
  };
  const button = action(sort, {}, title, element('span', { 'aria-hidden': 'true' }, sign));
  const attributes = { scope: 'col', className: numbers ? 'number' : '', 'aria-sort': sorted };
  return element('th', attributes, button);
}

function showTable() {
  const body = element('tbody');
  for (const row of [...data.individuals].sort(compareRows)) {
    const cells = COLUMNS.map(
      ([, , numbers, cell]) => element('td', { className: numbers ? 'number' : '' }, cell(row)),
    );
    body.append(element('tr', {}, ...cells));
  }
  table.replaceChildren(element('thead', {}, element('tr', {}, ...COLUMNS.map(heading))), body);
}

function showConfusions() {
  for (const row of data.confusions) {
    const query = data.queries[row.example];
    const nearest = data.photos[query.ranked[0][0]];
    const [who, other] = [row.who, row.other].map((number) => element('b', {}, data.names[number]));
    const share = `: ${row.count} of ${row.queries} queries`;
    const text = element('span', {}, who, ' taken for ', other, share);
    const show = () => showOnly(row.who, [row.who, row.other]);
    const button = action(show, {}, picture(photoOf(query)), picture(nearest), text);
    document.getElementById('confusion-list').append(element('li', {}, button));
  }
  if (!data.confusions.length) say('confusion-text', 'None: the nearest photo is always right.');
}

/** Say what the page leaves out. */
function limits() {
  const { queries, individuals, without_thumbnail: without } = data.totals;
  const words = [];
  const [shownQueries, shownRows] = [data.queries.length, data.individuals.length];
  if (queries > shownQueries) {
    words.push(`Of ${queries} queries this page has the ${shownQueries} hardest; queries.csv and`
      + ' ranked_lists.csv have all.');
  }
  if (individuals > shownRows) {
    words.push(`The table has the ${shownRows} hardest of ${individuals} individuals.`);
  }
  if (without) {
    words.push(`${without} of ${data.photos.length} photos have no thumbnail in this page; they are`
      + ' read from the disk when shown.');
  }
  return words.join(' ');
}

showTable();
showConfusions();
makeFilters();
showList();
rows.forEach((row) => watcher.observe(row));
say('limits', limits());
