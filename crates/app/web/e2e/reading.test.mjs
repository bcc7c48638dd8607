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
});
