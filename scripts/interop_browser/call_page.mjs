// Uses the page of a call server as its user does, and prints one JSON line per step.
//
//   node call_page.mjs CHROMIUM PAGES FOLDER_FOR_SCREENSHOTS MICROPHONE.wav
//
// PAGES is JSON: `talk` is a page of a server with tools, `hold` one with push to talk that may
// record, `plain` the address of `talk` by HTTP and a name that is not this machine's, as phones
// have it. What the page logs as an error, a dialog and a request to elsewhere are failures.
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [executablePath, pages, folder, microphone] = process.argv.slice(2);
const { talk, hold, plain } = JSON.parse(pages);
const common = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection', '--host-resolver-rules=MAP phone.test 127.0.0.1',
];
const withMicrophone = [
  '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${microphone}`,
];
const troubles = [];
const markup = '<img src=x onerror="document.title=1">';

async function step(name, action) {
  try {
    console.log(JSON.stringify({ step: name, ok: true, told: String((await action()) ?? '') }));
  } catch (error) {
    console.log(JSON.stringify({ step: name, ok: false, told: String(error.message ?? error).slice(0, 400) }));
  }
}

function check(condition, text) {
  if (!condition) throw new Error(text);
}

// Opens a page in a browser context of its own and keeps an eye on it.
async function opened(browser, url, { width = 1280, height = 860, scheme = 'light', allow = ['microphone'], expected = null } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, permissions: allow });
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.on('pageerror', (error) => troubles.push(`error: ${error}`));
  page.on('dialog', (dialog) => troubles.push(`dialog: ${dialog.message()}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !expected?.test(message.text())) troubles.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) troubles.push(`asked elsewhere: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.asked = 0;
    const get = navigator.mediaDevices?.getUserMedia;
    if (get) navigator.mediaDevices.getUserMedia = (...given) => ((window.asked += 1), get.apply(navigator.mediaDevices, given));
  });
  await page.goto(url);
  await phase(page, 'idle');
  return page;
}

const phase = (page, name) => page.waitForSelector(`body[data-phase=${name}]`);
const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });
const row = (page, kind, text) => page.locator(`#turns li.${kind}`, { hasText: text });

