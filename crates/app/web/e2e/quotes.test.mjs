// What stands in place of a quoted message that has no text is true: it is no file because nothing is known of it.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { idOf, messageId } from '../mock/people.mjs';
import { skip } from './browser.mjs';
import { pages } from './pages.mjs';

const chat = (page, key) => page.locator(`[data-chat="${idOf(key)}"]`);
const answer = (page, text) => page.locator('[data-message]', { hasText: text }).locator('.quoted');

/** A message of theirs, and one that answers it. */
function asked(world, key, text, more) {
  const message = world.receive(idOf(key), text, more);
  world.receive(idOf(key), `about ${text || 'nothing'}`, { reply_to: { id: message.id, from: message.from } });
  return message;
}

const deleted = { kind: 'deleted', text: '', attachments: [] };

describe('a quote', { skip }, () => {
  const on = pages();

  on('of a message that is deleted says so, also while one looks', {}, async (page, { mock }) => {
    const world = mock.worlds.get('default');
    const message = asked(world, 'kofi', 'the plan');
    await chat(page, 'kofi').click();
    await answer(page, 'about the plan').getByText('the plan', { exact: true }).waitFor();
    world.chats.get(idOf('kofi')).changed.set(message.id, deleted);
    mock.tell();
    await answer(page, 'about the plan').getByText('Deleted message', { exact: true }).waitFor();
  });

  on('of a message that is deleted says so in Arabic', { language: 'ar' }, async (page, { mock }) => {
    const world = mock.worlds.get('default');
    const message = asked(world, 'kofi', 'the plan');
    world.chats.get(idOf('kofi')).changed.set(message.id, deleted);
    await chat(page, 'kofi').click();
    await answer(page, 'about the plan').getByText('رسالة محذوفة', { exact: true }).waitFor();
  });

  on('without a text says what it quotes, in the conversation and where one answers', {}, async (page, { mock }) => {
    const world = mock.worlds.get('default');
    const voice = asked(world, 'kofi', '', { attachments: [{ name: null, path: null, size: 84_112, content_type: 'audio/ogg', voice: true, state: 'here' }] });
    await chat(page, 'kofi').click();
    await answer(page, 'about nothing').getByText('Voice message', { exact: true }).waitFor();
    await page.locator(`#m-${voice.id}`).focus();
    await page.keyboard.press('r');
    await page.locator('.composer .quote').getByText('Voice message', { exact: true }).waitFor();
    // A call is no file, either.
    await chat(page, 'mara').click();
    await page.locator('[data-message]', { hasText: 'the mill is open' }).waitFor();
    await page.getByTestId('timeline').evaluate((list) => {
      list.dispatchEvent(new WheelEvent('wheel'));
      list.scrollTop = 0;
    });
    assert.match(await answer(page, 'Sorry, was on the bike').textContent(), /call/i);
  });

  on('of a message that is too far away to be known is that of a message, not of a file', {}, async (page, { mock }) => {
    const far = messageId(idOf('book'), 12);
    const world = mock.worlds.get('default');
    world.chats.get(idOf('book')).changed.set(far, deleted);
    world.receive(idOf('book'), 'long ago', { reply_to: { id: far, from: idOf('book') } });
    await chat(page, 'book').click();
    await answer(page, 'long ago').getByText('Message', { exact: true }).waitFor();
  });
});
