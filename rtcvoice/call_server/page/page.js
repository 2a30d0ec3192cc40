// The page: what is pressed, what is shown. The call is `call.js`, the sound `sound.js`.
import { Call, CallRefused } from './call.js';
import { Levels, NoMicrophone, listMicrophones, microphoneRefusal, openMicrophone, silentTrack } from './sound.js';
import { Transcript, plain } from './transcript.js';

const $ = (id) => document.getElementById(id);

// Where the page is. Each phase: what the state says, what the button does.
const PHASES = {
  loading: ['Loading', 'Talk'], // the server has not told its options yet
  idle: ['Ready', 'Talk'], // no call; the microphone is closed
  connecting: ['Connecting …', 'Cancel'], // the microphone is open, there is no call yet
  active: ['Listening', 'End call'], // both sides can hear each other
  reconnecting: ['Connecting again …', 'End call'], // the sound or the server is away for a moment
  ended: ['Call ended', 'Talk again'], // as idle, with the last call still to be read
};
const BY_USER = 'You ended the call.';
const inCall = () => ['active', 'reconnecting'].includes(phase);

let phase = 'loading';
let options = { title: 'Voice agent', record: false, push_to_talk: false };
let call = null;
let sound = null; // of the call: { context, levels, microphone, track }
let muted = false;
let holding = false;
let speaks = { user: false, assistant: false };
let away = { sound: false, server: false };
let began = 0;
let ticking = 0;

const transcript = new Transcript({ scroller: $('transcript'), list: $('turns'), announcer: $('announce') });

// -- what is shown ---------------------------------------------------------------------------------

function enter(next) {
  const changed = next !== phase;
  phase = next;
  document.body.dataset.phase = next;
  $('action').textContent = PHASES[next][1];
  $('action').disabled = next === 'loading';
  $('figures').hidden = $('typing').hidden = !inCall();
  $('mute').hidden = !inCall() || options.push_to_talk || writesOnly();
  $('hold').hidden = !inCall() || !options.push_to_talk || writesOnly();
  $('consent').disabled = !['loading', 'idle', 'ended'].includes(next);
  $('microphone').disabled = next === 'connecting';
  $('welcome').hidden = inCall() || (next === 'ended' && transcript.lines.size > 0 && !options.record);
  $('transcript').hidden = !inCall() && !(next === 'ended' && transcript.lines.size > 0);
  document.body.dataset.compact = String(!$('transcript').hidden);
  $('hint').hidden = !(inCall() && options.push_to_talk && !writesOnly());
  showState();
  if (changed && ['connecting', 'active', 'reconnecting'].includes(next)) transcript.announce(stateText());
}

function stateText() {
  if (phase === 'active') {
    if (speaks.assistant) return 'Assistant speaks';
    if (holding || speaks.user) return 'You speak';
    if (writesOnly()) return 'Connected';
    if (muted) return 'Muted';
    if (options.push_to_talk) return 'Connected';
  }
  return PHASES[phase][0];
}

function showState() {
  $('state-text').textContent = stateText();
  const who = phase !== 'active' ? '' : speaks.assistant ? 'assistant' : holding || speaks.user ? 'user' : '';
  document.body.dataset.speaks = who;
}

// Says what is wrong and what to do about it.
function complain(error, action) {
  const lines = [error.message, error.cure].filter(Boolean).map((text) => {
    const line = document.createElement('p');
    line.textContent = plain(text, 600);
    return line;
  });
  $('trouble').replaceChildren(...lines);
  if (action) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action.text;
    button.addEventListener('click', action.run);
    $('trouble').append(button);
  }
  $('trouble').hidden = false;
}