async function write(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

async function until(page, condition, text) {
  await page.waitForFunction(condition, null, { timeout: 20000 }).catch(() => check(false, text));
}

// The words of the newest line of a side while they grow: how many lengths were seen.
async function growing(page, kind, action) {
  await page.evaluate((kind) => {
    window.lengths = new Set();
    window.observer = new MutationObserver(() => {
      const words = [...document.querySelectorAll(`#turns li.${kind} .words`)].at(-1);
      if (words) window.lengths.add(words.textContent.length);
    });
    window.observer.observe(document.getElementById('turns'), { childList: true, subtree: true, characterData: true });
  }, kind);
  await action();
  return page.evaluate(() => (window.observer.disconnect(), window.lengths.size));
}

async function talking(browser) {
  const page = await opened(browser, talk);
  await step('says before the call that it is an AI', async () => {
    check(/AI voice, not with a person/.test(await page.innerText('#welcome')), await page.innerText('#welcome'));
    check((await page.evaluate('window.asked')) === 0, 'the microphone was asked for');
    check(!(await page.isVisible('#recording')), 'it asks about recording, and nothing would be recorded');
    await shot(page, 'ready-1280');
  });
  await step('the keyboard reaches everything', async () => {
    const reached = new Set();
    for (let presses = 0; presses < 5; presses += 1) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
    }
    check(['skip', 'microphone', 'action'].every((name) => reached.has(name)), [...reached].join());
    return [...reached].join(', ');
  });
  await step('gives up while it connects', async () => {
    await page.route('**/call', async (route) => {
      await page.waitForTimeout(300);
      await route.continue().catch(() => {});
    });
    await page.click('#action');
    await phase(page, 'connecting');
    await page.waitForTimeout(200);
    await page.click('#action');
    await phase(page, 'idle');
    check(await page.isHidden('#trouble'), await page.innerText('#trouble'));
    await page.waitForTimeout(500);
    await page.unroute('**/call');
  });
  await step('makes a call', async () => {
    const begun = performance.now();
    await page.focus('#action');
    await page.keyboard.press('Enter');
    await phase(page, 'active');
    await page.click('#mute');
    check((await page.getAttribute('#mute', 'aria-pressed')) === 'true', 'mute is not pressed');
    await page.waitForFunction(() => document.getElementById('state-text').textContent === 'Muted');
    return `${Math.round(performance.now() - begun)} ms`;
  });
  await step('a tool runs in Python', async () => {
    await write(page, 'What is the weather in Paris?');
    await row(page, 'tool', 'done').waitFor();
    const told = (await row(page, 'tool', 'weather').innerText()).replace(/\s+/g, ' ');
    check(/city: Paris/.test(told) && /windy/.test(told), told);
    await row(page, 'assistant', 'windy').waitFor();
    return told;
  });
  await step('shows what it costs', async () => {
    await page.waitForSelector('#cost:not([hidden])');
    const cost = await page.innerText('#cost');
    check(/^\$0\.0\d+$/.test(cost) && Number(cost.slice(1)) > 0, cost);
    return cost;
  });
  await step('another microphone during the call', async () => {
    const before = await page.evaluate('window.asked');
    const names = await page.locator('#microphone option').allInnerTexts();
    check(names.length > 2, names.join());
    await page.selectOption('#microphone', { index: 1 });
    await page.waitForFunction((before) => window.asked > before, before);
    check(await page.isHidden('#trouble'), await page.innerText('#trouble'));
    await until(page, () => document.getElementById('state-text').textContent === 'Muted', 'it is not muted any more');
    return names[1];
  });
  await step('text is never markup', async () => {
    await write(page, markup);
    await row(page, 'user', markup).waitFor();
    check((await page.locator('#turns img').count()) === 0, 'an image came out of it');
    check((await page.title()) !== '1', 'it was run');
    await until(page, () => document.body.dataset.speaks === '', 'it does not stop speaking');
  });
  await step('hears the microphone; words grow', async () => {
    const lengths = await growing(page, 'assistant', async () => {
      await page.click('#mute');
      await until(page, () => /0\.[1-9]/.test(document.getElementById('level-user').style.transform), 'the level of the user stays 0');
      await row(page, 'user', 'packet gets lost').first().waitFor(); // the file is repeated: all of it is heard once
      await page.click('#mute');
      await until(page, () => /0\.[1-9]/.test(document.getElementById('level-assistant').style.transform), 'the level of the assistant stays 0');
      await row(page, 'assistant', 'never notice').waitFor();
    });
    check(lengths > 3, `the answer had ${lengths} lengths`);
    return `${await row(page, 'user', 'packet gets lost').first().locator('.words').innerText()} The answer had ${lengths} lengths`;
  });
  await step('an interruption is marked', async () => {
    await until(page, () => document.body.dataset.speaks === '', 'it does not stop speaking');
    await write(page, 'Tell me a long story.');
    await until(page, () => /long story/.test(document.getElementById('turns').textContent) && document.body.dataset.speaks === 'assistant', 'no story');
    await page.waitForTimeout(1200);
    await page.click('#mute');
    await row(page, 'assistant', '— interrupted').first().waitFor();
    await page.waitForTimeout(600);
    await shot(page, 'call-1280');
    await page.click('#mute');
    return (await row(page, 'assistant', '— interrupted').first().innerText()).replace(/\s+/g, ' ').slice(0, 60);
  });
  await step('it is read out', async () => {
    const told = await page.innerText('#announce');
    check(/Assistant: .*, interrupted/s.test(told), told.slice(-200));
  });
  await step('everything has a name', async () => {
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, section')]
      .filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length)).map((each) => each.id));
    check(nameless.length === 0, nameless.join());
  });
  await step('the end', async () => {
    await page.click('#action');
    await phase(page, 'ended');
    check((await page.innerText('#action')) === 'Talk again', await page.innerText('#action'));
    check(await page.evaluate(() => document.activeElement.id === 'action'), 'the focus is lost');
    await row(page, 'note', 'You ended the call').waitFor();
    const live = await page.evaluate(() => document.getElementById('sound').srcObject);
    check(live === null, 'the sound is still held');
    await shot(page, 'ended-1280');
    return (await row(page, 'note', 'You ended the call').innerText()).replace(/\s+/g, ' ');
  });
  await step('a second call that the assistant ends', async () => {
    await page.click('#action');
    await phase(page, 'active');
    await page.click('#mute');
    await write(page, 'Please end call.');
    await phase(page, 'ended');
    return (await page.locator('#turns li.note').last().innerText()).replace(/\s+/g, ' ');
  });
  await step('leaves the page', async () => {
    await page.click('#action');
    await phase(page, 'active');
    await page.goto('about:blank');
  });
  await page.context().close();
}

