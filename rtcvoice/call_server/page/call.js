// One call: the peer connection for the sound, a socket for everything else. It touches no element.
//
//   page ── offer ──> server ── its key ──> service       sound goes straight between page and service
//   page <── events ── server <── sideband ── service
const ANSWER_TIMEOUT = 25000;
const CONNECT_TIMEOUT = 15000;
const SOCKET_RETRIES = [300, 1000, 2000];
const STEADY = 10000; // a socket that held so long has not failed at once
const MOST_EVENT = 262144; // characters
const MOST_REASON = 400;

// Why there is no call: the first line says what is wrong, the second what to do.
export class CallRefused extends Error {
  constructor(message, cure = '') {
    super(message);
    this.cure = cure;
  }
}

const NO_SOUND = () => new CallRefused('No sound gets through to the service.', 'A firewall may block WebRTC (UDP). Try another network.');

function seconds(response) {
  const wait = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
  return Number.isFinite(wait) && wait > 0 ? ` Try again in ${wait} s.` : ' Try again later.';
}

// What the server's refusal means for the one who sits in front of the page.
async function refusal(response) {
  let told = '';
  try {
    const { error } = JSON.parse((await response.text()).slice(0, 4000));
    told = String(error?.message ?? '').slice(0, MOST_REASON);
  } catch {
    // a refusal of something in between: only its status is known
  }
  switch (response.status) {
    case 401:
      return new CallRefused('The server does not know you.', told || 'Log in, and load this page again.');
    case 403:
      return new CallRefused('The server does not allow this call.', told);
    case 429:
      return new CallRefused('There were too many calls.', (told || 'The server limits how many may be made.') + seconds(response));
    case 503:
      return new CallRefused('The server is busy.', (told || 'All lines are taken.') + seconds(response));
    default:
      if (response.status >= 500) return new CallRefused('The call could not be made.', told || `The server answered ${response.status}.`);
      return new CallRefused('The server refused the call.', told || `It answered ${response.status}.`);
  }
}

// Ends are told once, by `onEnded({ reason, normal })`; everything else by `onEvent(event)`,
// `onStream(stream)` and `onWeak(bool)`.
export class Call {
  constructor(handlers) {
    Object.assign(this, handlers);
    this.address = null; // of this call on the server; nobody else knows it
    this.ended = false;
    this.attached = false; // whether the server follows the call
    this.abort = new AbortController();
    this.peer = new RTCPeerConnection();
    this.peer.addEventListener('track', ({ track, streams }) => this.onStream(streams[0] ?? new MediaStream([track])));
    this.peer.addEventListener('connectionstatechange', () => this.#connection());
  }

  // Makes the call; returns when the sound flows. Raises CallRefused.
  async connect(track, { consent }) {
    this.sender = this.peer.addTrack(track, new MediaStream([track]));
    await this.peer.setLocalDescription(await this.peer.createOffer());
    const answer = await this.#ask(this.peer.localDescription.sdp, consent);
    if (this.ended) throw new CallRefused('The call was given up.');
    this.#follow(0);
    try {
      await this.peer.setRemoteDescription({ type: 'answer', sdp: answer });
    } catch {
      throw new CallRefused('The answer of the service cannot be used.', 'Load this page again, or use another browser.');
    }
    await this.#connected();
  }

  async #ask(sdp, consent) {
    const headers = { 'Content-Type': 'application/sdp' };
    if (consent) headers['X-Consent'] = 'recording';
    const timer = setTimeout(() => this.abort.abort(new DOMException('', 'TimeoutError')), ANSWER_TIMEOUT);
    let response;
    let body;
    try {
      response = await fetch('call', { method: 'POST', headers, body: sdp, signal: this.abort.signal, redirect: 'error' });
      if (response.status !== 201) throw await refusal(response);
      // Before the body: a call that was given up just now must be hung up too.
      this.address = new URL(response.headers.get('Location') ?? 'call', location.href);
      if (this.address.origin !== location.origin) throw new CallRefused('The server named a call of another place.');
      if (this.ended) this.#goodbye();
      body = await response.text();
    } catch (error) {
      if (error instanceof CallRefused) throw error;
      if (error.name === 'TimeoutError') throw new CallRefused('The server does not answer.', 'Try again later.');
      throw new CallRefused('The server cannot be reached.', 'Is it running, and is this device online?');
    } finally {
      clearTimeout(timer);
    }
    return body;
  }

