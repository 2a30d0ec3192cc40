// The microphone and the levels: what the page does with sound. It knows no call.

// Why there is no microphone: the first line says what is wrong, the second what to do.
export class NoMicrophone extends Error {
  constructor(message, cure) {
    super(message);
    this.cure = cure;
  }
}

// Whether this page could get a microphone at all, or why not.
export function microphoneRefusal() {
  if (navigator.mediaDevices?.getUserMedia) return null;
  if (!window.isSecureContext) {
    return new NoMicrophone(
      'The browser gives the microphone only to pages that come by HTTPS, and this one came by HTTP.',
      'Open it by https:// (the server needs a certificate: --cert and --key), or on the server’s own machine as http://localhost.',
    );
  }
  return new NoMicrophone('This browser gives no microphone to web pages.', 'Use a current browser, or write instead of talking.');
}

function explained(error) {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new NoMicrophone(
        'The microphone is not allowed on this page.',
        'Allow it in the browser (the symbol beside the address), and in the settings of the system. Then press the button again.',
      );
    case 'NotFoundError':
      return new NoMicrophone('There is no microphone.', 'Connect one and press the button again, or write instead of talking.');
    case 'NotReadableError':
    case 'AbortError':
      return new NoMicrophone('The microphone cannot be opened.', 'Another program may use it: close that, or choose another microphone.');
    default:
      return new NoMicrophone(`The microphone failed: ${error.name}.`, 'Choose another microphone, or write instead of talking.');
  }
}

// The microphone's stream; `device` is an id, or '' for the default. Raises NoMicrophone.
export async function openMicrophone(device) {
  const refusal = microphoneRefusal();
  if (refusal) throw refusal;
  const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  const open = (id) => navigator.mediaDevices.getUserMedia({ audio: id ? { ...wanted, deviceId: { exact: id } } : wanted });
  try {
    return await open(device);
  } catch (error) {
    if (!device || error.name !== 'OverconstrainedError') throw explained(error);
  }
  try {
    return await open(''); // the chosen one has been unplugged
  } catch (error) {
    throw explained(error);
  }
}

// A track of silence, for a call in which the user writes.
export function silentTrack(context) {
  return context.createMediaStreamDestination().stream.getAudioTracks()[0];
}

// Fills the list of microphones; the browser tells their names once one was allowed.
export async function listMicrophones(select) {
  if (!navigator.mediaDevices?.enumerateDevices) return;
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  const chosen = select.value;
  const named = devices.filter(({ kind, deviceId, label }) => kind === 'audioinput' && deviceId && deviceId !== 'default' && label);
  for (const option of [...select.options].slice(1, -1)) option.remove();
  const last = select.options[select.options.length - 1];
  for (const { deviceId, label } of named.slice(0, 30)) last.before(new Option(label.slice(0, 80), deviceId));
  select.value = chosen;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

const FLOOR = -55; // dB of full scale that is shown as nothing

// How loud both sides are, drawn while a call goes on.
export class Levels {
  constructor(context) {
    this.context = context;
    this.meters = new Map();
    this.calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.drawn = 0;
    this.draw = this.draw.bind(this);
    this.frame = requestAnimationFrame(this.draw);
  }

  // Shows `stream` on `bar` from now on; null: nothing more.
  show(bar, stream) {
    this.meters.get(bar)?.source?.disconnect();
    this.meters.delete(bar);
    bar.style.transform = 'scaleX(0)';
    if (!stream?.getAudioTracks().length) return;
    const source = this.context.createMediaStreamSource(stream);
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 1024;
    source.connect(analyser);
    this.meters.set(bar, { source, analyser, samples: new Float32Array(analyser.fftSize), shown: 0 });
  }

  draw(now) {
    this.frame = requestAnimationFrame(this.draw);
    if (this.calm && now - this.drawn < 250) return;
    this.drawn = now;
    for (const [bar, meter] of this.meters) {
      meter.analyser.getFloatTimeDomainData(meter.samples);
      let sum = 0;
      for (const sample of meter.samples) sum += sample * sample;
      const decibels = 10 * Math.log10(sum / meter.samples.length + 1e-12);
      const level = Math.min(1, Math.max(0, 1 - decibels / FLOOR));
      meter.shown = this.calm ? level : Math.max(level, meter.shown - 0.03);
      bar.style.transform = `scaleX(${meter.shown.toFixed(3)})`;
    }
  }

  close() {
    cancelAnimationFrame(this.frame);
    for (const bar of [...this.meters.keys()]) this.show(bar, null);
  }
}
