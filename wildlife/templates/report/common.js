'use strict';
// What the other scripts share. All text becomes text nodes, so names and paths need no escaping.

const data = JSON.parse(document.getElementById('data').textContent);

/** Make an element: properties and attributes by name, then children (elements or texts). */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Show a text in the element with this id. */
function say(id, text) {
  document.getElementById(id).textContent = text;
}

/** A button that does something. */
function action(does, attributes, ...children) {
  return element('button', { type: 'button', onclick: does, ...attributes }, ...children);
}

/** The address of a photo's file, relative to this page; '' if it cannot be written. */
function address(photo) {
  try {
    return data.root && `${data.root}/${photo.path.split('/').map(encodeURIComponent).join('/')}`;
  } catch { // a file name that is not valid UTF-8
    return '';
  }
}

/** A small picture: the thumbnail, else the file, else a word. */
function picture(photo) {
  const source = photo.thumb || address(photo);
  const missing = () => element('span', { className: 'missing' }, 'no picture');
  if (!source) return missing();
  const image = element('img', { alt: '', decoding: 'async', src: source });
  image.onerror = () => image.replaceWith(missing());
  return image;
}

const nameOf = (photo) => data.names[photo.who];
const photoOf = (query) => data.photos[query.photo];
const percent = (value) => (value === null ? '–' : `${(100 * value).toFixed(1)}\u00a0%`);

/** 'right' or 'wrong' (the nearest photo), or 'none': no photo of the individual to be found. */
function verdict(query) {
  if (!query.positives) return 'none';
  return query.first_hit === 1 ? 'right' : 'wrong';
}

const MARKS = {
  right: ['yes', '✓', 'right'],
  wrong: ['no', '✗', 'wrong'],
  none: ['none', '–', 'no match in the gallery'],
};

function mark(kind) {
  const [style, sign, text] = MARKS[kind];
  const attributes = { className: `mark ${style}`, title: text, role: 'img', 'aria-label': text };
  return element('span', attributes, sign);
}

/** What is known about a photo besides the individual: 'left, encounter 12', or 'left, enc. 12'. */
function facts(photo, short = false) {
  const known = photo.side ? [photo.side] : [];
  for (const name of ['encounter', 'camera']) {
    const word = short ? `${name.slice(0, 3)}.` : name;
    if (photo[name] !== undefined) known.push(`${word} ${photo[name]}`);
  }
  return known.join(', ');
}
