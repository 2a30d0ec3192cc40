// Puts everything together: the head, the timeline, the keys.
const player = new Player(facts.sound, facts.duration);
const view = new View(facts.duration);
const seek = (time) => player.seek(time);
let events = null;

function fillHead() {
  const began = facts.began_at === null ? null : new Date(facts.began_at * 1000);
  const title = began ? `Call of ${began.toISOString().replace('T', ' ').slice(0, 19)} UTC` : 'Recorded call';
  $('title').textContent = title;
  document.title = title;
  const count = (number, one, many) => (number ? `${number} ${number === 1 ? one : many}` : '');
  const cuts = facts.turns.filter((turn) => turn.cut).length;
  const model = new Map(facts.about).get('model');
  $('summary').textContent = [
    model, duration(facts.duration), count(facts.turns.length, 'turn', 'turns'), count(cuts, 'interruption', 'interruptions'),
    count(facts.tools.length, 'tool call', 'tool calls'), count(Math.max(0, facts.legs.length - 1), 'reconnection', 'reconnections'),
    facts.end ? `ended: ${facts.end}` : '',
  ].filter(Boolean).join(' \u00b7 ');
  for (const note of facts.notes) $('notes').append(make('li', '', note));
  $('notes').hidden = !facts.notes.length;
  $('whole').textContent = `/ ${clock(facts.duration)}`;
  $('seek').max = facts.duration;
  $('play').disabled = !player.seconds;
  for (const name of ['side', 'rate']) $(name).hidden = !player.seconds;
  const keys = [['user', 'user'], ['assistant', 'assistant'], ['bad', 'cut off, lost']];
  if (facts.tools.length) keys.splice(2, 0, ['tool', 'tools']);
  if (facts.network.time.length > 1) {
    keys.push(['target', 'wanted delay'], ['delay', 'delay of playout'], ['user', 'round trip, lost on the way up'], ['assistant', 'concealed'], ['good', 'rebuilt from FEC']);
  }
  for (const [name, told] of keys) put($('legend'), put(make('li', `key ${name}`), make('span', '', told)));
}

fillHead();
const drawing = new Drawing($('timeline'), $('overview'), view, player);
const said = new Said($('said'), seek);
fillWaits(seek);
fillTables();
$('timeline').setAttribute('aria-label', `Timeline of ${duration(facts.duration)}: ${$('summary').textContent}. The turns are listed below.`);

function under(found) {
  const current = found || drawing.at(player.now, -1);
  $('under').replaceChildren();
  if (current) put($('under'), make('b', '', `${current[0]}  `), document.createTextNode(current[1]));
}

view.onchange = () => drawing.redraw();
player.onmove = () => {
  const time = player.now;
  $('now').textContent = clock(time);
  if (document.activeElement !== $('seek') || !player.playing) $('seek').value = time;
  $('seek').setAttribute('aria-valuetext', `${clock(time, 0)} of ${clock(facts.duration, 0)}`);
  view.reveal(time, player.playing);
  said.move(time, player.playing);
  if (events) events.move(time, player.playing);
  if (!hovered) under(null);
  drawing.move();
};
player.onstate = () => {
  $('play').setAttribute('aria-label', player.playing ? 'Pause' : 'Play');
  $('play-shape').setAttribute('d', player.playing ? 'M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z' : 'M4 2.5v11l9-5.5z');
};

let hovered = false;
listen($('timeline'), view, {
  onclick: (time, y) => {
    seek(time);
    const found = drawing.at(time, y);
    if (found) under(found);
  },
  onhover: (time, y) => {
    const found = time === null ? null : drawing.at(time, y);
    hovered = Boolean(found);
    under(found);
  },
});
const jump = (event) => {
  if (event.type === 'pointermove' && !event.buttons) return;
  const place = (event.offsetX / $('overview').clientWidth) * view.whole;
  view.set(place - view.span / 2, view.span);
  if (view.span === view.whole) seek(place);
};
for (const name of ['pointerdown', 'pointermove']) $('overview').addEventListener(name, jump);

$('play').addEventListener('click', () => player.toggle());
$('seek').addEventListener('input', () => seek(Number($('seek').value)));
$('side').addEventListener('change', () => player.setSide($('side').value));
$('rate').addEventListener('change', () => player.setRate(Number($('rate').value)));
$('in').addEventListener('click', () => view.zoom(0.5, player.now));
$('out').addEventListener('click', () => view.zoom(2, player.now));
$('fit').addEventListener('click', () => view.set(0, view.whole));

const KEYS = {
  ' ': () => player.toggle(),
  ArrowLeft: (event) => seek(player.now - (event.shiftKey ? 1 : 5)),
  ArrowRight: (event) => seek(player.now + (event.shiftKey ? 1 : 5)),
  '+': () => view.zoom(0.5, player.now),
  '=': () => view.zoom(0.5, player.now),
  '-': () => view.zoom(2, player.now),
  0: () => view.set(0, view.whole),
  n: () => seek(said.step(player.now, 1)),
  p: () => seek(said.step(player.now, -1)),
  '/': () => {
    $('search').focus();
    $('search').select();
  },
};
document.addEventListener('keydown', (event) => {
  const { target } = event;
  if (event.key === 'Escape' && target === $('search')) {
    $('search').value = '';
    if (events) events.filter();
    target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (target.matches('select, input[type="search"]')) return;
  if (target.matches('button, input') && event.key === ' ' && target !== $('seek')) return;
  event.preventDefault();
  KEYS[event.key](event);
});

// The timeline is there at once; the events, which may be many, a moment later.
const firstView = Math.min(facts.duration, 90);
view.set(0, facts.duration > 600 ? facts.duration : Math.max(firstView, facts.duration > 180 ? 90 : facts.duration));
player.onmove();
setTimeout(() => {
  events = new Events(read('events'), seek);
  events.move(player.now, false);
  document.documentElement.dataset.ready = 'yes';
}, 0);
