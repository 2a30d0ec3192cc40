// The list of events: only the rows that are seen exist.
const ROW = 28;
const DIRECTIONS = ['received', 'sent', 'local'];
const ARROWS = ['\u2190', '\u2192', '\u00b7'];

class Events {
  constructor(table, seek) {
    this.names = table.names;
    this.all = table.rows;
    this.shown = this.all.map((_, index) => index);
    this.texts = null;
    this.selected = -1;
    this.nearest = -1;
    this.seek = seek;
    this.list = $('list');
    this.pool = new Map();
    this.list.addEventListener('scroll', () => this.draw());
    this.list.addEventListener('keydown', (event) => this.key(event));
    this.list.addEventListener('click', (event) => {
      const row = event.target.closest('.row');
      if (row) this.select(Number(row.dataset.at), true);
    });
    new ResizeObserver(() => this.draw()).observe(this.list);
    $('search').addEventListener('input', () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.filter(), 120);
    });
    $('search').addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && this.shown.length) {
        this.filter();
        this.select(0, true);
        this.list.focus();
      }
    });
    $('direction').addEventListener('change', () => this.filter());
    this.filter();
  }

  filter() {
    clearTimeout(this.timer);
    const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const direction = $('direction').value;
    if (words.length && !this.texts) {
      this.texts = this.all.map(([, , name, , text]) => `${this.names[name]} ${text}`.toLowerCase());
    }
    this.shown = [];
    this.all.forEach((row, index) => {
      if (direction !== '' && row[1] !== Number(direction)) return;
      if (words.every((word) => this.texts[index].includes(word))) this.shown.push(index);
    });
    const count = this.shown.length.toLocaleString('en');
    const whole = this.all.length.toLocaleString('en');
    $('found').textContent = this.shown.length === this.all.length ? `${whole} events` : `${count} of ${whole} events`;
    this.selected = -1;
    this.nearest = -1;
    $('detail').hidden = true;
    this.list.removeAttribute('aria-activedescendant');
    $('list').style.height = `${this.shown.length * ROW + 2}px`;
    $('rows').style.height = `${this.shown.length * ROW}px`;
    this.clear();
    this.list.scrollTop = 0;
    this.draw();
  }

  clear() {
    for (const row of this.pool.values()) row.remove();
    this.pool.clear();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 4);
    const last = Math.min(this.shown.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + 4);
    for (const [at, row] of this.pool) {
      if (at < first || at >= last) {
        row.remove();
        this.pool.delete(at);
      }
    }
    for (let at = first; at < last; at += 1) {
      if (!this.pool.has(at)) this.pool.set(at, this.row(at));
      const row = this.pool.get(at);
      row.setAttribute('aria-selected', String(at === this.selected));
      row.classList.toggle('at', at === this.nearest);
    }
  }

  row(at) {
    const [time, direction, name, leg, text] = this.all[this.shown[at]];
    const row = make('div', 'row');
    row.id = `event-${at}`;
    row.dataset.at = at;
    row.setAttribute('role', 'option');
    row.setAttribute('aria-posinset', at + 1);
    row.setAttribute('aria-setsize', this.shown.length);
    row.style.transform = `translateY(${at * ROW}px)`;
    const arrow = make('span', '', ARROWS[direction]);
    arrow.setAttribute('role', 'img');
    arrow.setAttribute('aria-label', DIRECTIONS[direction]);
    const kind = this.names[name] + (leg ? ` (${this.names[leg]})` : '');
    put(row, make('time', '', clock(time, 2)), arrow, make('span', '', kind), make('span', 'told', text.slice(0, 300)));
    $('rows').append(row);
    return row;
  }

  select(at, go) {
    this.selected = clamp(at, 0, this.shown.length - 1);
    this.show(this.selected);
    this.draw();
    this.list.setAttribute('aria-activedescendant', `event-${this.selected}`);
    const [time, , , , text] = this.all[this.shown[this.selected]];
    let told = text;
    try {
      told = JSON.stringify(JSON.parse(text), null, 2);
    } catch { /* it was cut, or is no JSON: as it is */ }
    $('detail').textContent = told;
    $('detail').hidden = false;
    if (go) this.seek(time);
  }

  // Scroll as little as is needed.
  show(at) {
    const top = at * ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + ROW > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + ROW - this.list.clientHeight;
  }

  key(event) {
    const page = Math.floor(this.list.clientHeight / ROW) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.shown.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.select(Math.max(-1, this.selected) + steps[event.key], false);
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') this.seek(this.all[this.shown[this.selected]][0]);
  }

  // Show which event was the last before the cursor.
  move(time, playing) {
    const at = lastBefore(this.shown, time + 0.001, (index) => this.all[index][0]);
    if (at === this.nearest) return;
    this.nearest = at;
    if (at >= 0 && playing && $('follow').checked && !this.list.matches(':hover, :focus')) {
      const top = at * ROW;
      if (top < this.list.scrollTop || top > this.list.scrollTop + this.list.clientHeight - ROW) {
        this.list.scrollTop = top - this.list.clientHeight / 2;
      }
    }
    this.draw();
  }
}
