// Names and files that others choose, and the page has to live with.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { idOf } from '../mock/people.mjs';
import { skip } from './browser.mjs';
import { pages } from './pages.mjs';

const chat = (page, key) => page.locator(`[data-chat="${idOf(key)}"]`);

describe('what others choose', { skip }, () => {
  const on = pages();

  on('a conversation with somebody whose name has signs in it opens', {}, async (page, { mock }) => {
    const person = mock.worlds.get('default').chats.get(idOf('kofi'));
    for (const name of ['Anna-Lena', 'a.*+?^${}()|[]/\\-b', '(', '\\']) {
      person.name = name;
      mock.tell();
      await chat(page, 'mara').click();
      await chat(page, 'kofi').click();
      await page.getByTestId('composer').or(page.locator('.composer textarea')).first().waitFor();
    }
  });

  on('files that are called alike have a menu', {}, async (page, { mock }) => {
    const file = { name: null, path: null, size: 5_000, content_type: 'image/jpeg', state: 'remote' };
    const message = mock.worlds.get('default').receive(idOf('kofi'), 'two of them', { attachments: [file, { ...file }] });
    await chat(page, 'kofi').click();
    await page.locator(`#m-${message.id}`).click({ button: 'right', position: { x: 5, y: 5 } });
    const labels = await page.getByRole('menuitem').allTextContents();
    assert.ok(labels.length > new Set(labels).size, labels.join());
  });
});
