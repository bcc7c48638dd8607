// What a message says can be read whatever it stands on: bubbles without a ground of their own stand on the page's.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { idOf, ME, messageId } from '../mock/people.mjs';
import { skip } from './browser.mjs';
import { pages } from './pages.mjs';

const KOFI = idOf('kofi');

/** The least a text has, and a sign beside it. */
const LEAST = 4.5;

/** Every text and sign of bubbles without a ground, with its contrast to what is behind it. */
const contrasts = (page) =>
  page.locator('.bubble.bare').evaluateAll((bubbles) => {
    const numbers = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
    const light = (colour) => {
      const [r, g, b] = numbers(colour).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const ground = getComputedStyle(at).backgroundColor;
        if ((numbers(ground)[3] ?? 1) > 0.5) return ground;
      }
      return 'rgb(255, 255, 255)';
    };
    return bubbles.flatMap((bubble) =>
      [bubble, ...bubble.querySelectorAll('.text, .meta, time, svg, .by, .quoted')].map((element) => {
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
        const said = element.closest('.message').getAttribute('aria-label');
        return { what: `${said} ${element.tagName} ${element.getAttribute('class')}`, contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) };
      }),
    );
  });

/** One of each kind of bubble without a ground, of both sides. */
function bare(world) {
  const chat = world.chats.get(KOFI);
  const at = Date.now();
  const add = (n, more) => chat.extra.push({ event: 'message', id: messageId(KOFI, `bare ${n}`), chat: KOFI, text: '', sent_at: at + n, attachments: [], ...more });
  [ME, KOFI].forEach((from, side) => {
    add(side * 20, { from, kind: 'deleted', ...(from === ME ? { state: 'read' } : {}) });
    add(side * 20 + 1, { from, kind: 'deleted', reply_to: { id: messageId(KOFI, 1), from: KOFI } });
    add(side * 20 + 2, { from, text: '👋', edited_at: at });
    // A sign that many fonts draw in the colour of text.
    add(side * 20 + 3, { from, text: '❤', expires_at: at + 3_600_000, timer: { mode: 'after_send', seconds: 3_600 } });
  });
  ['queued', 'stored_weakly', 'stored', 'delivered', 'read', 'failed'].forEach((state, n) => add(40 + n, { from: ME, text: '👋😄', state }));
  add(50, { from: ME, kind: 'deleted', state: 'failed' });
}

describe('bubbles without a ground', { skip }, () => {
  const on = pages();

  for (const theme of ['light', 'dark']) {
    on(`can be read in the ${theme} theme, on both sides and in every state`, { theme, height: 1600 }, async (page, { mock }) => {
      bare(mock.worlds.get('default'));
      await page.locator(`[data-chat="${KOFI}"]`).click();
      await page.getByText('You deleted this message').first().waitFor();
      const found = await contrasts(page);
      assert.ok(found.length > 40, `${found.length} were looked at`);
      const faint = found.filter(({ contrast }) => contrast < LEAST).map(({ what, contrast }) => `${contrast.toFixed(2)}: ${what}`);
      assert.deepEqual(faint, []);
      const axe = await new AxeBuilder({ page }).include('[data-testid=timeline]').withRules(['color-contrast']).analyze();
      assert.deepEqual(axe.violations.flatMap(({ nodes }) => nodes.map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`)), []);
    });
  }
});
