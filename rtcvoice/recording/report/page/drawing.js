// Draws the timeline. What does not move is drawn once for each view, the cursor over it.
const LABEL = '12px system-ui, sans-serif';
const SIDES = ['user', 'assistant'];

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ['page', 'card', 'ink', 'soft', 'line', 'faint', 'user', 'user-fill', 'assistant', 'assistant-fill',
    'tool', 'tool-fill', 'bad', 'good', 'network'];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// The loudest value of each pixel column, 0 to 1, from the resolution that fits.
class Waveforms {
  constructor(levels) {
    this.levels = levels.map(({ seconds, user, assistant }) => ({ seconds, user: bytesOf(user), assistant: bytesOf(assistant) }));
  }

  columns(side, begin, span, width) {
    const column = span / width;
    const level = this.levels.findLast((each) => each.seconds <= column) || this.levels[0];
    const found = new Float32Array(width);
    if (!level) return found;
    const values = level[side];
    for (let x = 0; x < width; x += 1) {
      const first = Math.floor((begin + x * column) / level.seconds);
      const last = Math.max(first + 1, Math.ceil((begin + (x + 1) * column) / level.seconds));
      let peak = 0;
      for (let at = Math.max(0, first); at < last && at < values.length; at += 1) peak = Math.max(peak, values[at]);
      found[x] = peak / 127;
    }
    return found;
  }
}

// Where each row is: name -> [top, height].
function layout() {
  const rows = {};
  let top = 0;
  const add = (name, height, gap = 6) => {
    rows[name] = [top, height];
    top += height + gap;
  };
  add('ruler', 22, 4);
  add('userWords', 34, 2);
  if (facts.sound.levels.length) {
    add('user', 46, 4);
    add('assistant', 46, 2);
  }
  add('assistantWords', 34);
  if (facts.tools.length) add('tools', 22);
  if (facts.legs.length || facts.marks.length) add('connection', 14, 8);
  if (facts.network.time.length > 1) {
    add('delay', 64, 10);
    add('loss', 48);
  }
  rows.height = top + 2;
  return rows;
}

const CHARTS = {
  delay: { unit: 'ms', least: 50, lines: [['target', 'soft'], ['round_trip', 'user'], ['delay', 'network']] },
  loss: { unit: '%', least: 5, lines: [['up_loss', 'user'], ['loss', 'bad'], ['concealed', 'assistant']] },
};
const CHART_NAMES = { delay: 'delay', loss: 'lost' };