async function onPhone(browser) {
  const page = await opened(browser, hold, { width: 360, height: 740, scheme: 'dark' });
  await step('asks before it records', async () => {
    check(/can be recorded/.test(await page.innerText('#recording')), 'it says nothing');
    check(!(await page.isChecked('#consent')), 'consent is given already');
    await shot(page, 'ready-360');
    await page.check('#consent');
  });
  await step('push to talk with the button', async () => {
    await page.click('#action');
    await phase(page, 'active');
    check(await page.isVisible('#recorded'), 'it does not show that it is recorded');
    await page.locator('#hold').hover();
    await page.mouse.down();
    await until(page, () => document.body.dataset.speaks === 'user', 'holding shows nothing');
    await page.waitForTimeout(1500);
    await shot(page, 'holding-360');
    await page.waitForTimeout(6500);
    await page.mouse.up();
    check((await page.getAttribute('#hold', 'aria-pressed')) === 'false', 'it is still held');
    await page.waitForSelector('#turns li.assistant');
    await until(page, () => document.body.dataset.speaks === '', 'it does not end');
    return (await page.locator('#turns li.user .words').first().innerText()).replace(/\s+/g, ' ');
  });
  await step('push to talk with the space bar', async () => {
    await page.focus('#transcript');
    const before = await page.locator('#turns li.assistant').count();
    await page.keyboard.down('Space');
    check((await page.innerText('#hold')) === 'Release to send', await page.innerText('#hold'));
    await page.waitForTimeout(3000);
    await page.keyboard.up('Space');
    await page.waitForFunction((before) => document.querySelectorAll('#turns li.assistant').length > before, before);
    await page.focus('#text');
    await page.keyboard.press('Space');
    check((await page.inputValue('#text')) === ' ', 'no space can be typed');
    await shot(page, 'call-360');
  });
  for (const width of [360, 320]) {
    await step(`fits into ${width}`, async () => {
      await page.setViewportSize({ width, height: 740 });
      const wide = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')]
        .filter((each) => !each.closest('.hidden, .skip, .level')).map((each) => each.getBoundingClientRect().right)));
      check(wide <= width, `it is ${wide} wide`);
    });
  }
  await page.context().close();
}

