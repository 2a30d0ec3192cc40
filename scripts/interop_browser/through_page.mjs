// OpenAI's own client through a call server: what it says about the session does not count.
//
// It believes that its instructions and tools are those of the session, and sends them when it has
// connected. The server has its own, and they must be the ones that hold.
import { Client, check, run, sleep } from '/page.mjs';

const OURS = 'You are the desk.';
const THEIRS = 'You are a pirate.';

function steps(client, url) {
  const { session, transport } = client;
  const toolsOf = (event) => event.session.tools.map((tool) => tool.name).join();
  return {
    async connect() {
      await session.connect({ apiKey: 'ek_not_needed', url: `${url}call` });
      transport.mute(true);
      check(transport.status === 'connected', transport.status);
      return transport.status;
    },
    async 'has an opaque handle'() {
      check(transport.callId.length >= 20 && !/^(rtc|live|sess)_/.test(transport.callId), transport.callId);
    },
    async 'its session update is undone'() {
      await client.next((event) => event.type === 'session.updated' && event.session.instructions === THEIRS, 0);
      const back = await client.next((event) => event.type === 'session.updated' && event.session.instructions === OURS, 0);
      await sleep(500);
      const last = client.seen.filter((event) => event.type === 'session.updated').at(-1);
      check(last.session.instructions === OURS, last.session.instructions);
      check(toolsOf(back) === 'weather', toolsOf(back));
      return `${last.session.instructions} ${toolsOf(last)}`;
    },
    async 'a tool runs on the server'() {
      const since = client.mark();
      session.sendMessage('What is the weather in Paris?');
      const call = await client.next('response.function_call_arguments.done', since, 10);
      const isOutput = (event) => event.type === 'conversation.item.done' && event.item.type === 'function_call_output';
      const isOurs = (event) => isOutput(event) && /windy/.test(event.item.output);
      const { item } = await client.next(isOurs, since, 10);
      check(item.call_id === call.call_id, JSON.stringify(item));
      await client.next('output_audio_buffer.stopped', since, 40);
      // The client answers calls of tools that are not its own, "not found": that must not stay.
      for (const event of client.seen.slice(since).filter((each) => isOutput(each) && !isOurs(each))) {
        await client.next((each) => each.type === 'conversation.item.deleted' && each.item_id === event.item.id, since, 1);
      }
      check(client.weather.length === 0, 'the page ran a tool of its own');
      const said = session.history.findLast((entry) => entry.role === 'assistant');
      check(/windy/.test(JSON.stringify(said)), JSON.stringify(said));
      return item.output;
    },
    async 'a later update is undone'() {
      const since = client.mark();
      transport.updateSessionConfig({ instructions: THEIRS, tools: [] });
      await client.next((event) => event.type === 'session.updated' && event.session.instructions === OURS, since, 10);
      await sleep(500);
      const last = client.seen.filter((event) => event.type === 'session.updated').at(-1);
      check(last.session.instructions === OURS && toolsOf(last) === 'weather', JSON.stringify(last.session).slice(0, 200));
    },
    async 'sound both ways'() {
      const since = client.mark();
      transport.mute(false);
      const { item_id: item } = await client.next('input_audio_buffer.committed', since, 20);
      transport.mute(true);
      await client.next('output_audio_buffer.started', since, 20);
      const energy = await client.energy(1500);
      check(energy > 1e-4, `energy ${energy}`);
      const user = session.history.find((entry) => entry.itemId === item);
      check(user?.role === 'user', JSON.stringify(user));
    },
    async 'hangs up by the handle'() {
      const response = await fetch(`${url}call/${transport.callId}`, { method: 'DELETE' });
      check(response.status === 204, `status ${response.status}`);
      session.close();
      return String(response.status);
    },
  };
}

window.runAll = async (url) => {
  const client = new Client(`${url}call`, THEIRS);
  for (const [step, action] of Object.entries(steps(client, url))) {
    if (!(await run(step, action)) && step === 'connect') break;
  }
  return client.seen;
};
