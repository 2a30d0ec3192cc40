// What is said, line by line, and what is read out to those who do not see it.
const MOST_LINES = 400;
const MOST_TEXT = 20000;
const MOST_DETAIL = 4000;
const NAMES = { user: 'You', assistant: 'Assistant' };
const STATES = { started: 'running …', finished: 'done', failed: 'failed', cancelled: 'cancelled' };

// Text for people: without control characters and signs that turn the direction of writing.
export function plain(value, most = MOST_TEXT) {
  const text = typeof value === 'string' ? value : value == null ? '' : JSON.stringify(value);
  return text.slice(0, most).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '');
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Arguments as people write them down: "city: Paris, days: 3".
function written(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return plain(value, MOST_DETAIL);
  return Object.entries(value)
    .map(([name, each]) => `${plain(name, 100)}: ${plain(each, MOST_DETAIL)}`)
    .join(', ')
    .slice(0, MOST_DETAIL);
}

// Results as they came, unless they are an object in JSON.
function result(value) {
  if (typeof value !== 'string') return written(value);
  try {
    return written(JSON.parse(value));
  } catch {
    return plain(value, MOST_DETAIL);
  }
}

export class Transcript {
  constructor({ scroller, list, announcer }) {
    Object.assign(this, { scroller, list, announcer });
    this.lines = new Map();
  }

  clear() {
    this.lines.clear();
    this.list.replaceChildren();
    this.announcer.replaceChildren();
  }

  // One side's turn, whole as it stands: the same id again and again until it is final.
  turn({ id, role, text, final, interrupted, heard_text: heard }) {
    if (!Object.hasOwn(NAMES, role) || typeof id !== 'string') return;
    // Of what was cut short, only what was heard: the rest was never spoken, and the model knows.
    const said = plain(interrupted && typeof heard === 'string' ? heard : text).trim();
    if (final && !said && role === 'assistant') {
      this.#drop(`turn ${id}`);
      return;
    }
    const line = this.#line(`turn ${id}`, role, NAMES[role]);
    line.words.replaceChildren(element('span', '', said || (final ? '(no transcript)' : '…')));
    if (interrupted) line.words.append(' ', element('span', 'mark', '— interrupted'));
    line.row.classList.toggle('partial', !final);
    if (final && !line.final) this.announce(`${NAMES[role]}: ${said || 'no transcript'}${interrupted ? ', interrupted' : ''}`);
    if (final && !line.final) this.#inOrder(line);
    line.final = Boolean(final);
    this.#settle();
  }

  // A tool that runs in the server's program.
  tool({ id, name, status, arguments: given, output }) {
    if (typeof id !== 'string' || !Object.hasOwn(STATES, status)) return;
    const line = this.#line(`tool ${id}`, 'tool', 'Tool');
    if (given !== undefined) line.given = written(given);
    if (output !== undefined) line.output = result(output);
    const title = plain(name, 100) || 'tool';
    const call = element('div', 'call');
    call.append(element('span', 'name', title), element('span', status === 'failed' ? 'mark failed' : 'mark', STATES[status]));
    if (line.given) call.append(element('pre', 'given', line.given));
    if (line.output) call.append(element('pre', 'result', line.output));
    line.words.replaceChildren(call);
    for (const block of call.querySelectorAll('pre')) {
      if (block.scrollHeight > block.clientHeight + 1) block.tabIndex = 0; // the keyboard scrolls what has the focus
    }
    if (status !== 'started') this.announce(`Tool ${title}: ${STATES[status]}`);
    this.#settle();
  }

  // A remark of the page itself.
  note(text) {
    this.#line(`note ${this.list.childElementCount}.${performance.now()}`, 'note', 'Call').words.textContent = plain(text, 500);
    this.#settle();
  }

  announce(text) {
    this.announcer.append(element('p', '', plain(text, 2000)));
    while (this.announcer.childElementCount > 8) this.announcer.firstElementChild.remove();
  }

  // What was under way when the call ended stays as it stood.
  finish() {
    for (const line of this.lines.values()) line.row.classList.remove('partial');
  }

  #line(key, kind, name) {
    const known = this.lines.get(key);
    if (known) return known;
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.follows = scrollHeight - scrollTop - clientHeight < 60 || this.list.childElementCount === 0;
    const row = element('li', kind);
    const words = element('div', 'words');
    row.append(element('span', 'who', name), words);
    this.list.append(row);
    const line = { row, words, final: false };
    this.lines.set(key, line);
    if (this.lines.size > MOST_LINES) this.#drop(this.lines.keys().next().value);
    return line;
  }

  #drop(key) {
    this.lines.get(key)?.row.remove();
    this.lines.delete(key);
  }

  // Turns become final in the order in which they were spoken: whose transcript was late moves up.
  #inOrder({ row }) {
    const open = this.list.querySelector('.partial');
    if (open && open.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING) open.before(row);
  }

  // Stays at the newest line, unless the reader has scrolled up.
  #settle() {
    if (this.follows) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.follows = scrollHeight - scrollTop - clientHeight < 60;
  }
}
