// The list of queries: filters, order, rows made when they come into view, keys.

const list = document.getElementById('list');
const form = document.getElementById('filters');
const rows = data.queries.map(
  (_, index) => element('li', { className: 'query', 'data-index': index }),
);
const FIELDS = { // filters by a fact of the query's photo; one with a single value is not shown
  who: ['individual', (query) => photoOf(query).who],
  encounter: ['encounter', (query) => photoOf(query).encounter],
  side: ['side', (query) => photoOf(query).side],
  camera: ['camera', (query) => photoOf(query).camera],
  group: ['group', (query) => query.group || undefined],
};
const KINDS = {
  '': ['all', () => true],
  wrong: ['wrong: another individual is nearest', (query) => verdict(query) === 'wrong'],
  hard: ['hard: the quarter with the lowest AP', (query) => query.hard],
  right: ['right', (query) => verdict(query) === 'right'],
  none: ['no match in the gallery', (query) => verdict(query) === 'none'],
};
const firstDistance = (query) => (query.ranked.length ? Number(query.ranked[0][1]) : Infinity);
const isRight = (query) => verdict(query) !== 'wrong';
const ORDERS = {
  '': ['as listed', null],
  ap: ['lowest AP first', (a, b) => !a.positives - !b.positives || a.ap - b.ap],
  sure: [
    'wrong and most alike first',
    (a, b) => isRight(a) - isRight(b) || firstDistance(a) - firstDistance(b),
  ],
};

let shown = []; // indices of the queries that pass the filters, in the order of the list
let confusion = null; // [who, other] of the chosen confusion
const current = { query: -1, rank: 0 }; // index of the query, and position in its ranking

/** A select with its label; options are [value, text] pairs. */
function choice(name, label, options) {
  const select = element('select', { name });
  for (const [value, text] of options) select.append(element('option', { value }, text));
  form.append(element('label', {}, label, select));
}

function makeFilters() {
  const used = Object.entries(KINDS).filter(([, [, test]]) => data.queries.some(test));
  choice('kind', 'show', used.map(([value, [text]]) => [value, text]));
  for (const [field, [label, valueOf]] of Object.entries(FIELDS)) {
    const values = [...new Set(data.queries.map(valueOf))].filter((value) => value !== undefined);
    if (values.length < 2) continue;
    const textOf = (value) => (field === 'who' ? data.names[value] : String(value));
    const texts = values.map((value) => [value, textOf(value)]);
    texts.sort((a, b) => a[1].localeCompare(b[1], 'en', { numeric: true }));
    choice(field, label, [['', 'all'], ...texts]);
  }
  choice('order', 'order', Object.entries(ORDERS).map(([value, [text]]) => [value, text]));
  form.append(element('button', { type: 'reset' }, 'Show all'));
  form.addEventListener('change', () => { confusion = null; showList(); });
  form.addEventListener('reset', () => { confusion = null; setTimeout(showList); });
  form.addEventListener('submit', (event) => event.preventDefault());
}

function passes(query) {
  const [, test] = KINDS[form.elements.kind.value];
  if (!test(query)) return false;
  for (const [field, [, valueOf]] of Object.entries(FIELDS)) {
    const wanted = form.elements[field]?.value ?? '';
    if (wanted !== '' && String(valueOf(query)) !== wanted) return false;
  }
  if (!confusion) return true;
  const nearest = query.ranked.length ? data.photos[query.ranked[0][0]].who : null;
  const [who, other] = confusion;
  return verdict(query) === 'wrong' && photoOf(query).who === who && nearest === other;
}

/** Show the queries that pass the filters. */
function showList() {
  const [, compare] = ORDERS[form.elements.order.value];
  shown = data.queries.map((_, index) => index).filter((index) => passes(data.queries[index]));
  if (compare) shown.sort((a, b) => compare(data.queries[a], data.queries[b]));
  list.replaceChildren(...shown.map((index) => rows[index]));
  const [who, other] = (confusion ?? []).map((number) => data.names[number]);
  const words = confusion ? `: ${who} taken for ${other}` : '';
  say('count', `${shown.length} of ${data.queries.length} queries${words}`);
  setCurrent(shown[0] ?? -1, 0);
}

/** Show only the queries of an individual, or of a confusion [who, other], and go there. */
function showOnly(who, pair = null) {
  form.reset();
  setTimeout(() => { // after the form's own reset
    if (!pair && form.elements.who) form.elements.who.value = String(who);
    confusion = pair;
    showList();
    document.getElementById('queries').scrollIntoView();
    focusPhoto(shown[0], 0);
  });
}

