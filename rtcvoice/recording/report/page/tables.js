// Turns, waits, and the tables: made once.
const PART_NAMES = {
  detection: 'end of speech', network: 'network', server: 'server', tools: 'tools', playout: 'playout',
};

// Everything that was said or done, by time; a click goes there.
class Said {
  constructor(list, seek) {
    this.entries = [
      ...facts.turns.map((turn) => ({ time: turn.begin, end: turn.end, who: turn.role, words: wordsOf(turn) })),
      ...facts.tools.map((tool) => ({ time: tool.begin, end: tool.end ?? tool.begin, who: 'tool', words: wordsOfTool(tool) })),
      ...facts.marks.map((mark) => ({ time: mark.time, end: mark.time, who: mark.kind, words: [make('i', '', mark.text)] })),
    ].sort((a, b) => a.time - b.time);
    for (const entry of this.entries) {
      const button = make('button', '', undefined);
      button.type = 'button';
      const words = put(make('span', 'words'), ...entry.words);
      words.dir = 'auto';
      const who = make('span', `who ${entry.who}`, entry.who);
      if (entry.who === 'trouble' || entry.who === 'connection') who.classList.add('bad');
      put(button, make('time', '', clock(entry.time)), who, words);
      button.addEventListener('click', () => seek(entry.time));
      entry.button = button;
      list.append(put(make('li'), button));
    }
    list.classList.toggle('many', this.entries.length > 400);
    if (!this.entries.length) list.append(make('li', 'none', 'Nothing is known of what was said.'));
    this.list = list;
    this.current = null;
  }

  // Show where the cursor is.
  move(time, playing) {
    const at = lastBefore(this.entries, time + 0.01, (entry) => entry.time);
    const entry = at < 0 ? null : this.entries[at];
    if (entry === this.current) return;
    if (this.current) this.current.button.removeAttribute('aria-current');
    this.current = entry;
    if (!entry) return;
    entry.button.setAttribute('aria-current', 'true');
    if (playing && !this.list.matches(':hover, :focus-within')) {
      const top = entry.button.offsetTop - this.list.offsetTop;
      if (top < this.list.scrollTop || top > this.list.scrollTop + this.list.clientHeight - 60) {
        this.list.scrollTop = top - this.list.clientHeight / 3;
      }
    }
  }

  // The time of the next entry, or of the one before.
  step(time, by) {
    const at = lastBefore(this.entries, time + 0.01, (entry) => entry.time);
    const entry = this.entries[clamp(at + by, 0, this.entries.length - 1)];
    return entry ? entry.time : time;
  }
}

function wordsOf(turn) {
  const parts = [];
  const heard = turn.cut ? turn.heard : turn.text;
  if (turn.cut && turn.text.startsWith(heard)) {
    parts.push(document.createTextNode(heard));
    const rest = turn.text.slice(heard.length);
    if (rest) parts.push(make('del', '', rest));
  } else {
    parts.push(document.createTextNode(turn.text));
  }
  if (!turn.text) parts.push(make('i', '', turn.spoken ? 'no words known' : 'nothing'));
  if (!turn.spoken && turn.role === 'user') parts.push(make('i', '', ' (written)'));
  const why = turn.reason ? `: ${turn.reason}` : '';
  if (turn.cut) {
    const after = turn.heard_s === null ? '' : ` after ${turn.heard_s.toFixed(1)} s`;
    parts.push(make('span', 'bad', `cut off${after}${why}`));
  } else if (turn.status === 'failed' || turn.status === 'interrupted') {
    parts.push(make('span', 'bad', `${turn.status}${why}`));
  } else if (why) {
    parts.push(make('span', 'note', turn.reason));
  }
  return parts;
}

function wordsOfTool(tool) {
  const parts = [make('code', '', `${tool.name}(${tool.arguments})`), document.createTextNode(' ')];
  parts.push(make(tool.failed || tool.end === null ? 'span' : 'code', tool.failed || tool.end === null ? 'bad' : '', toolOutcome(tool)));
  return parts;
}

function fillWaits(seek) {
  const { waits, parts } = facts;
  if (!waits.length) {
    $('waits-summary').textContent = 'No answer to speech was measured.';
    return;
  }
  const totals = waits.map((each) => each.total).sort((a, b) => a - b);
  const said = new Map(facts.turns.map((turn) => [turn.id, turn]));
  const answers = new Map(facts.turns.map((turn) => [turn.response, turn]));
  const how = facts.waits_are_reckoned
    ? 'Reckoned from the events: until the server began to send sound.'
    : 'From the end of speech, as reckoned, to the first sound in the ear.';
  const most = wait(totals[totals.length - 1]);
  const summary = waits.length === 1 ? `One answer, after ${most}.`
    : `${waits.length} answers: median ${wait(totals[Math.floor(totals.length / 2)])}, at most ${most}.`;
  $('waits-summary').textContent = `${summary} ${how}`;
  for (const part of parts) put($('waits-legend'), put(make('li', `key ${part}`), make('span', '', PART_NAMES[part])));
  $('waits').classList.toggle('many', waits.length > 400);
  const longest = totals[totals.length - 1] || 1;
  for (const each of waits) {
    const button = make('button');
    button.type = 'button';
    const stack = make('span', 'stack');
    parts.forEach((part, at) => {
      const piece = make('span', part);
      piece.style.width = `${(each.parts[at] / longest) * 100}%`;
      stack.append(piece);
    });
    const told = parts.map((part, at) => `${PART_NAMES[part]} ${wait(each.parts[at])}`).join(', ');
    button.title = told;
    button.setAttribute('aria-label', `${clock(each.ended)}: ${wait(each.total)}, of it ${told}`);
    const turn = said.get(each.item);
    const answer = answers.get(each.response);
    const words = (turn && turn.text) || (answer && answer.text) || '';
    put(button, make('time', '', clock(each.ended)), make('span', 'first', words), stack, make('span', 'figure', wait(each.total)));
    button.addEventListener('click', () => seek(each.ended));
    $('waits').append(put(make('li'), button));
  }
}

function addTable(heading, rows, className) {
  if (!rows.length) return;
  const body = make('tbody');
  for (const cells of rows) body.append(put(make('tr'), ...cells.map((cell) => make('td', '', String(cell)))));
  put($('tables'), put(make('div', className), make('h3', '', heading), put(make('table'), body)));
}

function fillTables() {
  const { usage } = facts;
  addTable('Call', facts.about);
  if (usage) {
    const known = usage.cost !== null ? '' : ', as far as known';
    const prices = usage.free ? 'with the service it would be' : 'cost at list prices';
    const sum = usage.cost ?? usage.known_cost;
    const cost = sum !== null ? [[prices + known, dollars(sum)]] : [];
    const charged = usage.free ? [['charged', 'nothing (emulator)']] : [];
    addTable('Tokens and cost', [...charged, ...cost, ['responses', usage.responses ?? '?'], ...usage.tokens]);
  }
  addTable('Network and playout', facts.totals);
  addTable('Until it was ready', facts.stages.map(([name, began, seconds]) => [name, seconds === null ? 'not done' : wait(seconds)]));
  addTable('Versions', facts.versions);
  addTable('Connections', facts.legs.map((leg) => [
    `${clock(leg.began)} to ${leg.ended === null ? 'the end' : clock(leg.ended)}`, `${leg.route} ${leg.via}`, leg.why, leg.id,
  ]), 'wide');
}
