// The pictures of the README, of the real program: a network of ten nodes on this machine, people who write to each
// other over it, and what their pages show. CONCLAVE=PROGRAM npm run pictures
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch, skip } from '../e2e/browser.mjs';
import { Home, missing } from '../network/program.mjs';
import { smallPng } from './small-png.mjs';

if (skip || missing) throw new Error(skip || missing);
/** A picture in a README is looked at over slow lines, too. */
const LIMIT = 150_000;
const FOLDER = fileURLToPath(new URL('../../../../docs/images/', import.meta.url));
mkdirSync(FOLDER, { recursive: true });

/** Somebody who speaks to their own profile as a bot does. */
class Somebody {
  #next = 1;
  #waiting = new Map();

  constructor(home, profile) {
    this.profile = profile;
    this.child = spawn(process.env.CONCLAVE, ['rpc', '--profile', profile], { env: { ...process.env, CONCLAVE_DATA_DIR: home.dir }, stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      const { id, result, error } = JSON.parse(line);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.failed(new Error(`${profile}: ${JSON.stringify(error)}`));
      else waiting?.done(result);
    });
    this.child.on('exit', () => {
      for (const { failed } of this.#waiting.values()) failed(new Error(`${profile} ended`));
    });
  }

  call(method, params = {}) {
    const id = this.#next++;
    this.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return new Promise((done, failed) => this.#waiting.set(id, { done, failed }));
  }

  async begin() {
    ({ account_id: this.id } = await this.call('account'));
    await this.call('set_settings', { read_receipts: true, typing: true });
    return this;
  }

  /** Sends a text, and waits until it is stored. */
  async say(to, text, more = {}) {
    const { id } = await this.call('send', { to: to.id, text, ...more });
    await this.call('wait_for', { id, state: 'stored', timeout_ms: 60_000 });
    return id;
  }

  /** Waits until this message has come, and reads it. */
  async hear(id, read = true) {
    for (;;) {
      try {
        await this.call('find_message', { id });
        break;
      } catch {
        await this.call('fetch');
      }
    }
    if (read) await this.call('mark_read', { id });
    return id;
  }

  async end() {
    this.child.stdin.end();
    await new Promise((done) => (this.child.exitCode === null ? this.child.on('exit', done) : done()));
  }
}

const home = new Home();
const people = [];
const browser = await launch();
try {
  const up = await home.start('ready', 'up', '--nodes', '10', '--no-open');
  const person = async (profile, name) => {
    if (name) home.run('account', 'create', '--profile', profile, '--name', name);
    const somebody = await new Somebody(home, profile).begin();
    people.push(somebody);
    return somebody;
  };
  const alice = await person('alice');
  const bob = await person('bob');
  await alice.call('set_display_name', { name: 'Alice' });
  await bob.call('set_display_name', { name: 'Bob Ferreira' });
  await alice.call('set_nickname', { chat: bob.id, nickname: null });
  const mara = await person('mara', 'Mara Lindqvist');
  const yusuf = await person('yusuf', 'يوسف الحداد');
  const ines = await person('ines', 'Inês Carvalho');
  const kofi = await person('kofi', 'Kofi Mensah');
  const stranger = await person('robin', 'Robin');

  /** Alice writes first, so that nobody is a stranger to anybody. */
  const greet = async (other, text, answer, read = true) => {
    await other.hear(await alice.say(other, text));
    return alice.hear(await other.say(alice, answer), read);
  };
  await greet(kofi, 'Thanks for the recipe, the lemons were the trick', 'They always are 🍋');
  await greet(ines, 'Is the workshop on Saturday still on?', 'It is! Ten o’clock, and bring the old map', false);
  await greet(yusuf, 'صباح الخير، هل وصلت؟', 'نعم، وصلت قبل قليل 🌿');
  await stranger.say(alice, 'Hi! We met at the library, you gave me your id on a sticky note.');
  await alice.call('send', { to: alice.id, text: 'Umbrella, thermos, tape' });

  await greet(mara, 'Did you see the talk about mix networks?', 'Half of it. The part with the three hops is the clearest I have seen');
  const dad = await alice.say(mara, 'I have tried to explain it to Dad. Twice.');
  await mara.hear(dad);
  await alice.hear(await mara.say(alice, 'Draw it on a napkin next time', { reply_to: dad }));
  await mara.call('react', { id: dad, emoji: '😂' });
  const napkin = await alice.say(mara, 'You, three circles, and a letter box. That is all of it, really: nobody in the middle knows both ends.');
  await mara.hear(napkin);
  await alice.call('set_priority', { chat: mara.id, priority: 1 });

  await greet(bob, 'Found the ferry timetable from 1962 in the attic', 'No! Does it still have the island on it?');
  const route = await alice.say(bob, 'It does. There was a stop at the old mill, right before the lighthouse. We could walk that part');
  await bob.hear(route);
  const soup = await bob.say(alice, 'The mill is open on Saturdays until six, and they take orders for soup until five. I called.');
  await alice.hear(soup);
  await alice.call('react', { id: soup, emoji: '❤️' });
  const print = await alice.say(bob, 'Wonderful. Let’s print the map', { reply_to: soup });
  await bob.hear(print);
  await bob.call('react', { id: print, emoji: '👍' });
  await alice.hear(await bob.say(alice, 'Shall I ask Kofi as well? He has the big umbrella ☔'));
  await bob.hear(await alice.say(bob, 'Yes please! Early train?'));
  // Receipts and reactions are on their way.
  for (let tries = 0; tries < 100; tries++) {
    await alice.call('fetch');
    const { state } = await alice.call('find_message', { id: napkin });
    const { reactions } = await alice.call('find_message', { id: print });
    if (state === 'read' && reactions?.length) break;
  }

  async function tab(link, viewport) {
    const context = await browser.newContext({ viewport, deviceScaleFactor: 2, colorScheme: 'light', locale: 'en-GB', reducedMotion: 'reduce' });
    const page = await context.newPage();
    await page.goto(link);
    await page.locator('nav, .front').first().waitFor();
    const chooser = page.getByRole('button', { name: /Alice/ });
    await chooser.or(page.locator('[data-chat]')).first().waitFor();
    if (await chooser.count()) await chooser.first().click();
    await page.locator('[data-chat]').first().waitFor();
    return page;
  }
  const picture = async (page, name) => {
    const path = `${FOLDER}${name}.png`;
    await page.evaluate(() => document.fonts.ready);
    const png = smallPng(await page.screenshot());
    console.log(`${name}.png ${png.length} bytes`);
    if (png.length > LIMIT) throw new Error(`${name}.png would have more than ${LIMIT} bytes`);
    writeFileSync(path, png);
  };

  const desktop = await tab(up.ready.app, { width: 1120, height: 720 });
  await desktop.locator(`[data-chat="${bob.id}"]`).click();
  await desktop.getByText('Early train?').last().waitFor();
  await desktop.locator('[data-composer]').blur();
  await picture(desktop, 'conversation');
  await desktop.keyboard.press('Alt+4');
  await desktop.locator('.entry').nth(1).click();
  await desktop.locator('.path li').nth(4).waitFor();
  await picture(desktop, 'network');

  // One tab shows how it looks on a small screen in the dark: the secret is the tab's own, so its window changes.
  await desktop.keyboard.press('Alt+1');
  await desktop.locator(`[data-chat="${mara.id}"]`).click();
  await desktop.getByText('letter box').last().waitFor();
  await desktop.setViewportSize({ width: 390, height: 720 });
  await desktop.emulateMedia({ colorScheme: 'dark' });
  await desktop.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
  await picture(desktop, 'phone');
} finally {
  await browser.close();
  await Promise.allSettled(people.map((somebody) => somebody.end()));
  await home.stop();
}
