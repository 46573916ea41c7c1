// The large view: the query and a photo of its ranking side by side, from the files on the disk.

const zoom = document.getElementById('zoom');

/** A large picture with a caption; where the file cannot be shown, its thumbnail. */
function large(photo, title, kind = '') {
  const image = element('img', { alt: `${title}: ${nameOf(photo)}` });
  image.onerror = () => {
    image.onerror = null;
    if (photo.thumb) image.src = photo.thumb;
  };
  image.src = address(photo) || photo.thumb || '';
  const known = [nameOf(photo), facts(photo), photo.path].filter(Boolean).join(' · ');
  const sign = kind ? [mark(kind), ' '] : [];
  const caption = element('figcaption', {}, ...sign, element('b', {}, title), ` ${known}`);
  return element('figure', { className: kind }, image, caption);
}

/** Show the current query and photo. */
function showZoom() {
  const query = data.queries[current.query];
  const ranked = query.ranked[current.rank];
  const photos = [large(photoOf(query), 'Query')];
  if (ranked) {
    const [place, distance, match] = ranked;
    const who = match ? 'same individual' : 'another individual';
    const title = `Rank ${current.rank + 1}, ${who}, distance ${distance}:`;
    photos.push(large(data.photos[place], title, match ? 'right' : 'wrong'));
  }
  document.getElementById('zoom-photos').replaceChildren(...photos);
  const place = `${shown.indexOf(current.query) + 1} of ${shown.length}`;
  const photo = `photo ${current.rank + 1} of ${query.ranked.length}`;
  say('zoom-text', `Query ${query.number} (${place}), AP ${percent(query.ap)}, ${photo}`);
}

function toggleZoom() {
  if (zoom.open) zoom.close();
  else if (current.query >= 0) {
    zoom.showModal();
    zoom.querySelector('[data-key="ArrowRight"]').focus();
    showZoom();
  }
}

zoom.addEventListener('close', () => focusPhoto(current.query, current.rank));
zoom.addEventListener('click', (event) => {
  const key = event.target.closest('button')?.dataset.key;
  if (key) ACTIONS[key]();
});