// What the page says when there is no call: each with what is done to it.
async function refusals(browser) {
  const trouble = async (page) => (await page.locator('#trouble').innerText()).replace(/\s+/g, ' ');
  const expected = /status of (429|503)|ERR_FAILED|ERR_CONNECTION/;
  for (const [name, answer, wanted] of [
    ['too many calls', { status: 429, headers: { 'Retry-After': '12' }, json: { error: { message: 'At most 5 a minute.' } } }, /too many calls.*At most 5.*12 s/],
    ['a busy server', { status: 503, json: { error: { message: 'All lines are taken.' } } }, /busy.*taken/],
    ['a refusal that is no JSON', { status: 429, body: `${markup} `.repeat(999) }, /too many calls/],
    ['no server', null, /cannot be reached/],
  ]) {
    await step(`says: ${name}`, async () => {
      const page = await opened(browser, talk, { expected });
      await page.route('**/call', (route) => (answer ? route.fulfill(answer) : route.abort()));
      await page.click('#action');
      await page.waitForSelector('#trouble:not([hidden])');
      await phase(page, 'idle');
      const told = await trouble(page);
      check(wanted.test(told), told);
      await page.context().close();
      return told;
    });
  }
  await step('says: the network is lost', async () => {
    const page = await opened(browser, talk, { expected: /WebSocket/ });
    let first = null;
    await page.routeWebSocket(/\/events$/, (socket) => {
      if (first) socket.close({ code: 1011 });
      else (first = socket).connectToServer();
    });
    await page.click('#action');
    await phase(page, 'active');
    await first.close({ code: 1011 });
    await phase(page, 'ended');
    const told = await trouble(page);
    check(/connection to the server was lost/.test(told), told);
    await page.context().close();
    return told;
  });
  await step('a lost socket comes back', async () => {
    const page = await opened(browser, talk);
    const sockets = [];
    await page.routeWebSocket(/\/events$/, (socket) => void sockets.push([socket, socket.connectToServer()]));
    await page.click('#action');
    await phase(page, 'active');
    await page.click('#mute');
    await write(page, 'What is the weather in Paris?');
    await row(page, 'assistant', 'windy').waitFor();
    await until(page, () => document.querySelectorAll('#turns .partial').length === 0, 'the answer does not end');
    const before = await page.locator('#turns li').count();
    for (const side of sockets[0]) await side.close({ code: 1011 });
    await page.waitForTimeout(1500);
    check(sockets.length === 2, `${sockets.length} sockets`);
    check((await page.locator('#turns li').count()) === before, await page.innerText('#turns'));
    await write(page, 'Thank you.');
    await row(page, 'user', 'Thank you.').waitFor();
    await page.context().close();
  });
  await step('says: HTTP on a phone', async () => {
    const expected = /Cross-Origin-Opener-Policy/;
    const page = await opened(browser, plain, { width: 360, height: 740, allow: [], expected });
    const told = await trouble(page);
    check(/HTTPS/.test(told), told);
    await shot(page, 'http-360');
    await page.click('#trouble button');
    await phase(page, 'active');
    await write(page, 'What is the weather in Paris?');
    await row(page, 'assistant', 'windy').waitFor();
    await page.context().close();
    return told;
  });
}

async function withoutMicrophone(args, name, wanted) {
  const browser = await chromium.launch({ executablePath, headless: true, args: [...common, ...args] });
  await step(`says: ${name}`, async () => {
    const page = await opened(browser, talk, { allow: [] });
    await page.click('#action');
    await page.waitForSelector('#trouble:not([hidden])');
    const told = (await page.locator('#trouble').innerText()).replace(/\s+/g, ' ');
    await shot(page, `${name.replaceAll(' ', '-')}-1280`);
    check(wanted.test(told), told);
    return told;
  });
  await browser.close();
}

const browser = await chromium.launch({ executablePath, headless: true, args: [...common, ...withMicrophone] });
try {
  await talking(browser);
  await onPhone(browser);
  await refusals(browser);
} finally {
  await browser.close();
}
await withoutMicrophone(['--use-fake-device-for-media-stream'], 'the microphone is not allowed', /not allowed/);
await withoutMicrophone([], 'no microphone', /no microphone/); // this machine has none, or its test
await step('no error, no dialog, no request to elsewhere', async () => check(troubles.length === 0, troubles.join('; ')));