class Drawing {
  constructor(canvas, overview, view, player) {
    Object.assign(this, { canvas, overview, view, player });
    this.rows = layout();
    this.waves = new Waveforms(facts.sound.levels);
    this.base = document.createElement('canvas');
    this.small = document.createElement('canvas');
    this.stale = true;
    this.waiting = false;
    for (const [name, chart] of Object.entries(CHARTS)) {
      chart.top = chart.least;
      for (const [column] of chart.lines) {
        for (const value of facts.network[column]) chart.top = Math.max(chart.top, value || 0);
      }
      chart.row = name;
    }
    canvas.style.height = `${this.rows.height}px`;
    new ResizeObserver(() => this.redraw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      readColours();
      this.redraw();
    });
    readColours();
  }

  redraw() {
    this.stale = true;
    this.move();
  }

  // Draw before the next frame.
  move() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (this.stale) {
      this.drawBase(width);
      this.drawSmall(width);
      this.stale = false;
    }
    const pen = fit(this.canvas, width, this.rows.height);
    pen.drawImage(this.base, 0, 0, width, this.rows.height);
    const x = Math.round(this.x(this.player.now, width));
    pen.fillStyle = colours.ink;
    pen.fillRect(x, 0, 1, this.rows.height);
    pen.beginPath();
    pen.moveTo(x - 4.5, 0);
    pen.lineTo(x + 5.5, 0);
    pen.lineTo(x + 0.5, 7);
    pen.fill();
    const over = fit(this.overview, width, 34);
    over.drawImage(this.small, 0, 0, width, 34);
    const from = (this.view.begin / this.view.whole) * width;
    const wide = Math.max(3, (this.view.span / this.view.whole) * width);
    over.globalAlpha = 0.12;
    over.fillStyle = colours.ink;
    over.fillRect(0, 0, from, 34);
    over.fillRect(from + wide, 0, width, 34);
    over.globalAlpha = 1;
    over.strokeStyle = colours.soft;
    over.strokeRect(from + 0.5, 0.5, wide - 1, 33);
    over.fillStyle = colours.ink;
    over.fillRect((this.player.now / this.view.whole) * width, 0, 1, 34);
  }

  x(time, width) {
    return ((time - this.view.begin) / this.view.span) * width;
  }

  drawBase(width) {
    const pen = fit(this.base, width, this.rows.height);
    pen.font = LABEL;
    pen.textBaseline = 'middle';
    this.ruler(pen, width);
    for (const side of SIDES) {
      if (this.rows[side]) this.wave(pen, width, side);
      this.words(pen, width, side);
    }
    if (this.rows.tools) this.tools(pen, width);
    if (this.rows.connection) this.connection(pen, width);
    for (const chart of Object.values(CHARTS)) if (this.rows[chart.row]) this.chart(pen, width, chart);
    this.cuts(pen, width);
    this.name(pen, 'user', this.rows.user ? 'user' : 'userWords', 'user');
    this.name(pen, 'assistant', this.rows.assistant ? 'assistant' : 'assistantWords', 'assistant');
    if (this.rows.tools) this.name(pen, 'tools', 'tools', 'tool');
  }

  drawSmall(width) {
    const pen = fit(this.small, width, 34);
    for (const [side, sign] of [['user', -1], ['assistant', 1]]) {
      pen.fillStyle = colours[side];
      if (facts.sound.levels.length) {
        this.waves.columns(side, 0, this.view.whole, width).forEach((peak, x) => pen.fillRect(x, 17, 1, sign * peak * 15));
      } else {
        for (const turn of facts.turns.filter((each) => each.role === side)) {
          const from = (turn.begin / this.view.whole) * width;
          pen.fillRect(from, 17, Math.max(1, ((turn.end - turn.begin) / this.view.whole) * width), sign * 10);
        }
      }
    }
    pen.fillStyle = colours.bad;
    for (const turn of facts.turns) if (turn.cut) pen.fillRect((turn.end / this.view.whole) * width, 28, 1.5, 6);
  }

  ruler(pen, width) {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
    const step = steps.find((each) => (each / this.view.span) * width >= 72) || 14400;
    pen.fillStyle = colours.soft;
    for (let count = Math.ceil(this.view.begin / step); count * step <= this.view.end; count += 1) {
      const x = Math.round(this.x(count * step, width));
      pen.globalAlpha = 0.5;
      pen.fillStyle = colours.line;
      pen.fillRect(x, 0, 1, this.rows.height);
      pen.globalAlpha = 1;
      pen.fillStyle = colours.soft;
      if (x < width - 30) pen.fillText(clock(count * step, step < 1 ? 1 : 0), x + 4, 11);
    }
  }

  wave(pen, width, side) {
    const [top, height] = this.rows[side];
    const middle = top + height / 2;
    const scale = Math.min(2, devicePixelRatio || 1);
    const columns = this.waves.columns(side, this.view.begin, this.view.span, Math.round(width * scale));
    pen.fillStyle = colours.line;
    pen.fillRect(0, Math.round(middle), width, 1);
    pen.fillStyle = colours[side];
    columns.forEach((peak, x) => {
      if (peak > 0.01) pen.fillRect(x / scale, middle - (peak * height) / 2, 1 / scale + 0.05, Math.max(1, peak * height));
    });
  }

  words(pen, width, side) {
    const [top, height] = this.rows[`${side}Words`];
    for (const turn of facts.turns) {
      if (turn.role !== side || turn.end < this.view.begin || turn.begin > this.view.end) continue;
      const x = this.x(turn.begin, width);
      const wide = Math.max(2, this.x(turn.end, width) - x - 1);
      pen.fillStyle = colours[`${side}-fill`];
      pen.fillRect(x, top, wide, height);
      pen.fillStyle = colours[side];
      pen.fillRect(x, top, wide > 8 ? 2 : 1, height);
      const left = Math.max(x, 0) + 6;
      const room = Math.min(x + wide, width) - left - 4;
      if (room > 22) {
        const [first, second] = twoLines(pen, shown(turn), room);
        pen.fillStyle = colours.ink;
        pen.fillText(first, left, second ? top + 10 : top + height / 2);
        if (second) pen.fillText(second, left, top + 25);
      }
    }
  }

  tools(pen, width) {
    const [top, height] = this.rows.tools;
    for (const tool of facts.tools) {
      const end = tool.end === null ? tool.begin + 0.5 : tool.end;
      if (end < this.view.begin || tool.begin > this.view.end) continue;
      const x = this.x(tool.begin, width);
      const wide = Math.max(3, this.x(end, width) - x);
      pen.fillStyle = colours['tool-fill'];
      pen.fillRect(x, top, wide, height);
      pen.fillStyle = tool.failed || tool.end === null ? colours.bad : colours.tool;
      pen.fillRect(x, top, 2, height);
      const left = Math.max(x, 0) + 6;
      const room = Math.min(x + wide, width) - left - 4;
      if (room > 22) pen.fillText(short(pen, tool.name, room), left, top + height / 2);
    }
  }

  connection(pen, width) {
    const [top, height] = this.rows.connection;
    let before = null;
    for (const leg of facts.legs) {
      const x = this.x(leg.began, width);
      const end = this.x(leg.ended === null ? this.view.whole : leg.ended, width);
      pen.fillStyle = colours.good;
      pen.fillRect(x, top + height / 2 - 2, Math.max(1, end - x), 4);
      if (before !== null && x > before + 0.5) {
        pen.fillStyle = colours.bad;
        pen.globalAlpha = 0.35;
        pen.fillRect(before, top, Math.max(2, x - before), height);
        pen.globalAlpha = 1;
      }
      before = end;
    }
    for (const mark of facts.marks) {
      const x = this.x(mark.time, width);
      if (x < -5 || x > width + 5) continue;
      pen.fillStyle = mark.kind === 'trouble' || mark.kind === 'connection' ? colours.bad : colours.network;
      pen.beginPath();
      pen.arc(x, top + height / 2, 4, 0, 7);
      pen.fill();
    }
  }

  // The largest value of each column of pixels, as a line.
  chart(pen, width, chart) {
    const [top, height] = this.rows[chart.row];
    const times = facts.network.time;
    const first = Math.max(0, lastBefore(times, this.view.begin, (time) => time));
    pen.fillStyle = colours.line;
    pen.fillRect(0, top + height, width, 1);
    for (const [column, colour] of chart.lines) {
      pen.strokeStyle = colours[colour];
      pen.lineWidth = 1.5;
      pen.beginPath();
      let pixel = null;
      let most = 0;
      let broken = true;
      const values = facts.network[column];
      const flush = () => {
        if (pixel === null) return;
        const y = top + height - (most / chart.top) * height;
        if (broken) {
          pen.moveTo(pixel, y);
          pen.lineTo(pixel + 0.5, y); // a figure alone is a dot
        } else {
          pen.lineTo(pixel, y);
        }
        broken = false;
        pixel = null;
        most = 0;
      };
      for (let at = first; at < times.length; at += 1) {
        const x = this.x(times[at], width);
        if (values[at] === null) {
          flush();
          broken = true;
        } else {
          if (pixel !== null && Math.round(x) > Math.round(pixel)) flush();
          pixel = x;
          most = Math.max(most, values[at]);
        }
        if (x > width) break;
      }
      flush();
      pen.stroke();
    }
    if (chart.row === 'loss') {
      pen.fillStyle = colours.good;
      for (let at = first; at < times.length && times[at] <= this.view.end; at += 1) {
        const count = facts.network.recovered[at];
        if (count) pen.fillRect(this.x(times[at], width) - 1, top + height - 4, 2, 4);
      }
    }
    this.name(pen, `${CHART_NAMES[chart.row]}, to ${Math.round(chart.top)} ${chart.unit}`, chart.row, 'soft');
  }

  // Answers that were cut off.
  cuts(pen, width) {
    const [top] = this.rows.assistant || this.rows.assistantWords;
    const [last, height] = this.rows.assistantWords;
    pen.fillStyle = colours.bad;
    for (const turn of facts.turns) {
      if (!turn.cut || turn.role !== 'assistant') continue;
      const x = Math.round(this.x(turn.end, width));
      if (x < -2 || x > width) continue;
      const isNear = this.view.span < 300;
      pen.globalAlpha = isNear ? 1 : 0.55;
      pen.fillRect(x - 1, top, isNear ? 2 : 1, last + height - top);
      pen.globalAlpha = 1;
      pen.fillRect(x - 3, last + height - 3, 6, 3);
    }
  }

  name(pen, text, row, colour) {
    const [top] = this.rows[row];
    const wide = pen.measureText(text).width;
    pen.globalAlpha = 0.8;
    pen.fillStyle = colours.card;
    pen.fillRect(4, top, wide + 8, 16);
    pen.globalAlpha = 1;
    pen.fillStyle = colours[colour];
    pen.fillText(text, 8, top + 8);
  }

  // What is at a place, in words: [heading, text].
  at(time, y) {
    const slack = (this.view.span / this.canvas.clientWidth) * 5;
    const inside = (row) => this.rows[row] && y >= this.rows[row][0] - 2 && y <= this.rows[row][0] + this.rows[row][1] + 2;
    if (inside('connection')) {
      const mark = facts.marks.find((each) => Math.abs(each.time - time) <= slack);
      if (mark) return [clock(mark.time), mark.text];
      const leg = facts.legs.find((each) => each.began <= time && (each.ended === null || each.ended >= time));
      if (leg) return [`connection ${leg.id}`, `${leg.route} ${leg.via}`];
    }
    if (inside('tools')) {
      const tool = facts.tools.find((each) => each.begin - slack <= time && (each.end === null ? each.begin + 0.5 : each.end) + slack >= time);
      if (tool) return [`${tool.name}(${tool.arguments})`, toolOutcome(tool)];
    }
    if (inside('delay') || inside('loss')) {
      const row = lastBefore(facts.network.time, time, (each) => each);
      if (row >= 0) return [clock(facts.network.time[row], 0), figures(row)];
    }
    const side = inside('user') || inside('userWords') ? 'user' : inside('assistant') || inside('assistantWords') ? 'assistant' : null;
    const turn = facts.turns.find((each) => (!side || each.role === side) && each.begin - slack <= time && each.end + slack >= time);
    return turn ? [turn.role, shown(turn) + (turn.cut ? ' (cut off)' : '')] : null;
  }
}

