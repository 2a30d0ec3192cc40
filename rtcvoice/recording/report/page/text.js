// Words and numbers. What a recording says reaches the page as text, never as markup.
const $ = (id) => document.getElementById(id);
const read = (id) => JSON.parse($(id).textContent);
const facts = read('facts');

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function put(parent, ...children) {
  parent.append(...children);
  return parent;
}

// 0:07.3, 12:04.0, 1:02:33.1; without digits after the point: 0:07.
function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const all = Math.max(0, digits ? Math.floor(seconds * unit + 1e-6) / unit : Math.floor(seconds + 1e-6));
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  const rest = (all % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.round(seconds) % 60} s`;
}

const wait = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`);
const dollars = (amount) => `US$ ${amount.toFixed(amount < 0.1 ? 4 : 2)}`;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

// The index of the last of `items`, sorted by `time(item)`, that is not after `moment`; -1: none.
function lastBefore(items, moment, time) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (time(items[middle]) <= moment) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
