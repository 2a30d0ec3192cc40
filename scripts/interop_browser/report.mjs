// Opens a report in a headless Chromium, uses it, and prints one JSON line per step.
//
//   node report.mjs CHROMIUM REPORT.html FOLDER_FOR_SCREENSHOTS
//
// The report is opened as its user opens it: as a file. Whatever it asks of a network, whatever it
// logs as an error, and every dialog is a failure.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [executablePath, report, folder] = process.argv.slice(2);
const profile = await mkdtemp(join(tmpdir(), 'rtcvoice-report-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: [
    '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
const troubles = [];
const say = (step, ok, told) => console.log(JSON.stringify({ step, ok, told }));

async function step(name, action) {
  try {
    say(name, true, String((await action()) ?? ''));
  } catch (error) {
    say(name, false, String(error.message ?? error));
  }
}

function check(condition, text) {
  if (!condition) throw new Error(text);
}

try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => troubles.push(`error: ${error}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(`console: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!/^(file|blob):/.test(request.url())) troubles.push(`request: ${request.url().slice(0, 200)}`);
  });
  const text = (selector) => page.locator(selector).textContent();
  const now = async () => {
    const [minutes, seconds] = (await text('#now')).split(':').slice(-2).map(Number);
    return 60 * minutes + seconds;
  };
  const shot = (name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });

  await step('open', async () => {
    const begun = performance.now();
    await page.goto(pathToFileURL(report).href, { waitUntil: 'commit' });
    await page.waitForSelector('html[data-ready=yes]', { state: 'attached', timeout: 60000 });
    const took = Math.round(performance.now() - begun);
    check(took < 2000, `usable after ${took} ms`);
    return `usable after ${took} ms`;
  });
  await step('title and summary', async () => `${await text('#title')}: ${await text('#summary')}`);
  await step('is drawn', async () => {
    const colours = await page.evaluate(() => {
      const canvas = document.getElementById('timeline');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    });
    check(colours > 20, `${colours} colours`);
    await page.screenshot({ path: join(folder, 'opened.png') });
    return `${colours} colours`;
  });
  const hasSound = await page.locator('#play').isEnabled();
  if (hasSound) {
    await step('plays, and the cursor follows', async () => {
      await page.evaluate(() => {
        window.heard = 0;
        const connect = GainNode.prototype.connect;
        GainNode.prototype.connect = function listened(target, ...rest) {
          const meter = this.context.createAnalyser();
          connect.call(this, meter);
          setInterval(() => {
            const samples = new Float32Array(meter.fftSize);
            meter.getFloatTimeDomainData(samples);
            for (const sample of samples) window.heard = Math.max(window.heard, Math.abs(sample));
          }, 20);
          return connect.call(this, target, ...rest);
        };
      });
      const speech = await page.evaluate(() => {
        const facts = JSON.parse(document.getElementById('facts').textContent);
        return facts.turns.find((turn) => turn.spoken && turn.role === 'assistant')?.begin ?? 0;
      });
      await page.evaluate((time) => {
        const seek = document.getElementById('seek');
        seek.value = time;
        seek.dispatchEvent(new Event('input'));
        seek.blur();
      }, speech);
      await page.keyboard.press('Space');
      const begun = await now();
      await page.waitForFunction(
        (from) => Number(document.getElementById('seek').value) > from + 1.5, begun, { timeout: 10000 },
      );
      check((await page.locator('#play').getAttribute('aria-label')) === 'Pause', 'the button does not say Pause');
      await page.keyboard.press('Space');
      const stopped = await now();
      const loudest = await page.evaluate(() => window.heard);
      check(loudest > 0.01, `from ${begun} s to ${stopped} s nothing was heard: ${loudest}`);
      return `from ${begun} s to ${stopped} s, loudest sample ${loudest.toFixed(2)}`;
    });
  }
  await step('arrows move', async () => {
    const before = await now();
    await page.keyboard.press('ArrowRight');
    const after = await now();
    check(Math.abs(after - before - 5) < 0.3 || after > before, `${before} s to ${after} s`);
    return `${before} s to ${after} s`;
  });
  await step('zooms', async () => {
    const picture = () => page.locator('#timeline').screenshot();
    const before = await picture();
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    await page.waitForTimeout(100);
    const after = await picture();
    check(!before.equals(after), 'nothing changed');
  });
  await step('next and previous turn', async () => {
    await page.keyboard.press('n');
    const [first, current] = [await now(), await text('#said [aria-current=true] time')];
    check(current !== null, 'no turn is marked');
    return `${first} s`;
  });
  await step('searches', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('response.done');
    await page.waitForFunction(() => / of /.test(document.getElementById('found').textContent));
    await page.keyboard.press('Enter');
    await page.waitForSelector('#detail:not([hidden])');
    const rows = await page.locator('.row').count();
    check(rows < 80, `${rows} rows exist`);
    check(/"response\.done"/.test(await text('#detail')), 'another event is shown');
    return `${await text('#found')}, ${rows} rows exist`;
  });
  await step('screenshot at 1280', async () => {
    await page.keyboard.press('Tab');
    await page.evaluate(() => scrollTo(0, 0));
    await shot('1280');
  });
  await step('screenshot at 1280, dark', async () => {
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForTimeout(150);
    await shot('1280-dark');
    await page.emulateMedia({ colorScheme: 'light' });
  });
  await step('fits into 360', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.waitForTimeout(200);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    await shot('360');
    check(wide <= 360, `it is ${wide} wide`);
  });
  await step('nothing is markup', async () => {
    const made = await page.evaluate(() => [...document.querySelectorAll('img, iframe, object, a[href^="javascript"]')].length);
    check(made === 0, `${made} elements came out of the recording`);
  });
  await step('everything has a name', async () => {
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, canvas[role], [role=listbox]')]
      .filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length)).map((each) => each.id));
    check(nameless.length === 0, nameless.join());
  });
  await step('no error, no request, no dialog', async () => check(troubles.length === 0, troubles.join('; ')));
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
