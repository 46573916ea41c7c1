// The table of individuals, the confusions, and what the page leaves out; then the first list.

const COLUMNS = [ // key, title, whether a column of numbers, cell
  ['name', 'individual', false, (row) => element('button', { type: 'button', className: 'plain', onclick: () => showOnly(row.who) }, data.names[row.who])],
  ['mAP', 'mAP', true, (row) => shareCell(row.mAP)],
  ['rank1', 'rank-1', true, (row) => shareCell(row.rank1)],
  ['queries', 'queries', true, (row) => String(row.queries)],
  ['gallery', 'in gallery', true, (row) => String(row.gallery)],
  ['worst', 'worst query', false, (row) => worstCell(row)],
];
const table = document.getElementById('individual-table');
const sorting = { key: 'mAP', down: false };

function shareCell(value) {
  const bar = element('i');
  bar.style.width = `${100 * (value ?? 0)}%`;
  return element('span', {}, percent(value), element('span', { className: 'share', 'aria-hidden': 'true' }, bar));
}

function worstCell(row) {
  if (row.worst === null) return '–';
  const query = data.queries[row.worst];
  const show = () => { form.reset(); setTimeout(() => focusPhoto(row.worst, 0), 20); };
  return element('span', { className: 'worst' }, picture(photoOf(query)),
    element('button', { type: 'button', className: 'plain', onclick: show }, `query ${query.number}, AP ${percent(query.ap)}`));
}

function sortValue(row, key) {
  if (key === 'name') return data.names[row.who];
  if (key === 'worst') return row.worst === null ? Infinity : data.queries[row.worst].ap;
  return row[key] ?? Infinity;
}

function compareRows(a, b) {
  const [left, right] = [sortValue(a, sorting.key), sortValue(b, sorting.key)];
  const order = typeof left === 'string' ? left.localeCompare(right, 'en', { numeric: true }) : left - right;
  return sorting.down ? -order : order;
}

function heading([key, title, numbers]) {
  const sign = sorting.key !== key ? ' ↕' : sorting.down ? ' ↓' : ' ↑';
  const button = element('button', { type: 'button' }, title, element('span', { 'aria-hidden': 'true' }, sign));
  button.onclick = () => {
    sorting.down = sorting.key === key && !sorting.down;
    sorting.key = key;
    showTable();
    table.querySelectorAll('th button')[COLUMNS.findIndex((column) => column[0] === key)].focus();
  };
  const sorted = sorting.key !== key ? 'none' : sorting.down ? 'descending' : 'ascending';
  return element('th', { scope: 'col', className: numbers ? 'number' : '', 'aria-sort': sorted }, button);
}

function showTable() {
  const body = element('tbody');
  for (const row of [...data.individuals].sort(compareRows)) {
    const cells = COLUMNS.map(([, , numbers, cell]) => element('td', { className: numbers ? 'number' : '' }, cell(row)));
    body.append(element('tr', {}, ...cells));
  }
  table.replaceChildren(element('thead', {}, element('tr', {}, ...COLUMNS.map(heading))), body);
}

function showConfusions() {
  for (const row of data.confusions) {
    const query = data.queries[row.example];
    const nearest = data.photos[query.ranked[0][0]];
    const text = element('span', {}, element('b', {}, data.names[row.who]), ' taken for ', element('b', {}, data.names[row.other]),
      `: ${row.count} of ${row.queries} queries`);
    const button = element('button', { type: 'button', onclick: () => showOnly(row.who, [row.who, row.other]) },
      picture(photoOf(query)), picture(nearest), text);
    document.getElementById('confusion-list').append(element('li', {}, button));
  }
  if (!data.confusions.length) document.getElementById('confusion-text').textContent = 'None: the nearest photo is always right.';
}

/** Say what the page leaves out. */
function limits() {
  const { queries, individuals, without_thumbnail: without } = data.totals;
  const words = [];
  if (queries > data.queries.length) words.push(`Of ${queries} queries this page has the ${data.queries.length} hardest; queries.csv and ranked_lists.csv have all.`);
  if (individuals > data.individuals.length) words.push(`The table has the ${data.individuals.length} hardest of ${individuals} individuals.`);
  if (without) words.push(`${without} of ${data.photos.length} photos have no thumbnail in this page; they are read from the disk when shown.`);
  return words.join(' ');
}

showTable();
showConfusions();
makeFilters();
showList();
rows.forEach((row) => watcher.observe(row));
document.getElementById('limits').textContent = limits();