function fit(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

function short(pen, text, room) {
  if (pen.measureText(text.slice(0, 400)).width <= room) return text.slice(0, 400);
  let low = 0;
  let high = Math.min(text.length, 400);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(`${text.slice(0, middle)}\u2026`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low ? `${text.slice(0, low)}\u2026` : '';
}

function twoLines(pen, text, room) {
  const line = text.replace(/\s+/g, ' ').slice(0, 800);
  if (pen.measureText(line).width <= room) return [line, ''];
  let end = short(pen, line, room).length - 1;
  const space = line.lastIndexOf(' ', end);
  if (space > 0) end = space;
  return [line.slice(0, end), short(pen, line.slice(end).trim(), room)];
}

function shown(turn) {
  const text = turn.cut && turn.heard ? turn.heard : turn.text;
  return text || (turn.spoken ? '(no words)' : '');
}

function toolOutcome(tool) {
  if (tool.end === null) return 'no result';
  return `${tool.failed ? 'failed' : '\u2192'} ${tool.output} (${wait(tool.end - tool.begin)})`;
}

function figures(row) {
  const { network } = facts;
  const told = [
    ['wanted delay', network.target[row], ' ms'], ['delay', network.delay[row], ' ms'], ['round trip', network.round_trip[row], ' ms'],
    ['lost', network.loss[row], ' %'], ['lost on the way up', network.up_loss[row], ' %'],
    ['rebuilt from FEC', network.recovered[row], ''], ['concealed', network.concealed[row], ' %'],
    ['dropouts of devices', network.dropouts[row], ''],
    ['cost so far US$', facts.usage && facts.usage.free ? null : network.cost[row], ''],
  ];
  return told.filter(([, value]) => value !== null).map(([name, value, unit]) => `${name} ${Number(value.toFixed(4))}${unit}`).join(' \u00b7 ');
}