  // Waits until the sound flows and the server, too, is there: before, it would miss what is pressed.
  #connected() {
    return new Promise((done, failed) => {
      let timer = 0;
      const settle = (error) => {
        clearTimeout(timer);
        this.peer.removeEventListener('connectionstatechange', look);
        this.looked = null;
        if (error) failed(error);
        else done();
      };
      const look = () => {
        const state = this.peer.connectionState;
        if (this.ended) settle(new CallRefused('The call was given up.'));
        else if (state === 'failed' || state === 'closed') settle(NO_SOUND());
        else if (state === 'connected' && this.attached) settle();
      };
      timer = setTimeout(() => settle(this.attached ? NO_SOUND() : new CallRefused('The server does not answer.', 'Try again later.')), CONNECT_TIMEOUT);
      this.looked = look;
      this.peer.addEventListener('connectionstatechange', look);
      look();
    });
  }

  #connection() {
    const state = this.peer.connectionState;
    this.onWeak(state === 'disconnected');
    if (state === 'connected') this.wasUp = true;
    if (state === 'failed' && this.wasUp) this.end('The connection to the service was lost. Is this device online?', false);
  }

  // -- the socket ---------------------------------------------------------------------------------

  #follow(attempt) {
    const url = new URL(`${this.address.pathname}/events`, this.address);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    this.socket = socket;
    let opened = Infinity;
    socket.addEventListener('open', () => {
      opened = performance.now();
      for (const message of this.waiting?.splice(0) ?? []) socket.send(message);
    });
    socket.addEventListener('message', ({ data }) => this.#receive(data));
    socket.addEventListener('close', () => {
      if (this.ended || this.socket !== socket) return;
      const done = performance.now() - opened > STEADY ? 0 : attempt;
      const wait = SOCKET_RETRIES[done];
      if (wait === undefined) this.end('The connection to the server was lost.', false);
      else this.retry = setTimeout(() => this.#follow(done + 1), wait);
    });
  }

  #receive(data) {
    if (this.ended || typeof data !== 'string' || data.length > MOST_EVENT) return;
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return;
    }
    if (event === null || typeof event !== 'object') return;
    if (event.type === 'state') this.attached = true; // the first thing that it tells
    this.looked?.();
    if (event.type === 'ended') this.end(String(event.reason ?? '').slice(0, MOST_REASON), event.normal !== false, true);
    else this.onEvent(event);
  }

  // Tells the server something; what comes while the socket is being opened waits.
  send(message) {
    const text = JSON.stringify(message);
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
    else {
      this.waiting ??= [];
      if (this.waiting.length < 20) this.waiting.push(text);
    }
  }

  replaceTrack(track) {
    return this.sender.replaceTrack(track);
  }

  // -- the end --------------------------------------------------------------------------------------

  // Ends the call on this side; tells the server unless it was the one that told (`known`).
  end(reason, normal = true, known = false) {
    if (this.ended) return;
    this.ended = true;
    this.abort.abort();
    this.looked?.();
    clearTimeout(this.retry);
    if (this.address && !known) this.#goodbye();
    this.socket?.close(1000);
    this.peer.close();
    this.onEnded({ reason, normal });
  }

  // Goes out also while the page is being closed, when nothing else does.
  #goodbye() {
    navigator.sendBeacon(`${this.address.pathname}/bye`);
  }
}
