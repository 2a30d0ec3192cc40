// What a web application does with OpenAI's own client, step by step, against the emulator.
//
// The client is used as published; only its base URL is another. Each step reports what it saw, or
// the error; a step that fails does not end the run unless there is no call to go on with.
import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession, tool } from '/openai-realtime-agents.mjs';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function check(condition, text) {
  if (!condition) throw new Error(text);
}

export class Client {
  constructor(baseUrl, instructions = 'Be brief.') {
    this.seen = [];
    this.errors = [];
    this.audio = document.createElement('audio');
    this.transport = new OpenAIRealtimeWebRTC({
      baseUrl,
      audioElement: this.audio,
      changePeerConnection: (peer) => (this.peer = peer),
    });
    this.weather = [];
    const weather = tool({
      name: 'weather_report',
      description: 'Tells the weather of a city.',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
        additionalProperties: true,
      },
      strict: false,
      execute: async (input) => {
        this.weather.push(input);
        return 'Sunny, 21 degrees.';
      },
    });
    const agent = new RealtimeAgent({ name: 'Interop', instructions, tools: [weather] });
    this.session = new RealtimeSession(agent, { transport: this.transport });
    this.transport.on('*', (event) => this.seen.push(event));
    this.session.on('error', (error) => this.errors.push(error));
  }

  mark() {
    return this.seen.length;
  }

  // The first event since `since` that `wanted` accepts: a type, or a function.
  async next(wanted, since, seconds = 10) {
    const fits = typeof wanted === 'string' ? (event) => event.type === wanted : wanted;
    const until = performance.now() + 1000 * seconds;
    for (;;) {
      const found = this.seen.slice(since).find(fits);
      if (found) return found;
      if (performance.now() > until) {
        const types = [...new Set(this.seen.slice(since).map((event) => event.type))];
        throw new Error(`no ${wanted} in ${seconds} s; there were: ${types.join(', ') || 'none'}`);
      }
      await sleep(10);
    }
  }

  async inbound() {
    for (const entry of (await this.peer.getStats()).values()) {
      if (entry.type === 'inbound-rtp' && entry.kind === 'audio') return entry;
    }
    throw new Error('no inbound audio');
  }

  // Energy heard within `ms`, as WebRTC counts it: about 1e-3 for a second of speech.
  async energy(ms) {
    const before = (await this.inbound()).totalAudioEnergy;
    await sleep(ms);
    return (await this.inbound()).totalAudioEnergy - before;
  }
}

async function badKey(url) {
  const client = new Client(`${url}/realtime/calls`);
  try {
    await client.session.connect({ apiKey: 'ek_nobody_minted_this' });
  } catch (error) {
    check(/status 401/.test(error.message), error.message);
    check(/[Ii]nvalid ephemeral key/.test(error.message), error.message);
    return error.message;
  } finally {
    client.session.close();
  }
  throw new Error('it was accepted');
}

