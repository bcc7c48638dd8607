// What is on the screen counts as read, in whatever order the server tells of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { idOf } from '../mock/people.mjs';
import { launch, skip, visit } from './browser.mjs';

describe('reading', { skip }, () => {
  let browser;
  before(async () => void (browser = await launch()));
  after(() => browser?.close());

  for (const first of ['the list of chats', 'the conversation']) {
    test(`a message that comes while one looks is read, although ${first} hears of it first`, async () => {
      const { page, mock, complaints, end } = await visit(browser);
      try {
        const row = page.locator(`[data-chat="${idOf('ines')}"]`);
        await row.click();
        await page.locator('[data-message]').first().waitFor();
        const [connected] = mock.connected;
        if (first === 'the conversation') connected.views = new Map([...connected.views].reverse());
        mock.worlds.get('default').receive(idOf('ines'), 'are you reading this');
        mock.tell();
        await page.locator('[data-message]', { hasText: 'are you reading this' }).waitFor();
        await row.getByText('are you reading this').waitFor();
        await row.locator('.badge').waitFor({ state: 'detached' });
        assert.deepEqual(complaints, []);
      } finally {
        await end();
      }
    });
  }

  test('the number on the way to the newest goes down with what is read, as that of the list, and is gone at the end', async () => {
    const { page, mock, complaints, end } = await visit(browser);
    try {
      const world = mock.worlds.get('default');
      for (let n = 0; n < 80; n++) world.receive(idOf('kofi'), `number ${n}`, { sent_at: Date.now() - (80 - n) * 1_000 });
      mock.tell();
      const row = page.locator(`[data-chat="${idOf('kofi')}"]`);
      await row.locator('.badge').getByText('80', { exact: true }).waitFor();
      await row.click();
      await page.locator('[data-message]').first().waitFor();
      const newest = page.locator('.newest');
      const scroll = (by) =>
        page.getByTestId('timeline').evaluate((list, dy) => {
          list.dispatchEvent(new WheelEvent('wheel'));
          list.scrollTop += dy;
        }, by);
      /** Both numbers, when they are the same and smaller than before. */
      const less = async (than) =>
        Number(await (await page.waitForFunction(([chat, before]) => {
          const said = document.querySelector('.newest .badge')?.textContent;
          return said && said === document.querySelector(`[data-chat="${chat}"] .badge [aria-hidden]`)?.textContent && Number(said) < before && said;
        }, [idOf('kofi'), than], { timeout: 5_000 })).jsonValue());
      let left = await less(80);
      for (let step = 0; step < 2; step++) {
        await scroll(500);
        left = await less(left);
      }
      assert.ok(left > 0);
      await newest.click();
      await newest.waitFor({ state: 'detached' });
      await row.locator('.badge').waitFor({ state: 'detached' });
      // All is read: above the end, nothing is said to be new.
      await scroll(-900);
      await newest.waitFor();
      assert.equal(await newest.locator('.badge').count(), 0);
      world.receive(idOf('kofi'), 'one more');
      mock.tell();
      await newest.locator('.badge').getByText('1', { exact: true }).waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await end();
    }
  });

  test('a message that claims to be of the year 292277026 stands where it came, says so, and what comes later is read', async () => {
    const { page, mock, complaints, end } = await visit(browser);
    try {
      const world = mock.worlds.get('default');
      const row = page.locator(`[data-chat="${idOf('kofi')}"]`);
      await row.click();
      await page.locator('[data-message]').first().waitFor();
      world.receive(idOf('kofi'), 'out of time', { sent_at: 2 ** 63, edited_at: 2 ** 63, arrived_at: Date.now() });
      mock.tell();
      const message = page.locator('[data-message]', { hasText: 'out of time' });
      await message.waitFor();
      assert.match(await message.getAttribute('aria-label'), /clock is wrong/);
      assert.equal(await message.locator('.ahead').count(), 1);
      const shown = await message.locator('time').getAttribute('datetime');
      assert.ok(Math.abs(Date.parse(shown) - Date.now()) < 60_000, shown);
      world.receive(idOf('kofi'), 'and this one is of now');
      mock.tell();
      await page.locator('[data-message]', { hasText: 'and this one is of now' }).waitFor();
      await row.locator('.badge').waitFor({ state: 'detached' });
      await message.click({ button: 'right' });
      await page.getByRole('menuitem', { name: 'Details' }).click();
      await page.getByText('it stands where it arrived').waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await end();
    }
  });
});