function tick() {
  const seconds = Math.floor((performance.now() - began) / 1000);
  $('clock').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

const dollars = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD', minimumFractionDigits: 2, maximumFractionDigits: 4 });

// -- the call ---------------------------------------------------------------------------------------

const writesOnly = () => $('microphone').value === 'none';

// Opens the microphone, or a track of silence for who writes. Raises NoMicrophone.
async function openSound() {
  const context = new AudioContext();
  const opened = { context, levels: new Levels(context), microphone: null, track: null };
  try {
    context.resume().catch(() => {}); // not awaited: without a loudspeaker it may never be done
    if (writesOnly()) opened.track = silentTrack(context);
    else {
      opened.microphone = await openMicrophone($('microphone').value);
      [opened.track] = opened.microphone.getAudioTracks();
      opened.levels.show($('level-user'), opened.microphone);
    }
  } catch (error) {
    close(opened);
    throw error;
  }
  return opened;
}

function close({ context, levels, microphone, track }) {
  for (const each of [...(microphone?.getTracks() ?? []), track]) each?.stop();
  levels.close();
  context.close().catch(() => {});
}

async function start() {
  $('trouble').hidden = true;
  transcript.clear();
  [muted, holding, speaks, away] = [false, false, { user: false, assistant: false }, { sound: false, server: false }];
  $('cost').hidden = true;
  $('mute').textContent = 'Mute';
  $('mute').setAttribute('aria-pressed', 'false');
  enter('connecting');
  let opened = null;
  try {
    opened = await openSound();
    if (phase !== 'connecting') return void close(opened); // given up while the browser asked
    sound = opened;
    watch(sound.track);
    listMicrophones($('microphone'));
    applyMute();
    call = new Call({ onEvent, onStream, onWeak: (weak) => lost('sound', weak), onEnded });
    const consent = options.record && $('consent').checked;
    await call.connect(sound.track, { consent });
    $('recorded').hidden = !consent;
    began = performance.now();
    tick();
    ticking = setInterval(tick, 1000);
    enter('active');
    transcript.note(consent ? 'Connected. This call is recorded.' : 'Connected.');
    keepAwake();
    if (writesOnly()) $('text').focus();
  } catch (error) {
    if (phase !== 'connecting') return; // it was told already
    const failed = call;
    call = null;
    failed?.end('');
    leave('idle');
    const known = error instanceof CallRefused || error instanceof NoMicrophone;
    const shown = known ? error : new CallRefused(`The page failed: ${error.message}`);
    complain(shown, error instanceof NoMicrophone && { text: 'Write instead of talking', run: writeInstead });
  }
}

function writeInstead() {
  $('microphone').value = 'none';
  start();
}

// Ends what belongs to the call on this side.
function leave(next) {
  clearInterval(ticking);
  if (sound) close(sound);
  sound = call = null;
  $('sound').srcObject = null;
  awake?.release().catch(() => {});
  awake = null;
  const focused = document.activeElement;
  enter(next);
  if (focused && focused !== document.body && !focused.checkVisibility?.()) $('action').focus();
}

// Reasons come as "the page has left".
function sentence(reason) {
  const text = plain(reason, 400).trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');
}

function onEnded({ reason, normal }) {
  if (call === null) return;
  transcript.finish();
  const connected = inCall();
  const text = sentence(reason || 'The call has ended.');
  if (connected) transcript.note(`${text} ${$('clock').textContent} min`);
  leave(connected ? 'ended' : 'idle');
  transcript.announce(`Call ended: ${text}`);
  if (!normal || (!connected && reason !== BY_USER)) complain(new CallRefused('The call ended.', text));
}

function onStream(stream) {
  $('sound').srcObject = stream;
  sound?.levels.show($('level-assistant'), stream);
  $('sound').play().catch(() => complain(new CallRefused('The browser holds the sound back.'), {
    text: 'Let me hear it',
    run: () => $('sound').play().then(() => ($('trouble').hidden = true)),
  }));
}

function lost(what, isLost) {
  away[what] = isLost;
  if (inCall()) enter(away.sound || away.server ? 'reconnecting' : 'active');
}

function onEvent(event) {
  switch (event.type) {
    case 'turn':
      return transcript.turn(event);
    case 'tool':
      return transcript.tool(event);
    case 'cost':
      $('cost').hidden = !Number.isFinite(event.usd);
      if (Number.isFinite(event.usd)) $('cost').textContent = dollars.format(event.usd);
      return undefined;
    case 'state':
      speaks = { user: Boolean(event.user), assistant: Boolean(event.assistant) };
      lost('server', event.state === 'reconnecting');
      return showState();
    case 'error':
      return transcript.note(plain(event.message, 300));
    default: // a newer server may tell more
      return undefined;
  }
}

// -- the microphone ---------------------------------------------------------------------------------

function applyMute() {
  if (sound?.track && sound.microphone) sound.track.enabled = options.push_to_talk ? holding : !muted;
}

function mute(on) {
  muted = on;
  applyMute();
  $('mute').setAttribute('aria-pressed', String(on));
  $('mute').textContent = on ? 'Muted' : 'Mute';
  call?.send({ type: 'mute', on });
  showState();
}

function hold(on) {
  if (on === holding || (on && (phase !== 'active' || !options.push_to_talk || writesOnly()))) return;
  holding = on;
  applyMute();
  $('hold').setAttribute('aria-pressed', String(on));
  $('hold').textContent = on ? 'Release to send' : 'Hold to talk';
  call?.send({ type: 'talk', on });
  showState();
}

// A microphone that is unplugged says so, and nothing else would.
function watch(track) {
  track.addEventListener('ended', () => {
    if (track !== sound?.track) return;
    complain(new CallRefused('The microphone is gone.', 'Connect it again or choose another one; the call goes on.'));
    listMicrophones($('microphone'));
  });
}

async function changeMicrophone() {
  if (!sound) return;
  const from = sound;
  try {
    const microphone = writesOnly() ? null : await openMicrophone($('microphone').value);
    const track = microphone ? microphone.getAudioTracks()[0] : silentTrack(from.context);
    if (sound !== from || !call) return void track.stop();
    await call.replaceTrack(track);
    from.track.stop();
    Object.assign(from, { microphone, track });
    from.levels.show($('level-user'), microphone);
    $('trouble').hidden = true;
    watch(track);
    applyMute();
    enter(phase);
  } catch (error) {
    complain(error instanceof NoMicrophone ? error : new NoMicrophone(`The microphone cannot be changed: ${error.message}`, ''));
  }
}

// Phones darken the screen, and then close the microphone.
let awake = null;
async function keepAwake() {
  awake = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null;
}

// -- what is pressed ----------------------------------------------------------------------------------

$('action').addEventListener('click', () => {
  if (phase === 'connecting' && !call) leave('idle');
  else if (call) call.end(BY_USER);
  else start();
});

$('mute').addEventListener('click', () => mute(!muted));
$('microphone').addEventListener('change', changeMicrophone);
$('transcript').addEventListener('scroll', () => transcript.scrolled(), { passive: true });
document.addEventListener('visibilitychange', () => {
  if (document.hidden) hold(false);
  else if (inCall()) keepAwake();
});
window.addEventListener('blur', () => hold(false));

$('typing').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || !call) return;
  call.send({ type: 'text', text });
  $('text').value = '';
});

