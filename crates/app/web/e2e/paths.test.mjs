// What people do, against the mock: by keyboard alone, in several tabs, through lost wires, in a chat of a hundred
// thousand messages, and with texts that try to be more than text.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { WORDS } from '../mock/calls.mjs';
import { idOf, messageId } from '../mock/people.mjs';
import { Mock } from '../mock/server.mjs';
import { skip } from './browser.mjs';
import { pages } from './pages.mjs';

const chat = (page, key) => page.locator(`[data-chat="${idOf(key)}"]`);
const composer = (page) => page.locator('[data-composer]');
const timeline = (page) => page.getByTestId('timeline');

async function openChat(page, key) {
  await chat(page, key).click();
  await page.locator('[data-message]').first().waitFor();
}

/** Scrolls as a hand does. */
const scroll = (page, by) =>
  timeline(page).evaluate((element, dy) => {
    element.dispatchEvent(new WheelEvent('wheel'));
    element.scrollTop += dy;
  }, by);

const atEnd = (page) => page.waitForFunction(() => {
  const element = document.querySelector('[data-testid=timeline]');
  return element.scrollHeight - element.scrollTop - element.clientHeight < 4;
});

describe('the page', { skip }, () => {
  const on = pages();

  on('takes its code out of the address and keeps no secret in it', {}, async (page) => {
    await page.getByRole('navigation').waitFor();
    assert.equal(new URL(page.url()).hash, '');
    await page.reload();
    await page.getByRole('navigation').waitFor();
  });

  on('offers to mention the other side, shows a name and sends an id', {}, async (page) => {
    await openChat(page, 'kofi');
    const name = 'Kofi Mensah';
    const offer = page.getByRole('option', { name });
    await composer(page).fill('');
    await composer(page).pressSequentially(`mail me@${name[0]}`);
    assert.equal(await offer.count(), 0);
    await composer(page).fill('');
    await composer(page).pressSequentially(`look @${name[0].toLowerCase()}`);
    await offer.waitFor();
    await page.keyboard.press('Escape');
    await offer.waitFor({ state: 'detached' });
    await page.keyboard.type(name[1]);
    await offer.waitFor();
    await page.keyboard.press('Enter');
    assert.equal(await composer(page).inputValue(), `look @${name} `);
    await page.keyboard.type('there');
    await page.keyboard.press('Enter');
    const sent = page.locator('.out .text', { hasText: `look @${name} there` });
    await sent.waitFor();
    assert.equal(await sent.locator('.mention').getAttribute('title'), idOf('kofi'));
  });

  on('is shut without a code, and with one that was used', { enter: false, mayComplain: true }, async (page, { mock, context }) => {
    await page.goto(mock.origin);
    await page.getByRole('heading', { name: 'This tab has no key' }).waitFor();
    const link = mock.link();
    const first = await context.newPage();
    await first.goto(link);
    await first.getByRole('navigation').waitFor();
    const second = await context.newPage();
    await second.goto(link);
    await second.getByRole('heading', { name: 'This tab has no key' }).waitFor();
  });

  on('leads by keyboard alone from nothing to a conversation: create, write, reply, react, edit, delete', { scene: 'fresh' }, async (page) => {
    const key = (...keys) => keys.reduce((before, one) => before.then(() => page.keyboard.press(one)), Promise.resolve());
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.getAttribute('aria-label'));
    await page.getByRole('heading', { name: 'Private by construction' }).waitFor();
    await key('Tab', 'Enter');
    await page.getByLabel('Your name').waitFor();
    await page.keyboard.type('Aino');
    await key('Enter');
    await page.getByRole('heading', { name: 'Write these words down' }).waitFor();
    await key('Tab');
    assert.equal(await focused(), 'Show recovery phrase');
    await key('Enter');
    await page.locator('.words li').nth(12).waitFor();
    for (let i = 0; i < 6 && !(await page.getByRole('checkbox').evaluate((e) => e === document.activeElement)); i++) await key('Tab');
    await key('Space', 'Tab', 'Enter');

    await page.getByRole('heading', { name: 'No conversations yet' }).waitFor();
    await key('Alt+n');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.type(idOf('somebody new'));
    await key('Enter');
    await page.getByRole('heading', { name: 'Say hello' }).waitFor();
    await page.waitForFunction(() => document.activeElement?.matches('[data-composer]'));
    await page.keyboard.type('Hello');
    await key('Shift+Enter');
    await page.keyboard.type('you');
    await key('Enter');
    await page.locator('[data-message]', { hasText: 'Hello\nyou' }).waitFor();
    assert.equal(await composer(page).inputValue(), '');
    await page.getByRole('img', { name: 'Stored by most of the service nodes' }).first().waitFor();

    await page.keyboard.type('echo How are you?');
    await key('Enter');
    await page.locator('[data-message]:not(.out)', { hasText: 'How are you?' }).waitFor();
    await key('Shift+ArrowUp');
    await page.waitForFunction(() => document.activeElement?.matches('[data-message]:not(.out)'));
    await key('r');
    await page.getByText('Reply to', { exact: false }).waitFor();
    await page.waitForFunction(() => document.activeElement?.matches('[data-composer]'));
    await page.keyboard.type('Well');
    await key('Enter');
    await page.locator('.out .quote', { hasText: 'How are you?' }).waitFor();

    await key('Shift+ArrowUp', 'ArrowUp', 'Enter');
    const menu = page.getByRole('menu');
    await menu.waitFor();
    assert.equal(await focused(), 'Reply');
    await key('ArrowUp', 'Home', 'Enter');
    await page.locator('.reactions button[aria-pressed=true]').waitFor();

    await key('Escape');
    await page.waitForFunction(() => document.activeElement?.matches('[data-composer]'));
    await key('ArrowUp');
    await page.getByText('Edit message').waitFor();
    await page.waitForFunction(() => document.querySelector('[data-composer]').value === 'Well');
    await page.keyboard.type(', thanks');
    await key('Enter');
    await page.locator('.out', { hasText: 'Well, thanks' }).getByText('edited').waitFor();

    await key('Shift+ArrowUp', 'Delete');
    await page.getByRole('dialog').waitFor();
    await key('Tab', 'Tab', 'Enter');
    await page.getByText('You deleted this message', { exact: false }).first().waitFor();
  });

  on('restores with thirteen words and no others', { scene: 'fresh' }, async (page) => {
    await page.getByRole('button', { name: 'I have a recovery phrase' }).click();
    const go = page.getByRole('button', { name: 'Restore account' });
    await page.getByLabel('Recovery phrase').fill('one two three');
    assert.ok(await go.isDisabled());
    await page.getByLabel('Recovery phrase').fill(WORDS.replace('anvil', 'otter'));
    await go.click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Recovery phrase').fill(`  ${WORDS.toUpperCase().replaceAll(' ', '\n')} `);
    await go.click();
    await page.getByRole('navigation').waitFor();
  });

  on('asks for the passphrase, forgets all when it locks, and comes back', { scene: 'locked' }, async (page) => {
    await page.getByLabel('Passphrase').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('That is not the passphrase.').waitFor();
    await page.getByLabel('Passphrase').fill('open sesame');
    await page.keyboard.press('Enter');
    await openChat(page, 'mara');
    await page.keyboard.press('Alt+l');
    await page.getByRole('heading', { name: 'Locked' }).waitFor();
    assert.ok(!(await page.content()).includes('Mara'));
    await page.getByLabel('Passphrase').fill('open sesame');
    await page.keyboard.press('Enter');
    await chat(page, 'mara').waitFor();
  });

  on('shows the same in two tabs, and locks both', { scene: 'locked' }, async (page, { context, mock }) => {
    await page.getByLabel('Passphrase').fill('open sesame');
    await page.keyboard.press('Enter');
    await openChat(page, 'ines');
    const other = await context.newPage();
    await other.goto(mock.link());
    await openChat(other, 'ines');
    await composer(page).fill('from the first');
    await page.keyboard.press('Enter');
    await other.locator('.out', { hasText: 'from the first' }).waitFor();
    await other.keyboard.press('Alt+l');
    await page.getByRole('heading', { name: 'Locked' }).waitFor();
  });

  on('chooses among profiles', { scene: 'several' }, async (page) => {
    await page.getByRole('button', { name: /Bob/ }).click();
    await page.getByRole('heading', { name: 'No conversations yet' }).waitFor();
    await page.keyboard.press('Alt+4');
    await page.getByRole('button', { name: 'Switch profile' }).click();
    await page.getByRole('button', { name: /Aino/ }).click();
    await chat(page, 'mara').waitFor();
  });

  on('says when the program is gone, keeps what was written, and goes on when it is back', { mayComplain: true }, async (page, visited) => {
    await openChat(page, 'ines');
    const { mock } = visited;
    const port = mock.port;
    await mock.stop();
    await page.getByText('Conclave does not answer. Trying again…').waitFor();
    await composer(page).fill('written while it was away');
    await page.keyboard.press('Enter');
    assert.equal(await composer(page).inputValue(), 'written while it was away');
    await mock.listen(port);
    await page.getByText('Conclave does not answer').waitFor({ state: 'detached' });
    await page.waitForFunction(() => !document.querySelector('.send').disabled);
    await page.keyboard.press('Enter');
    await page.locator('.out', { hasText: 'written while it was away' }).waitFor();
  });

  on('is shut when the program was started anew: its secret is another', { mayComplain: true }, async (page, visited) => {
    await page.getByRole('navigation').waitFor();
    const port = visited.mock.port;
    await visited.mock.stop();
    visited.mock = await new Mock().listen(port);
    const fresh = visited.mock;
    visited.end = async () => {
      await page.context().close();
      await fresh.stop();
    };
    await page.getByRole('heading', { name: 'This tab has no key' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });

  on('keeps a draft when one looks elsewhere', {}, async (page) => {
    await openChat(page, 'kofi');
    await composer(page).fill('to be continued');
    await openChat(page, 'lena');
    await chat(page, 'kofi').getByText('to be continued').waitFor();
    await openChat(page, 'kofi');
    await page.waitForFunction(() => document.querySelector('[data-composer]').value === 'to be continued');
  });

  on('counts down to the limit and does not send more', {}, async (page) => {
    await openChat(page, 'kofi');
    await composer(page).fill('x'.repeat(1_950));
    await page.getByText('50 characters left').waitFor();
    await composer(page).fill('🚢'.repeat(2_001));
    await page.getByText('1 character too many', { exact: false }).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Send' }).isDisabled());
  });

  on('accepts, declines and blocks requests', {}, async (page) => {
    await page.getByRole('button', { name: /Message requests/ }).click();
    await openChat(page, 'stranger1');
    assert.equal(await composer(page).count(), 0);
    await page.getByRole('button', { name: 'Accept' }).click();
    await composer(page).waitFor();
    await openChat(page, 'stranger2');
    await page.getByRole('button', { name: 'Block' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
    await page.getByRole('heading', { name: 'No requests' }).waitFor();
  });

  on('gives a contact a nickname, mutes, sets a timer, blocks and removes', {}, async (page) => {
    await page.keyboard.press('Alt+3');
    await page.getByRole('button', { name: 'Kofi Mensah' }).click();
    await page.getByLabel('Nickname').fill('K.');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'K.' }).waitFor();
    await page.getByRole('switch', { name: 'Muted' }).click();
    await page.getByRole('button', { name: 'For an hour' }).waitFor();
    await page.getByRole('radio', { name: 'After reading' }).click();
    await page.getByRole('radio', { name: '1 week' }).click();
    await page.getByRole('button', { name: 'Block', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Block', exact: true }).click();
    await page.getByRole('button', { name: 'Unblock' }).click();
    await page.getByRole('button', { name: 'Remove contact' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove contact' }).click();
    await page.getByRole('heading', { name: 'Choose a contact' }).waitFor();
  });

  on('finds a message in another chat and shows it where it stands', {}, async (page) => {
    await page.keyboard.press('/');
    await page.keyboard.type('roasted lemons 4');
    await page.locator('.results mark').first().waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('.flash').waitFor();
    const flash = page.locator('[data-message].flash');
    assert.match(await flash.textContent(), /roasted lemons/);
    const box = await flash.boundingBox();
    assert.ok(box.y > 60 && box.y + box.height < 830, `in view: ${JSON.stringify(box)}`);
  });

  on('jumps from a reply to what it answers, far away', {}, async (page, { mock }) => {
    await openChat(page, 'book');
    const world = mock.worlds.get('default');
    const book = world.chats.get(idOf('book'));
    const far = messageId(book.chat, 1_234);
    book.extra.push({ event: 'message', id: messageId(book.chat, 'reply'), chat: book.chat, from: book.chat, text: 'as I said', sent_at: Date.now(), attachments: [], reply_to: { id: far, from: book.chat } });
    mock.tell();
    const reply = timeline(page).getByText('as I said');
    await reply.waitFor();
    await page.locator('.quote').last().click();
    await page.locator(`#m-${far}.flash`).waitFor();
    await page.getByRole('button', { name: 'To the newest message' }).click();
    await reply.waitFor();
    await atEnd(page);
  });

  on('scrolls far back through 100,000 messages: none missing, none twice, few in the document', { motion: 'no-preference' }, async (page) => {
    await openChat(page, 'book');
    await atEnd(page);
    const seen = new Set();
    const steps = [];
    let most = 0;
    let lowest = 100_000;
    // A step that finds no more rows waits for them, however long the machine takes: then none is for nothing.
    for (let i = 0; i < 400 && lowest > 98_500; i++) {
      await scroll(page, -700);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      await page.locator('[data-testid=timeline][aria-busy=false]').waitFor();
      const shown = await page.locator('[data-message] .text').evaluateAll((all) => all.map((e) => Number(/\((\d+)\)/.exec(e.textContent)?.[1])));
      most = Math.max(most, shown.length);
      steps.push([shown[0], shown.at(-1)]);
      for (let n = 1; n < shown.length; n++) assert.equal(shown[n], shown[n - 1] + 1, 'consecutive');
      for (const n of shown) seen.add(n);
      lowest = Math.min(lowest, ...shown);
    }
    assert.ok(lowest <= 98_500, `reached ${lowest}: ${JSON.stringify(steps.slice(-20))}`);
    for (let n = lowest; n <= 100_000; n++) assert.ok(seen.has(n), `message ${n} was passed over: ${JSON.stringify(steps.filter(([first, last]) => Math.abs(first - n) < 150 || Math.abs(last - n) < 150))}`);
    assert.ok(most < 80, `${most} messages in the document at once`);
  });

  on('asks for more messages only when those it asked for are here', {}, async (page, { mock }) => {
    await openChat(page, 'book');
    await atEnd(page);
    const asked = () => mock.asked.filter((method) => method === 'view.older').length;
    const frames = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    mock.held = true;
    await scroll(page, -100_000);
    await page.locator('[data-testid=timeline][aria-busy=true]').waitFor();
    for (let i = 0; i < 8; i++) {
      await scroll(page, i % 2 ? -40 : 40);
      await frames();
    }
    assert.equal(asked(), 1);
    mock.held = false;
    mock.tell();
    await page.locator('[data-testid=timeline][aria-busy=false]').waitFor();
    const first = () => page.locator('[data-message] .text').first().textContent();
    const before = Number(/\((\d+)\)/.exec(await first())[1]);
    assert.ok(before < 99_860 && before > 99_700, `the reader is where they were: ${before}`);
  });

  on('sends what failed once more, when one asks for it', {}, async (page) => {
    await openChat(page, 'mara');
    const failed = page.locator('[data-message]', { hasText: 'example.org/umbrella' });
    const key = await failed.getAttribute('data-message');
    await failed.getByRole('button', { name: 'Send again' }).click();
    await page.locator(`#m-${key}`).waitFor({ state: 'detached' });
    await failed.getByRole('img', { name: /Stored by most|Delivered|Read/ }).waitFor();
    assert.equal(await page.getByText('Not sent').count(), 0);
  });

  on('closes what a button is on and does what it says all the same', {}, async (page) => {
    await openChat(page, 'mara');
    const failed = page.locator('[data-message]', { hasText: 'example.org/umbrella' });
    const key = await failed.getAttribute('data-message');
    await failed.focus();
    await page.keyboard.press('i');
    await page.getByRole('dialog').getByRole('button', { name: 'Send again' }).click();
    await page.locator(`#m-${key}`).waitFor({ state: 'detached' });

    await openChat(page, 'ines');
    await page.locator('.conversation header .icon-btn').last().click();
    await page.getByRole('menuitem', { name: 'Pictures and files' }).click();
    await page.getByRole('tab', { name: 'Files' }).click();
    await page.getByRole('button', { name: 'Show the message with tickets.zip' }).click();
    await page.getByTestId('gallery').waitFor({ state: 'detached' });
    await page.locator('[data-message]').getByText('tickets').first().waitFor();

    await page.keyboard.press('Alt+3');
    await page.getByRole('button', { name: 'Papa' }).click();
    await page.getByRole('button', { name: 'Message', exact: true }).click();
    await composer(page).waitFor();
    await page.locator('.conversation header', { hasText: 'Papa' }).waitFor();
  });

  on('sets, changes and removes the passphrase, and locks by itself only with one', {}, async (page, { mock }) => {
    const dialog = page.getByRole('dialog');
    const press = (name) => dialog.getByRole('button', { name }).click();
    await page.keyboard.press('Alt+4');
    assert.ok(await page.getByLabel('Lock by itself').isDisabled());
    await page.getByRole('button', { name: 'Set passphrase' }).click();
    await dialog.getByLabel('New passphrase').fill('open sesame');
    await dialog.getByLabel('Repeat the passphrase').fill('open');
    assert.ok(await dialog.getByRole('button', { name: 'Set passphrase' }).isDisabled());
    await dialog.getByLabel('Repeat the passphrase').fill('open sesame');
    await press('Set passphrase');
    await dialog.waitFor({ state: 'detached' });

    const settings = () => mock.worlds.get('default').settings;
    const limit = page.getByLabel('Lock by itself');
    for (const [label, seconds] of [['5 minutes', 300], ['Never', null]]) {
      await limit.selectOption({ label });
      const until = Date.now() + 10_000;
      while (settings().auto_lock !== seconds && Date.now() < until) await page.evaluate(() => new Promise(requestAnimationFrame));
      assert.equal(settings().auto_lock, seconds);
    }

    await page.getByRole('button', { name: 'Change passphrase' }).click();
    await dialog.getByLabel('Present passphrase').fill('close sesame');
    await dialog.getByLabel('New passphrase').fill('another');
    await dialog.getByLabel('Repeat the passphrase').fill('another');
    await press('Change passphrase');
    await dialog.getByText('That is not the passphrase.').waitFor();
    await dialog.getByLabel('Present passphrase').fill('open sesame');
    await press('Change passphrase');
    await dialog.waitFor({ state: 'detached' });

    await page.keyboard.press('Alt+l');
    await page.getByLabel('Passphrase').fill('another');
    await page.keyboard.press('Enter');
    await chat(page, 'mara').waitFor();
    await page.keyboard.press('Alt+4');
    await page.getByRole('button', { name: 'Remove passphrase' }).click();
    await dialog.getByLabel('Present passphrase').fill('another');
    await press('Remove passphrase');
    await page.getByRole('button', { name: 'Set passphrase' }).waitFor();
  });

  on('makes a preview only when one wants it, asks each time, and says who sees what', {}, async (page, { mock }) => {
    await openChat(page, 'kofi');
    const asked = () => mock.asked.filter((method) => method === 'look_up_preview').length;
    const send = async (text) => {
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.querySelector('[data-composer]').value === '');
      return page.locator('.out', { hasText: text });
    };
    await composer(page).fill('first: https://example.org/ferry');
    await page.getByText('Add a preview of example.org?').waitFor();
    await page.getByText('The site sees this computer’s address.').waitFor();
    assert.equal(asked(), 0);
    await page.getByRole('button', { name: 'Make preview' }).click();
    await page.getByTestId('preview').getByText('All about ferry').waitFor();
    await composer(page).focus();
    await (await send('first:')).locator('.card', { hasText: 'All about ferry' }).waitFor();

    await composer(page).fill('second: https://example.org/mill');
    await page.getByRole('button', { name: 'No preview' }).click();
    await page.getByText('Add a preview').waitFor({ state: 'detached' });
    await composer(page).focus();
    const second = await send('second:');
    await second.waitFor();
    assert.equal(await second.locator('.card').count(), 0);

    await composer(page).fill('third: https://nowhere.example/');
    await page.getByRole('button', { name: 'Make preview' }).click();
    await page.getByText('There is no preview of this page').waitFor();
    assert.equal(asked(), 2);
  });

  on('keeps the place of the reader when messages come, and stays at the end for who is there', {}, async (page, { mock }) => {
    await openChat(page, 'book');
    await atEnd(page);
    const world = mock.worlds.get('default');
    world.receive(idOf('book'), 'first new');
    mock.tell();
    await page.getByText('first new').nth(1).or(page.locator('[data-message]', { hasText: 'first new' })).first().waitFor();
    await atEnd(page);
    await scroll(page, -900);
    await page.waitForFunction(() => document.querySelector('.newest'));
    const place = () => page.evaluate(() => {
      const top = document.querySelector('[data-testid=timeline]').getBoundingClientRect().top;
      const row = [...document.querySelectorAll('[data-message]')].find((e) => e.getBoundingClientRect().top > top);
      return { key: row.dataset.message, y: Math.round(row.getBoundingClientRect().top) };
    });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const before = await place();
    for (let i = 0; i < 5; i++) world.receive(idOf('book'), `while you read ${i}\n`.repeat(4));
    mock.tell();
    await chat(page, 'book').getByText('while you read 4').first().waitFor();
    assert.deepEqual(await place(), before);
  });

  on('opens at the end, and stays there while somebody types', {}, async (page, { mock }) => {
    await openChat(page, 'dad');
    const dots = page.locator('.timeline .typing');
    await dots.waitFor();
    await atEnd(page);
    const settled = () => page.evaluate(async () => {
      // Ten frames in which nothing moves.
      const element = document.querySelector('[data-testid=timeline]');
      for (let still = 0, before = ''; still < 10; ) {
        await new Promise(requestAnimationFrame);
        const now = `${element.scrollTop} ${element.scrollHeight}`;
        still = now === before ? still + 1 : 0;
        before = now;
      }
      return element.scrollHeight - element.scrollTop - element.clientHeight;
    });
    assert.ok((await settled()) < 4);
    const dad = mock.worlds.get('default').chats.get(idOf('dad'));
    for (const typing of [false, true]) {
      dad.typing = typing;
      mock.tell();
      await dots.waitFor({ state: typing ? 'visible' : 'detached' });
      assert.ok((await settled()) < 4);
    }
    assert.equal(await page.getByRole('button', { name: 'To the newest message' }).count(), 0);
  });

  on('tells a screen reader of messages that come', {}, async (page, { mock }) => {
    await openChat(page, 'ines');
    const world = mock.worlds.get('default');
    world.receive(idOf('ines'), 'are you there');
    mock.tell();
    await page.getByTestId('announcer').getByText('Inês Carvalho: are you there').waitFor();
    world.receive(idOf('lena'), 'and here');
    mock.tell();
    await page.getByTestId('announcer').getByText('Lena: and here').waitFor();
  });

  on('gives hostile texts no power: nothing runs, nothing is made of them, nothing is fetched', {}, async (page) => {
    await openChat(page, 'mallory');
    await scroll(page, -5_000);
    await page.getByText('<img src=x onerror="alert(1)">', { exact: false }).waitFor();
    const made = await timeline(page).evaluate((e) => ({
      elements: e.querySelectorAll('img, script, iframe, object, b, circle, style').length,
      addresses: [...e.querySelectorAll('a')].map((a) => a.href),
    }));
    assert.equal(made.elements, 0);
    for (const address of made.addresses) assert.match(address, /^https?:\/\/(?!bank)/);
    assert.ok(!made.addresses.some((address) => address.includes('@')));
    await page.getByText('U+202E').first().waitFor();
    assert.equal(await page.locator('.card', { hasText: 'no link' }).count(), 0);
  });

  on('shows where a link really leads before it opens, also for the middle button', {}, async (page, { context }) => {
    await openChat(page, 'mallory');
    const link = page.locator('[data-message] a', { hasText: 'account' });
    for (const how of [{}, { button: 'middle' }, { modifiers: ['Control'] }]) {
      await link.click(how);
      assert.equal(await page.getByTestId('host').textContent(), 'www.xn--80ak6aa92e.com');
      const open = page.getByRole('link', { name: 'Open in a new tab' });
      assert.equal(await open.getAttribute('rel'), 'noreferrer noopener');
      assert.equal(await open.getAttribute('target'), '_blank');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    assert.equal(context.pages().length, 1);
  });

  on('keeps the document small, whatever chat is open, and prints how long opening takes', {}, async (page) => {
    await chat(page, 'mara').waitFor();
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
    const took = [];
    for (const key of ['book', 'mara', 'dad', 'book', 'mara']) {
      took.push(await page.evaluate(async (id) => {
        const began = performance.now();
        const before = document.querySelector('.conversation');
        const arrived = () => document.querySelector('.conversation') !== before && document.querySelector('[data-message]');
        document.querySelector(`[data-chat="${id}"]`).click();
        while (!arrived()) await new Promise((done) => requestAnimationFrame(done));
        return performance.now() - began;
      }, idOf(key)));
    }
    const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
    // Figures, not limits: this machine may be busy.
    console.log(`first paint ${Math.round(paint)} ms; conversations open in ${took.map(Math.round).join(', ')} ms; ${nodes} elements`);
    assert.ok(nodes < 4_000);
  });

  on('gives focus back to where it was when a dialog or menu closes', {}, async (page) => {
    await openChat(page, 'mara');
    await page.locator('[data-message]').last().focus();
    const key = await page.locator('[data-message]').last().getAttribute('data-message');
    for (const how of ['Enter', 'i']) {
      await page.keyboard.press(how);
      await page.locator('[role=menu], [role=dialog], dialog').first().waitFor();
      await page.keyboard.press('Escape');
      await page.waitForFunction((wanted) => document.activeElement?.dataset.message === wanted, key);
    }
  });

  on('changes theme and language at once, and writes Arabic from the right', {}, async (page) => {
    await page.keyboard.press('Alt+4');
    await page.getByRole('radio', { name: 'Dark' }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await page.getByLabel('Language').selectOption('ar');
    await page.getByRole('heading', { name: 'الإعدادات' }).first().waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dir), 'rtl');
    const list = await page.locator('.list').boundingBox();
    assert.ok(list.x > 720, 'the list is on the right');
    await page.reload();
    await page.getByRole('navigation', { name: 'الأقسام' }).waitFor();
  });

  on('works on a narrow screen, one pane at a time', { width: 360, height: 640, touch: true }, async (page) => {
    await openChat(page, 'ines');
    assert.ok(!(await page.getByRole('navigation').isVisible()));
    await page.getByRole('button', { name: 'Back' }).click();
    await chat(page, 'ines').waitFor();
    await page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
    await page.locator('.entry').first().click();
    await page.getByLabel('Your name').waitFor();
    await page.getByRole('button', { name: 'Back' }).click();
    await page.getByRole('navigation').waitFor();
  });
});