function steps(client, key) {
  const { session, transport } = client;
  return {
    async connect() {
      const begun = performance.now();
      await session.connect({ apiKey: key });
      const took = Math.round(performance.now() - begun);
      transport.mute(true);
      check(transport.status === 'connected', transport.status);
      check(took < 4500, `after ${took} ms: it gave up waiting for session.updated`);
      check(client.seen[0].type === 'session.created', client.seen[0].type);
      return `${took} ms`;
    },
    async 'call id'() {
      check(/^rtc_\w+$/.test(transport.callId), transport.callId);
      const id = client.seen[0].session.id;
      check(id.slice(5) === transport.callId.slice(4), `${id} and ${transport.callId}`);
      return transport.callId.slice(0, 12) + '...';
    },
    async 'session update'() {
      const since = client.mark();
      transport.updateSessionConfig({ instructions: 'Answer in one sentence.' });
      const event = await client.next('session.updated', since);
      check(event.session.instructions === 'Answer in one sentence.', event.session.instructions);
      return `voice ${event.session.audio.output.voice}`;
    },
    async 'text turn with sound'() {
      const since = client.mark();
      session.sendMessage('Hello, who are you?');
      await client.next('output_audio_buffer.started', since);
      const energy = await client.energy(1500);
      check(energy > 1e-4, `energy ${energy}`);
      check(client.audio.srcObject?.getAudioTracks().length === 1, 'no stream on the audio element');
      await client.next('output_audio_buffer.stopped', since, 40);
      const said = session.history.at(-1);
      check(said.role === 'assistant', said.role);
      check(said.content[0].transcript?.length > 5, JSON.stringify(said));
      return JSON.stringify(said.content[0].transcript.slice(0, 40));
    },
    async 'audio turn (fake microphone)'() {
      const since = client.mark();
      transport.mute(false);
      const started = await client.next('input_audio_buffer.speech_started', since, 15);
      const committed = await client.next('input_audio_buffer.committed', since, 15);
      transport.mute(true);
      check(committed.item_id === started.item_id, 'other item');
      await client.next('response.done', since, 20);
      await client.next((event) => /transcription.(completed|failed)$/.test(event.type), since, 20);
      const user = session.history.find((item) => item.itemId === committed.item_id);
      check(user?.role === 'user', JSON.stringify(user));
      await client.next('output_audio_buffer.stopped', since, 40);
      return `user item ${user.status}`;
    },
    async 'tool call and follow-up'() {
      const since = client.mark();
      session.sendMessage('What is the weather in Paris?');
      await client.next('response.function_call_arguments.done', since, 10);
      const first = await client.next('response.done', since, 10);
      await client.next(
        (event) => event.type === 'response.done' && event.response.id !== first.response.id, since, 15,
      );
      check(client.weather.length === 1, `called ${client.weather.length} times`);
      await client.next('output_audio_buffer.stopped', since, 40);
      const said = session.history.at(-1);
      check(said.role === 'assistant', JSON.stringify(said));
      return `${JSON.stringify(client.weather[0])} -> ${JSON.stringify(said.content[0].transcript.slice(0, 30))}`;
    },
    async interrupt() {
      const since = client.mark();
      session.sendMessage('Tell me a long story.');
      await client.next('output_audio_buffer.started', since);
      await sleep(1000);
      session.interrupt();
      await client.next('output_audio_buffer.cleared', since, 3);
      await client.next('conversation.item.truncated', since, 3);
      await sleep(700);
      const energy = await client.energy(500);
      check(energy < 1e-5, `still sounds: ${energy}`);
      return 'cleared, truncated, silent';
    },
    async 'barge-in'() {
      const since = client.mark();
      session.sendMessage('Tell me a long story.');
      await client.next('output_audio_buffer.started', since);
      await sleep(500);
      transport.mute(false);
      await client.next('input_audio_buffer.speech_started', since, 15);
      await client.next('output_audio_buffer.cleared', since, 3);
      await client.next('conversation.item.truncated', since, 3);
      transport.mute(true);
      await client.next('input_audio_buffer.committed', since, 15);
      await client.next('output_audio_buffer.stopped', since, 40);
      return 'speech_started, cleared, truncated, answered';
    },
    async 'error event'() {
      const since = client.mark();
      transport.sendEvent({ type: 'response.create', event_id: 'mine', response: { voice: 'alloy' } });
      const { error } = await client.next('error', since, 3);
      check(error.code === 'unknown_parameter', JSON.stringify(error));
      check(error.event_id === 'mine', JSON.stringify(error));
      return `${error.code} ${error.param}`;
    },
    async '100 KB each way'() {
      const since = client.mark();
      const instructions = 'Be brief. '.repeat(10_240);
      const begun = performance.now();
      transport.updateSessionConfig({ instructions });
      const event = await client.next('session.updated', since, 10);
      check(event.session.instructions === instructions, 'not what was sent');
      return `${Math.round(performance.now() - begun)} ms`;
    },
    async 'no error but the one asked for'() {
      const wrong = client.errors.filter((error) => !/unknown_parameter/.test(JSON.stringify(error)));
      check(!wrong.length, JSON.stringify(wrong[0]));
      return `${client.errors.length} error`;
    },
    async close() {
      session.close();
      check(transport.status === 'disconnected', transport.status);
      return transport.status;
    },
  };
}

export async function run(step, action) {
  try {
    await window.report({ step, ok: true, told: (await action()) ?? '' });
    return true;
  } catch (error) {
    await window.report({ step, ok: false, told: error?.message ?? JSON.stringify(error) });
    return false;
  }
}

window.runAll = async (url, key) => {
  await run('bad key refused with its text', () => badKey(url));
  const client = new Client(`${url}/realtime/calls`);
  for (const [step, action] of Object.entries(steps(client, key))) {
    if (!(await run(step, action)) && step === 'connect') break;
  }
  return client.seen;
};