function photoButton(photo, style, second, label) {
  const lines = [nameOf(photo), second, facts(photo, true)];
  const attributes = {
    type: 'button',
    tabIndex: -1,
    className: `photo ${style}`,
    title: `${label}, ${facts(photo)}`,
    'aria-label': label,
  };
  const texts = lines.map((line) => element('span', {}, line));
  return element('button', attributes, picture(photo), ...texts);
}

/** The button of the photo at a position of the ranking. */
function rankedButton(query, rank) {
  const [place, distance, match] = query.ranked[rank];
  const photo = data.photos[place];
  const verdictWord = match ? 'same individual' : 'another individual';
  const label = `rank ${rank + 1}: ${nameOf(photo)}, ${verdictWord}, distance ${distance}`;
  const button = photoButton(photo, match ? 'yes' : 'no', `${rank + 1}.  ${distance}`, label);
  const [style, sign] = MARKS[match ? 'right' : 'wrong'];
  button.append(element('span', { className: `mark ${style}`, 'aria-hidden': 'true' }, sign));
  return button;
}

/** Fill in the row of a query, once. */
function fill(index) {
  const row = rows[index], query = data.queries[index], photo = photoOf(query);
  if (row.firstChild) return;
  const hit = query.first_hit ? `first match at rank ${query.first_hit}` : 'no match';
  const counts = `${hit} of ${query.compared}, ${query.positives} to find`;
  const result = query.positives ? `AP ${percent(query.ap)}, ${counts}` : hit;
  const path = element('span', { className: 'path', title: photo.path }, photo.path);
  const name = element('b', {}, nameOf(photo));
  const signs = [mark(verdict(query)), ` ${query.number}. `];
  const title = element('h3', {}, ...signs, name, ` · ${result} · `, path);
  const asked = photoButton(photo, 'asked', 'query', `query ${query.number}: ${nameOf(photo)}`);
  const strip = element('div', { className: 'strip' }, asked);
  query.ranked.forEach((_, rank) => strip.append(rankedButton(query, rank)));
  row.append(title, strip);
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) fill(Number(entry.target.dataset.index));
}, { rootMargin: '800px' });

/** Make a query and a photo of its ranking the current ones; only this photo is a tab stop. */
function setCurrent(index, rank) {
  const before = rows[current.query];
  before?.classList.remove('current');
  before?.querySelectorAll('[tabindex="0"]').forEach((button) => { button.tabIndex = -1; });
  current.query = index;
  if (index < 0) return null;
  fill(index);
  current.rank = Math.max(0, Math.min(rank, data.queries[index].ranked.length - 1));
  rows[index].classList.add('current');
  const buttons = rows[index].querySelectorAll('.photo');
  const button = buttons[current.rank + 1] ?? buttons[0]; // the query's own is the first
  button.tabIndex = 0;
  return button;
}

function focusPhoto(index, rank) {
  if (index === undefined || index < 0) return;
  const button = setCurrent(index, rank);
  rows[index].scrollIntoView({ block: 'nearest' });
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  if (zoom.open) showZoom();
}

/** Go to another query of the list. */
function step(by) {
  const place = shown.indexOf(current.query) + by;
  if (place >= 0 && place < shown.length) focusPhoto(shown[place], current.rank);
}

/** Go to the next wrong query after the current one; after the last one, to the first. */
function nextWrong() {
  const start = shown.indexOf(current.query) + 1;
  const isFocused = zoom.open || list.contains(document.activeElement);
  const order = [...shown.slice(start), ...shown.slice(0, start)];
  if (!isFocused && start > 0) order.unshift(current.query); // the first key press may stay
  const found = order.find((index) => verdict(data.queries[index]) === 'wrong');
  if (found === undefined) say('count', 'No wrong query among those shown');
  else focusPhoto(found, 0);
}

const ACTIONS = {
  w: nextWrong,
  z: () => toggleZoom(),
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  ArrowRight: () => focusPhoto(current.query, current.rank + 1),
  ArrowLeft: () => focusPhoto(current.query, current.rank - 1),
};

document.addEventListener('keydown', (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const command = ACTIONS[key];
  const typing = event.target.closest?.('select, input, textarea');
  if (!command || typing || event.ctrlKey || event.altKey || event.metaKey) return;
  const inList = zoom.open || list.contains(event.target);
  if (key.startsWith('Arrow') && !inList) return; // scrolls the page
  event.preventDefault();
  command();
});

list.addEventListener('click', (event) => {
  const row = event.target.closest('.query'), button = event.target.closest('.photo');
  if (!row) return;
  const rank = button ? [...row.querySelectorAll('.photo')].indexOf(button) - 1 : 0;
  focusPhoto(Number(row.dataset.index), rank);
  if (button && !zoom.open) toggleZoom();
});
