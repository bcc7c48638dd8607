// How fast the page is, in Chromium on this machine, against the mock: what a reader waits for at the start, when a
// conversation opens, and how evenly a hundred thousand messages scroll. Figures, not limits: a busy machine makes them
// worse. `npm run figures` builds first.
import { availableParallelism, loadavg } from 'node:os';
import { idOf } from '../mock/people.mjs';
import { launch, skip, visit } from '../e2e/browser.mjs';

if (skip) throw new Error(skip);
const TIMES = 7;
const SCROLL_SECONDS = 10;

const sorted = (all) => all.toSorted((a, b) => a - b);
const at = (all, part) => sorted(all)[Math.min(all.length - 1, Math.floor(all.length * part))];
const ms = (value) => `${value.toFixed(1)} ms`;

const browser = await launch();
try {
  const paints = [];
  const filled = [];
  const opens = [];
  for (let i = 0; i < TIMES; i++) {
    const visited = await visit(browser, { motion: 'no-preference' });
    const { page } = visited;
    const row = page.locator(`[data-chat="${idOf('book')}"]`);
    await row.waitFor();
    // The entry comes after the frame was shown, which may be later than what is looked for in the document.
    paints.push(
      await page.evaluate(
        () =>
          new Promise((known) => {
            new PerformanceObserver((list) => {
              const [paint] = list.getEntriesByName('first-contentful-paint');
              if (paint) known(paint.startTime);
            }).observe({ type: 'paint', buffered: true });
          }),
      ),
    );
    // The page begins with its mark; this is when the conversations stand there.
    filled.push(
      await page.evaluate(
        () =>
          new Promise((known) => {
            new PerformanceObserver((list) => known(list.getEntries().at(-1).startTime)).observe({ type: 'largest-contentful-paint', buffered: true });
          }),
      ),
    );
    opens.push(
      await page.evaluate(async (id) => {
        const began = performance.now();
        document.querySelector(`[data-chat="${id}"]`).click();
        while (!document.querySelector('[data-message]')) await new Promise(requestAnimationFrame);
        return performance.now() - began;
      }, idOf('book')),
    );
    await visited.end();
  }

  const visited = await visit(browser, { motion: 'no-preference' });
  const { page } = visited;
  await page.locator(`[data-chat="${idOf('book')}"]`).click();
  await page.locator('[data-message]').first().waitFor();
  const { frames, rows, lowest } = await page.evaluate(async (seconds) => {
    const list = document.querySelector('[data-testid=timeline]');
    const frames = [];
    let rows = 0;
    let lowest = Infinity;
    const until = performance.now() + seconds * 1_000;
    let before = await new Promise(requestAnimationFrame);
    while (before < until) {
      // A fast hand: about a message a frame, always upwards.
      list.dispatchEvent(new WheelEvent('wheel'));
      list.scrollTop -= 60;
      const now = await new Promise(requestAnimationFrame);
      frames.push(now - before);
      before = now;
      const shown = document.querySelectorAll('[data-message]');
      rows = Math.max(rows, shown.length);
      lowest = Math.min(lowest, Number(/\((\d+)\)/.exec(shown[0]?.textContent ?? '')?.[1] ?? Infinity));
    }
    return { frames, rows, lowest };
  }, SCROLL_SECONDS);
  await visited.end();

  const long = frames.filter((frame) => frame > 1_000 / 30).length;
  console.log(`cores ${availableParallelism()}, load ${loadavg()[0].toFixed(1)}, Chromium ${browser.version()}`);
  console.log(`first paint              median ${ms(at(paints, 0.5))}   of ${TIMES}: ${sorted(paints).map((one) => Math.round(one)).join(', ')}`);
  console.log(`the conversations there  median ${ms(at(filled, 0.5))}   of ${TIMES}: ${sorted(filled).map((one) => Math.round(one)).join(', ')}`);
  console.log(`a conversation opens     median ${ms(at(opens, 0.5))}   of ${TIMES}: ${sorted(opens).map((one) => Math.round(one)).join(', ')}`);
  console.log(`scrolling ${100_000 - lowest} of 100,000 messages in ${SCROLL_SECONDS} s: frames median ${ms(at(frames, 0.5))}, 95 % within ${ms(at(frames, 0.95))}, longest ${ms(Math.max(...frames))}; ${long} of ${frames.length} longer than 33 ms; at most ${rows} messages in the document`);
} finally {
  await browser.close();
}
