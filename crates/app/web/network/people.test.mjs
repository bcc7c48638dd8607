// Two people in browsers over a real network, one of them with two devices: the real program, ten real nodes, real sockets.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { launch, skip } from '../e2e/browser.mjs';
import { eventually, Home, missing, story } from './program.mjs';
import { composer, enter, focused, message, press, reach, same, say, stored } from './tab.mjs';

const PASSPHRASE = 'a passphrase of the tablet';

describe('people', { skip: skip || missing }, () => {
  const alice = {}, carol = {}, tablet = {};
  const test = story();
  let browser, network;

  before(async () => {
    browser = await launch();
    alice.home = new Home();
    ({ ready: network } = await alice.home.start('ready', 'up', '--nodes', '10', '--no-open'));
    alice.id = network.profiles.find((profile) => profile.name === 'alice').account_id;
    Object.assign(alice, await enter(browser, network.app));
    carol.home = new Home();
    carol.app = await carol.home.start('ready', 'app', '--no-open', '--network', network.network);
    Object.assign(carol, await enter(browser, carol.app.ready.app));
  });
  after(async () => {
    await browser?.close();
    await tablet.home?.stop();
    await carol.home?.stop();
    await alice.home?.stop();
  });

  test('an account is made, and its words are shown to be written down', async () => {
    const { page } = carol;
    await page.getByRole('heading', { name: 'Private by construction' }).waitFor();
    await press(page, 'Tab', 'Enter');
    await page.getByLabel('Your name').waitFor();
    await page.keyboard.type('Carol');
    await press(page, 'Enter');
    await page.getByRole('button', { name: 'Show recovery phrase' }).waitFor();
    await press(page, 'Tab', 'Enter');
    await page.locator('.words li').nth(12).waitFor();
    carol.words = (await page.locator('.words li').allInnerTexts()).map((word) => word.replace(/[^a-z]/g, '')).join(' ');
    assert.equal(carol.words.split(' ').length, 13);
    // Past “copy” and “hide” to the box.
    await press(page, 'Tab', 'Tab', 'Tab', 'Space', 'Tab', 'Enter');
    await page.getByRole('heading', { name: 'No conversations yet' }).waitFor();
    [{ account_id: carol.id }] = carol.home.run('account', 'show');
  });

  test('a stranger asks, is accepted, and both write', async () => {
    await press(carol.page, 'Alt+n');
    await carol.page.getByRole('dialog').waitFor();
    await carol.page.keyboard.type(alice.id);
    await press(carol.page, 'Enter');
    await carol.page.getByRole('heading', { name: 'Say hello' }).waitFor();
    await focused(carol.page, '[data-composer]');
    await carol.page.keyboard.type('Hello Alice,');
    await press(carol.page, 'Shift+Enter');
    await carol.page.keyboard.type('it is Carol');
    await press(carol.page, 'Enter');
    await stored(carol.page, 'Hello Alice,\nit is Carol').waitFor();

    const { page } = alice;
    await page.getByRole('heading', { name: 'Who is using Conclave?' }).waitFor();
    await reachButton(page, /Alice/);
    await press(page, 'Enter');
    await page.getByRole('navigation').waitFor();
    await press(page, 'Alt+2');
    await page.getByRole('heading', { name: 'Message requests' }).waitFor();
    await page.locator('[data-chat]').first().waitFor();
    await reachButton(page, /Carol/);
    await press(page, 'Enter');
    await message(page, 'Hello Alice,\nit is Carol').waitFor();
    await reachButton(page, /^Accept$/);
    await press(page, 'Enter');
    await composer(page).waitFor();
    await reachField(page);
    await page.keyboard.type('Hello Carol');
    await press(page, 'Enter');
    await message(carol.page, 'Hello Carol').waitFor();
  });

  test('what is answered, changed and taken back is so on the other side', async () => {
    const { page } = carol;
    await press(page, 'Escape');
    await reach(page, 'Hello Carol');
    await press(page, 'r');
    await page.getByText('Reply to', { exact: false }).waitFor();
    await focused(page, '[data-composer]');
    await page.keyboard.type('An anser');
    await press(page, 'Enter');
    await alice.page.locator('[data-message] .quote', { hasText: 'Hello Carol' }).waitFor();

    await page.waitForFunction(() => document.querySelector('[data-composer]').value === '');
    await press(page, 'ArrowUp');
    await page.waitForFunction(() => document.querySelector('[data-composer]').value === 'An anser');
    await press(page, 'Backspace', 'Backspace', 'w', 'e', 'r', 'Enter');
    await message(alice.page, 'An answer').getByText('edited').waitFor();
    assert.equal(await message(alice.page, 'An anser').count(), 0);

    await page.waitForFunction(() => document.querySelector('[data-composer]').value === '');
    await page.keyboard.type('Nobody should read this');
    await press(page, 'Enter');
    await message(alice.page, 'Nobody should read this').waitFor();
    await reach(page, 'Nobody should read this');
    await press(page, 'Delete');
    await page.getByRole('dialog').waitFor();
    await press(page, 'Tab', 'Tab', 'Enter');
    await message(alice.page, 'Nobody should read this').waitFor({ state: 'detached' });
    await message(alice.page, 'This message was deleted').waitFor();
    await message(page, 'You deleted this message').waitFor();
  });

  test('a reaction is on both screens, adds up with another, and goes again', async () => {
    const { page } = carol;
    await press(page, 'Escape');
    await reach(page, 'Hello Carol');
    await press(page, 'Enter');
    await page.getByRole('menu').waitFor();
    await press(page, 'ArrowUp', 'Home', 'Enter');
    const chip = ({ page }) => message(page, 'Hello Carol').first().locator('.reactions button');
    await chip(carol).and(page.locator('[aria-pressed=true]')).waitFor();
    const emoji = (await chip(carol).innerText()).trim();
    await chip(alice).filter({ hasText: emoji }).and(alice.page.locator('[aria-pressed=false]')).waitFor();

    alice.home.run('react', await chip(alice).locator('xpath=ancestor::*[@data-message]').getAttribute('data-message'), emoji, '--profile', 'alice');
    for (const side of [carol, alice]) {
      await chip(side).filter({ hasText: '2' }).waitFor();
      assert.equal(await chip(side).getAttribute('aria-pressed'), 'true');
    }
    await focused(page, '[data-message]');
    await press(page, 'Enter');
    await page.getByRole('menu').waitFor();
    await press(page, 'ArrowUp', 'Home', 'Enter');
    for (const [side, mine] of [[carol, 'false'], [alice, 'true']]) {
      await chip(side).filter({ hasNotText: '2' }).and(side.page.locator(`[aria-pressed=${mine}]`)).waitFor();
    }
  });

  test('all of this was done without a pointer', async () => {
    for (const { page } of [alice, carol]) assert.equal(await page.evaluate(() => window.hands), 0);
  });

  test('a second device, restored from the phrase and behind a passphrase, shows the same conversation', async () => {
    tablet.home = new Home({ CONCLAVE_PASSPHRASE: PASSPHRASE });
    tablet.app = await tablet.home.start('ready', 'app', '--no-open', '--network', network.network);
    Object.assign(tablet, await enter(browser, tablet.app.ready.app));
    const { page } = tablet;
    await page.getByRole('button', { name: 'I have a recovery phrase' }).click();
    await page.getByLabel('Recovery phrase').fill(carol.words);
    await page.getByLabel('Passphrase for this computer').fill(PASSPHRASE);
    await page.getByLabel('Repeat the passphrase').fill(PASSPHRASE);
    await page.getByRole('button', { name: 'Restore account' }).click();
    await page.locator(`[data-chat="${alice.id}"]`).click();
    const both = await same(page, carol.page);
    assert.deepEqual(both.filter(({ by }) => by !== 'notice').map(({ by, text }) => [by, text]), [
      ['me', 'Hello Alice,\nit is Carol'],
      ['other', 'Hello Carol'],
      ['me', 'An answer'],
    ]);
    // What was deleted before this device was here has left nothing to tell of.
    assert.equal(await page.locator('[data-message] .deleted').count(), 0);
    assert.equal(await carol.page.locator('[data-message] .deleted').count(), 1);
  });

  test('three screens show what one of them does', async () => {
    await say(tablet.page, 'from my tablet');
    for (const { page } of [alice, carol]) await message(page, 'from my tablet').waitFor();
    await message(tablet.page, 'Hello Carol').first().focus();
    await press(tablet.page, 'e');
    await tablet.page.getByRole('dialog').waitFor();
    await tablet.page.keyboard.type('rocket');
    await tablet.page.getByRole('dialog').locator('button', { hasText: '🚀' }).first().click();
    for (const { page } of [alice, carol]) await message(page, 'Hello Carol').first().locator('.reactions button', { hasText: '🚀' }).waitFor();
    await same(tablet.page, carol.page);
  });

  test('a locked device shows nothing and opens with its passphrase alone; what came meanwhile is there', async () => {
    const { page } = tablet;
    await press(page, 'Alt+l');
    await page.getByRole('heading', { name: 'Locked' }).waitFor();
    await say(alice.page, 'while you were locked');
    await stored(alice.page, 'while you were locked').waitFor();
    await message(carol.page, 'while you were locked').waitFor();
    const held = await page.content();
    for (const word of ['Hello', 'answer', 'Alice', alice.id, 'while you']) assert.ok(!held.includes(word), word);
    await page.getByLabel('Passphrase').fill('another one');
    await press(page, 'Enter');
    await page.getByText('That is not the passphrase.').waitFor();
    await page.getByLabel('Passphrase').fill(PASSPHRASE);
    await press(page, 'Enter');
    await page.locator(`[data-chat="${alice.id}"]`).click();
    await message(page, 'while you were locked').waitFor();
    await same(page, carol.page);
  });

  test('a message that disappears is seen on all screens, and then on none', async () => {
    alice.home.run('chat', 'timer', carol.id, 'after-read', '5s', '--profile', 'alice', '--timeout', '90');
    const screens = [alice, carol, tablet];
    for (const { page } of screens) await message(page, 'messages to disappear 5 seconds after reading').waitFor();
    const text = 'gone in a moment';
    // Looked for before it is sent: it is not there for long.
    const seen = Promise.all(screens.map(({ page }) => message(page, text).waitFor()));
    await composer(alice.page).fill(text);
    await press(alice.page, 'Enter');
    await seen;
    for (const { page } of screens) await message(page, text).waitFor({ state: 'detached' });
    alice.home.run('chat', 'timer', carol.id, 'off', '--profile', 'alice', '--timeout', '90');
    for (const { page } of screens) await message(page, 'turned disappearing messages off').waitFor();
    for (const [side, chat, ...profile] of [[alice, carol.id, '--profile', 'alice'], [carol, alice.id], [tablet, alice.id]]) {
      const lines = side.home.run('history', chat, '--offline', ...profile);
      assert.ok(lines.length > 5 && !lines.some((line) => line.text === text));
    }
  });

  test('what was said is found, and shown where it stands', async () => {
    const long = (n) => [`page ${n}`, ...Array.from({ length: 24 }, (_, line) => `line ${line}`)].join('\n');
    for (const n of [1, 2, 3]) await say(alice.page, long(n));
    const { page } = carol;
    await message(page, 'page 3').waitFor();
    const place = () => page.evaluate(() => {
      const list = document.querySelector('[data-testid=timeline]').getBoundingClientRect();
      const row = [...document.querySelectorAll('[data-message]')].find((one) => one.textContent.includes('An answer'))?.getBoundingClientRect();
      return row !== undefined && row.top >= list.top && row.bottom <= list.bottom;
    });
    await page.waitForFunction(() => {
      const list = document.querySelector('[data-testid=timeline]');
      return list.scrollHeight - list.scrollTop - list.clientHeight < 4;
    });
    assert.equal(await place(), false);
    await press(page, 'Control+k');
    await page.keyboard.type('answer');
    await page.locator('.results mark', { hasText: 'answer' }).first().waitFor();
    await press(page, 'ArrowDown');
    await focused(page, '.results [data-item]');
    await press(page, 'Enter');
    await page.locator('.flash', { hasText: 'An answer' }).waitFor();
    assert.equal(await place(), true);
    await press(page, 'Escape');
  });

  test('the command line shows the same, and what it sends is on all screens', async () => {
    alice.home.run('send', '--profile', 'alice', '--timeout', '90', '--', carol.id, 'from the command line <b>not bold</b>');
    for (const { page } of [alice, tablet]) await message(page, 'from the command line <b>not bold</b>').waitFor();
    const lines = alice.home.run('history', carol.id, '--profile', 'alice', '--offline');
    const texts = lines.filter((line) => line.event === 'message').map((line) => line.text);
    for (const text of ['Hello Alice,\nit is Carol', 'Hello Carol', 'An answer']) assert.ok(texts.includes(text), `${text} in ${texts}`);
    assert.equal(await alice.page.locator('[data-message] b').count(), 0);
  });

  test('messages arrive although the first node of either side is killed', async () => {
    const guard = (side, ...profile) => side.home.run('status', ...profile)[0].guard;
    const guards = new Set([guard(alice, '--profile', 'alice'), guard(carol)]);
    let texts = 0;
    for (const key of guards) {
      process.kill(network.processes.find(({ ed25519 }) => ed25519 === key).pid, 'SIGKILL');
      const text = `without node ${++texts}`;
      await say(alice.page, text);
      await message(tablet.page, text).waitFor();
      await stored(alice.page, text).waitFor();
      await say(tablet.page, `heard: ${text}`);
      await message(alice.page, `heard: ${text}`).waitFor();
    }
  });

  test('nobody complained, and nobody else was asked', () => {
    assert.deepEqual([...alice.complaints, ...carol.complaints, ...tablet.complaints], []);
  });

  test('when the owner is killed the page says so, and the next command takes over', async () => {
    const has = () => carol.home.run('history', alice.id).some((line) => line.text === 'heard: without node 1');
    // It was said on the tablet, and comes to this device by the swarm: each time, that is asked.
    await eventually('what the tablet said comes to the other device', has);
    await carol.app.kill();
    await carol.page.getByText('Conclave does not answer', { exact: false }).first().waitFor();
    assert.ok(has(), 'the next owner has it as well');
  });
});

/** Tab and arrows, until the keyboard is on a button with this name. */
async function reachButton(page, name) {
  const at = () => page.evaluate(() => document.activeElement?.matches('button, a') ? (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim() : '');
  const seen = [];
  for (let tabs = 0; tabs < 40; tabs++) {
    const here = await at();
    if (name.test(here)) return;
    seen.push(here);
    await press(page, 'Tab');
  }
  assert.fail(`no ${name} among ${seen.join(' | ')}`);
}

async function reachField(page) {
  for (let tabs = 0; tabs < 40 && !(await composer(page).evaluate((element) => element === document.activeElement)); tabs++) await press(page, 'Tab');
  await focused(page, '[data-composer]');
}
