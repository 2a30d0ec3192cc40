// Runs page.mjs, or another page, in a headless Chromium and prints one JSON line per step.
//
//   node drive.mjs CHROMIUM URL EPHEMERAL_KEY MICROPHONE.wav [PAGE.mjs [PORT]]
//
// The page comes from a server of our own, so it is of another origin than the server at URL: CORS is
// part of the test. All of it stays on loopback.
import { createServer } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';

const [executablePath, url, key, microphone, script = 'page.mjs', port = '0'] = process.argv.slice(2);
const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const bundle = join(here, 'node_modules/@openai/agents-realtime/dist/bundle');
const html = `<!DOCTYPE html><meta charset="utf-8"><script type="module" src="/${script}"></script>`;

// Whether the client's own schema knows every event; what it does not know, it drops as "generic".
async function parsed(seen) {
  const schema = join(here, 'node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs');
  const { parseRealtimeEvent } = await import(schema);
  const generic = seen.filter((event) => parseRealtimeEvent({ data: JSON.stringify(event) }).isGeneric);
  const told = generic.length
    ? `${generic.length} are not in its schema: ${JSON.stringify(generic[0]).slice(0, 300)}`
    : `${seen.length} events`;
  return { step: "every event in the client's schema", ok: seen.length > 0 && !generic.length, told };
}

const server = createServer(async (request, response) => {
  const name = basename(request.url);
  try {
    if (request.url === '/') {
      response.setHeader('Content-Type', 'text/html');
      response.end(html);
      return;
    }
    const file = [script, 'page.mjs'].includes(name) ? join(here, name) : join(bundle, name);
    response.setHeader('Content-Type', 'text/javascript');
    response.end(await readFile(file));
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => server.listen(Number(port), '127.0.0.1', done));

const profile = await mkdtemp(join(tmpdir(), 'rtcvoice-interop-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection',
    '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
    `--use-file-for-fake-audio-capture=${microphone}`,
  ],
});
try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.log(JSON.stringify({ step: 'page', error: String(error) })));
  page.on('console', (message) => {
    if (process.env.VERBOSE) console.error('console:', message.text());
  });
  await page.exposeFunction('report', (line) => console.log(JSON.stringify(line)));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction('window.runAll');
  const seen = await page.evaluate(([url, key]) => window.runAll(url, key), [url, key]);
  console.log(JSON.stringify(await parsed(seen)));
} finally {
  await browser.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}