// Held by a finger, a mouse, or the space bar; a screen reader's click begins and ends it.
let pressed = false;
$('hold').addEventListener('pointerdown', (event) => {
  if (event.button !== 0) return;
  pressed = true;
  $('hold').setPointerCapture(event.pointerId);
  hold(true);
});
for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
  $('hold').addEventListener(name, () => hold(false));
}
$('hold').addEventListener('click', () => {
  if (!pressed) hold(!holding);
  pressed = false;
});
$('hold').addEventListener('contextmenu', (event) => event.preventDefault()); // a long press on phones

const isTyping = (target) => target.closest?.('input, select, textarea, button:not(#hold), summary') !== null;
document.addEventListener('keydown', (event) => {
  if (event.code !== 'Space' || isTyping(event.target) || !inCall() || !options.push_to_talk) return;
  event.preventDefault(); // nor does the page scroll, nor the button click
  if (!event.repeat) hold(true);
});
document.addEventListener('keyup', (event) => {
  if (event.code !== 'Space' || !holding) return;
  if (!isTyping(event.target)) event.preventDefault();
  hold(false);
});

window.addEventListener('pagehide', () => call?.end('The page was left.'));
window.addEventListener('pageshow', (event) => event.persisted && enter(phase));

// -- the start ------------------------------------------------------------------------------------------

async function load() {
  try {
    const response = await fetch('options', { signal: AbortSignal.timeout(10000) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    options = { ...options, ...(await response.json()) };
  } catch {
    complain(new CallRefused('The server cannot be reached.', 'Is it running, and is this device online?'), { text: 'Load again', run: () => location.reload() });
    return;
  }
  document.title = $('title').textContent = plain(options.title, 200) || 'Voice agent';
  $('subtitle').textContent = ['AI voice', plain(options.model, 100)].filter(Boolean).join(' · ');
  $('recording').hidden = !options.record;
  if (options.push_to_talk) $('hint').textContent = 'Hold the button or the space bar while you talk.';
  enter('idle');
  if (!window.RTCPeerConnection) {
    complain(new CallRefused('This browser cannot make calls (it has no WebRTC).', 'Use a current browser.'));
    $('action').disabled = true;
    return;
  }
  const none = microphoneRefusal();
  if (none) complain(none, { text: 'Write instead of talking', run: writeInstead });
  listMicrophones($('microphone'));
  navigator.mediaDevices?.addEventListener('devicechange', () => listMicrophones($('microphone')));
}

load();
