// The command line and the page on one profile at the same time, over a real network; and the owner of both is killed.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { launch, skip } from '../e2e/browser.mjs';
import { eventually, Home, missing, story, within } from './program.mjs';
import { composer, enter, message, press, say, stored } from './tab.mjs';

describe('the command line and the page', { skip: skip || missing }, () => {
  const test = story();
  const alice = {}, carol = {};
  let browser, network, listening;

  const ids = new Map();
  const heard = (text) => listening.until((line) => line.event === 'message' && line.text === text);
  /** What the command line prints of the conversation. */
  const history = () => carol.home.run('history', alice.id, '--offline').filter(({ kind }) => kind === undefined || kind === 'deleted');
  const onPage = () => message(carol.page, '').evaluateAll((rows) => rows.filter((row) => !row.matches('.notice')).map((row) => row.dataset.message));
  /** Everything alice has from carol, in order. */
  const arrived = () => alice.home.run('history', carol.id, '--profile', 'alice', '--limit', '500').filter((line) => !line.outgoing).map((line) => line.text);
  const fromAlice = (text) => alice.home.run('send', '--profile', 'alice', '--timeout', '90', '--', carol.id, text);

  async function openPage() {
    carol.app = await carol.home.start('ready', 'app', '--no-open');
    Object.assign(carol, await enter(browser, carol.app.ready.app));
    await carol.page.locator(`[data-chat="${alice.id}"]`).click();
    await composer(carol.page).waitFor();
  }

  before(async () => {
    browser = await launch();
    alice.home = new Home();
    ({ ready: network } = await alice.home.start('ready', 'up', '--nodes', '10', '--no-open'));
    alice.id = network.profiles.find((profile) => profile.name === 'alice').account_id;
    carol.home = new Home();
    [{ account_id: carol.id }] = carol.home.run('account', 'create', '--name', 'Carol', '--network', network.network);
    carol.home.run('send', '--timeout', '90', '--', alice.id, 'Hello Alice');
    alice.home.run('listen', '--profile', 'alice', '--count', '1');
    fromAlice('Hello Carol');
    await openPage();
    listening = carol.home.begin('listen');
    await heard('Hello Carol');
    await message(carol.page, 'Hello Carol').waitFor();
  });
  after(async () => {
    for (const { pid } of network?.processes ?? []) process.kill(pid, 'SIGCONT');
    await browser?.close();
    await carol.home?.stop();
    await alice.home?.stop();
  });

  test('what either writes, and what comes, both have at once', async () => {
    const [{ id }] = carol.home.run('send', '--timeout', '90', '--', alice.id, 'from the terminal');
    ids.set('from the terminal', id);
    await stored(carol.page, 'from the terminal').waitFor();
    await say(carol.page, 'from the page');
    await stored(carol.page, 'from the page').waitFor();
    fromAlice('from the other side');
    await Promise.all([heard('from the other side'), message(carol.page, 'from the other side').waitFor()]);
    const lines = history();
    // In no order that is known here: each goes by her own clock, and one may be behind by more than lay between two messages.
    assert.deepEqual(new Map(lines.map(({ text, outgoing = false }) => [text, outgoing])), new Map([
      ['Hello Alice', true],
      ['Hello Carol', false],
      ['from the terminal', true],
      ['from the page', true],
      ['from the other side', false],
    ]));
    assert.equal(lines.length, 5);
    assert.deepEqual(await onPage(), lines.map((line) => line.id));
    for (const line of lines) ids.set(line.text, line.id);
    // Read on the page, so it is read for the command line.
    await carol.page.locator(`[data-chat="${alice.id}"] .badge`).waitFor({ state: 'detached' });
    assert.equal(carol.home.run('chats', '--offline').find(({ chat }) => chat === alice.id).unread, 0);
  });

  test('what either changes, reacts to or deletes is so for the other', async () => {
    const { page } = carol;
    const row = (text) => page.locator(`[data-message="${ids.get(text)}"]`);
    carol.home.run('edit', ids.get('from the page'), 'from the page, mended in the terminal', '--timeout', '90');
    await row('from the page').getByText('from the page, mended in the terminal').waitFor();
    await row('from the terminal').focus();
    await press(page, 'w');
    await page.waitForFunction(() => document.querySelector('[data-composer]').value === 'from the terminal');
    await composer(page).fill('from the terminal, mended on the page');
    await press(page, 'Enter');
    await row('from the terminal').getByText('mended on the page').waitFor();
    await listening.until((line) => line.event === 'changed' && line.text === 'from the terminal, mended on the page');

    carol.home.run('react', ids.get('from the other side'), '👍', '--timeout', '90');
    await row('from the other side').locator('.reactions [aria-pressed=true]', { hasText: '👍' }).waitFor();
    await row('Hello Carol').focus();
    await press(page, 'Enter');
    await page.getByRole('menu').waitFor();
    await press(page, 'ArrowUp', 'Home', 'Enter');
    await row('Hello Carol').locator('.reactions [aria-pressed=true]').waitFor();
    await listening.until((line) => line.event === 'changed' && line.id === ids.get('Hello Carol') && line.reactions?.length === 1);

    carol.home.run('delete', ids.get('from the page'), '--from', 'everywhere', '--timeout', '90');
    await row('from the page').getByText('You deleted this message').waitFor();
    await row('from the terminal').focus();
    await press(page, 'Delete');
    await page.getByRole('dialog').getByRole('button', { name: /For everybody/ }).click();
    await listening.until((line) => line.id === ids.get('from the terminal') && (line.event === 'deleted' || line.kind === 'deleted'));

    const lines = history();
    const of = (text) => lines.find(({ id }) => id === ids.get(text));
    assert.equal(of('from the page').kind, 'deleted');
    assert.equal(of('from the terminal').kind, 'deleted');
    assert.deepEqual(of('from the other side').reactions.map(({ emoji, from }) => [emoji, from]), [['👍', [carol.id]]]);
    assert.equal(of('Hello Carol').reactions[0].from[0], carol.id);
    assert.deepEqual(await onPage(), lines.map((line) => line.id));
    // The other side has been told of all of it.
    const there = () => alice.home.run('history', carol.id, '--profile', 'alice');
    assert.ok(!there().some(({ text = '' }) => text.includes('from the page') || text.includes('from the terminal')));
  });

  test('what either sets for the conversation is so for the other', async () => {
    const { page } = carol;
    const row = page.locator(`[data-chat="${alice.id}"]`);
    carol.home.run('contact', 'rename', alice.id, 'Ali', '--timeout', '90');
    await row.getByText('Ali', { exact: true }).waitFor();
    carol.home.run('chat', 'pin', alice.id, '--timeout', '90');
    await row.getByTitle('Pinned').or(page.getByRole('heading', { name: 'Pinned' })).first().waitFor();
    await page.getByRole('button', { name: 'Details of Ali' }).click();
    await page.getByRole('switch', { name: 'Muted' }).click();
    await page.getByRole('button', { name: 'For an hour' }).waitFor();
    await press(page, 'Escape');
    const [chat] = carol.home.run('chats', '--offline').filter(({ chat }) => chat === alice.id);
    assert.ok(chat.muted_until || chat.muted, JSON.stringify(chat));
    assert.ok(chat.pinned);
    assert.equal(chat.nickname, 'Ali');
  });

  test('when the owner of both is killed while nothing gets out, who listens goes on, and all is sent, once and in order', async () => {
    const { page } = carol;
    const texts = ['one', 'two', 'three'].map((word) => `${word} before the end`);
    for (const { pid } of network.processes) process.kill(pid, 'SIGSTOP');
    for (const text of texts) {
      await say(page, text);
      await message(page, text).getByRole('img', { name: 'Waiting to be sent' }).waitFor();
    }
    const waiting = carol.home.begin('send', '--timeout', '90', '--', alice.id, 'four before the end');
    await waiting.until((line) => line.event === 'queued');
    await carol.app.kill();
    // Whoever only waited for the answer to one thing says so and ends; whoever listens is the owner from now on.
    assert.notEqual(await within(() => 'the end of send', waiting.ended), 0);
    assert.equal(waiting.lines.at(-1).event, 'error');
    await page.getByText('Conclave does not answer', { exact: false }).first().waitFor();
    const kept = carol.home.run('history', alice.id, '--offline').filter(({ state }) => state === 'queued').map(({ text }) => text);
    assert.deepEqual(kept, [...texts, 'four before the end']);

    for (const { pid } of network.processes) process.kill(pid, 'SIGCONT');
    carol.home.run('send', '--timeout', '90', '--', alice.id, 'five, after the end');
    const all = [...texts, 'four before the end', 'five, after the end'];
    assert.deepEqual(arrived().slice(-5), all);
    assert.deepEqual(history().slice(-5).map(({ text, state }) => [text, state === 'stored' || state === 'delivered']), all.map((text) => [text, true]));
    fromAlice('do you still listen');
    await heard('do you still listen');
    const printed = listening.lines.filter(({ event }) => event === 'message').map(({ id }) => id);
    assert.equal(new Set(printed).size, printed.length, 'nothing is printed twice');
    assert.equal(listening.child.exitCode, null);
    assert.deepEqual(carol.complaints, []);
  });

  test('the page that is opened next shows all of it', async () => {
    await openPage();
    await stored(carol.page, 'five, after the end').waitFor();
    assert.deepEqual(await onPage(), history().map((line) => line.id));
    await say(carol.page, 'and goes on');
    await stored(carol.page, 'and goes on').waitFor();
    // The page was shown through the process that listens; without it, it goes on by itself.
    await listening.kill();
    await composer(carol.page).fill('and on');
    // What cannot be sent in between stays where it was written.
    await eventually('it is sent', async () => {
      await composer(carol.page).press('Enter');
      return message(carol.page, 'and on').isVisible();
    });
    await stored(carol.page, 'and on').waitFor();
    assert.equal(arrived().filter((text) => text.startsWith('and ')).length, 2);
    assert.deepEqual(carol.complaints, []);
  });
});
