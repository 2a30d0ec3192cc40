// What part of the call is seen, and how hands and mouse move it.
class View {
  constructor(whole) {
    this.whole = whole;
    this.shortest = Math.min(whole, 0.5);
    this.begin = 0;
    this.span = whole;
    this.onchange = () => {};
  }

  get end() {
    return this.begin + this.span;
  }

  set(begin, span) {
    this.span = clamp(span, this.shortest, this.whole);
    this.begin = clamp(begin, 0, this.whole - this.span);
    this.onchange();
  }

  // Zoom by `factor`; the moment `at` stays where it is.
  zoom(factor, at) {
    const span = clamp(this.span * factor, this.shortest, this.whole);
    this.set(at - ((at - this.begin) / this.span) * span, span);
  }

  // Let the moment be seen.
  reveal(time, playing = false) {
    const edge = playing ? 0.9 : 1;
    if (time < this.begin || time > this.begin + edge * this.span) {
      this.set(time - (playing ? 0.1 : 0.4) * this.span, this.span);
    }
  }
}

// Pointers on the timeline: a click is a place, a drag moves, two fingers or ctrl and wheel zoom.
function listen(canvas, view, { onclick, onhover }) {
  const pointers = new Map();
  let dragged = false;
  let pinch = 0;
  const timeAt = (x) => view.begin + ((x - canvas.getBoundingClientRect().left) / canvas.clientWidth) * view.span;
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.max(20, Math.abs(a - b));
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, event.clientX);
    dragged = pointers.size > 1;
    if (pointers.size === 2) pinch = spread();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!pointers.has(event.pointerId)) {
      onhover(timeAt(event.clientX), event.offsetY);
      return;
    }
    const moved = event.clientX - pointers.get(event.pointerId);
    if (!dragged && Math.abs(moved) < 4) return;
    if (!dragged) canvas.setPointerCapture(event.pointerId);
    dragged = true;
    pointers.set(event.pointerId, event.clientX);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const now = spread();
      view.zoom(pinch / now, timeAt((a + b) / 2));
      pinch = now;
    } else {
      view.set(view.begin - (moved / canvas.clientWidth) * view.span, view.span);
    }
  });
  const up = (event) => {
    const was = pointers.delete(event.pointerId);
    if (was && event.type === 'pointerup' && !dragged) onclick(timeAt(event.clientX), event.offsetY);
  };
  for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, up);
  canvas.addEventListener('pointerleave', () => onhover(null, 0));
  canvas.addEventListener('wheel', (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      view.zoom(1.002 ** clamp(event.deltaY, -300, 300), timeAt(event.clientX));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const by = event.deltaX || event.deltaY;
      view.set(view.begin + (by / canvas.clientWidth) * view.span, view.span);
    }
  }, { passive: false });
}
