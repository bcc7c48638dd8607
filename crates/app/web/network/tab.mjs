// A tab of the page in a browser of its own, and what is on its screen.
import assert from 'node:assert/strict';
import { PATIENCE } from './program.mjs';

export const composer = (page) => page.locator('[data-composer]');
export const message = (page, text) => page.locator('[data-message]', { hasText: text });
export const stored = (page, text) => message(page, text).getByRole('img', { name: /^(Stored by most|Delivered|Read)/ }).first();

/**
 * Opens a link in a browser context of its own. `complaints` collects what a page must not do: fail, break its own
 * policy, open a dialog of the browser, ask anybody else. `hands` counts what only a pointer can do.
 */
export async function enter(browser, link) {
  const origin = new URL(link).origin;
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-GB', reducedMotion: 'reduce' });
  const complaints = [];
  await context.exposeBinding('complain', (_, what) => void complaints.push(what));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => complain(`policy: ${event.effectiveDirective} ${event.blockedURI}`));
    window.hands = 0;
    addEventListener('pointerdown', () => window.hands++, true);
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const to = request.url();
    if (!to.startsWith(`${origin}/`) && !to.startsWith('blob:')) complaints.push(`request: ${to}`);
  });
  page.on('websocket', (socket) => {
    if (!socket.url().startsWith(origin.replace('http', 'ws'))) complaints.push(`socket: ${socket.url()}`);
  });
  await page.goto(link);
  await page.locator('nav, .front').first().waitFor();
  return { context, page, complaints };
}

/** Writes a message in the chat that is open, and waits until it is on the screen. */
export async function say(page, text) {
  await composer(page).fill(text);
  await composer(page).press('Enter');
  await message(page, text.split('\n')[0]).first().waitFor();
}

/** Presses keys, one after the other. */
export async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
}

/** Waits until the keyboard is where a selector says. */
export const focused = (page, selector) => page.waitForFunction((wanted) => document.activeElement?.matches(wanted), selector);

/** Moves the keyboard through the messages, from the newest up, to the one with this text. */
export async function reach(page, text) {
  await focused(page, '[data-composer]');
  await press(page, 'Shift+ArrowUp');
  await focused(page, '[data-message]');
  await press(page, 'End');
  await page.waitForFunction(() => [...document.querySelectorAll('[data-message]')].at(-1) === document.activeElement);
  for (;;) {
    const { key, here } = await page.evaluate((wanted) => {
      const at = document.activeElement;
      return { key: at.dataset.message, here: at.querySelector('.text')?.textContent.includes(wanted) };
    }, text);
    if (here) return;
    await press(page, 'ArrowUp');
    await page.waitForFunction((from) => document.activeElement?.dataset.message !== from, key);
  }
}

/** The conversation on the screen, in words: who, what, what was answered, who reacted, whether it was edited; without what was deleted. */
const shown = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('[data-message]:not(:has(.deleted))')].map((row) => {
      const words = (selector) => row.querySelector(selector)?.innerText.trim();
      const text = row.querySelector('.text')?.cloneNode(true);
      text?.querySelector('.meta')?.remove();
      return {
        by: row.classList.contains('notice') ? 'notice' : row.classList.contains('out') ? 'me' : 'other',
        text: text?.textContent ?? row.children[1]?.textContent,
        quote: words('.quoted'),
        reactions: [...row.querySelectorAll('.reactions button')].map((button) => button.getAttribute('aria-label')),
        edited: row.textContent.includes('edited'),
      };
    }),
  );

/** Waits until two screens show the same conversation, which it returns. */
export async function same(page, other) {
  let here, there;
  const end = Date.now() + PATIENCE;
  do {
    [here, there] = await Promise.all([shown(page), shown(other)]);
    if (JSON.stringify(here) === JSON.stringify(there)) return here;
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  } while (Date.now() < end);
  return assert.deepEqual(here, there);
}
