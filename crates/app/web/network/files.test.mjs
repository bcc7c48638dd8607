// Files between two people in browsers over a real network: dropped, chosen and spoken on one side, saved and played on the other.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { launch, skip } from '../e2e/browser.mjs';
import { picture } from '../mock/files.mjs';
import { eventually, Home, missing, story } from './program.mjs';
import { composer, enter, message, press, say } from './tab.mjs';

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Every file below a folder. */
function below(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? below(path) : entry.isFile() ? [path] : [];
  });
}

/** Has the browser save a file by the menu of its message; what it has then. */
async function saved(page, text, name) {
  await message(page, text).last().focus();
  await press(page, 'Enter');
  const item = page.getByRole('menuitem', { name: `Save ${name}` });
  await item.waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), item.press('Enter')]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

describe('files', { skip: skip || missing }, () => {
  const alice = {}, carol = {};
  const test = story();
  let browser, network;

  before(async () => {
    browser = await launch('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');
    alice.home = new Home();
    ({ ready: network } = await alice.home.start('ready', 'up', '--nodes', '10', '--no-open'));
    alice.id = network.profiles.find((profile) => profile.name === 'alice').account_id;
    carol.home = new Home();
    [{ account_id: carol.id }] = carol.home.run('account', 'create', '--name', 'Carol', '--network', network.network);
    // Whoever has written to the other takes what comes from there.
    carol.home.run('send', '--timeout', '90', '--', alice.id, 'hello Alice');
    alice.home.run('send', '--profile', 'alice', '--timeout', '90', '--', carol.id, 'hello Carol');
    carol.app = await carol.home.start('ready', 'app', '--no-open', '--network', network.network);
    Object.assign(alice, await enter(browser, network.app));
    Object.assign(carol, await enter(browser, carol.app.ready.app));
    await alice.page.getByRole('button', { name: /Alice/ }).first().click();
    await alice.page.locator(`[data-chat="${carol.id}"]`).click();
    await carol.page.locator(`[data-chat="${alice.id}"]`).click();
    for (const { page } of [alice, carol]) {
      await message(page, 'hello Alice').waitFor();
      await message(page, 'hello Carol').waitFor();
    }
  });
  after(async () => {
    await browser?.close();
    await carol.home?.stop();
    await alice.home?.stop();
  });

  test('a picture is dropped on one side and saved on the other as it was', async () => {
    const bytes = picture('over the network', 900, 600);
    await carol.page.locator('.conversation').evaluate(
      (section, bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'dropped.png', { type: 'image/png' }));
        for (const kind of ['dragenter', 'dragover', 'drop']) section.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
      },
      [...bytes],
    );
    await carol.page.getByTestId('tray').getByText('dropped.png').waitFor();
    const staged = join(carol.home.dir, 'profiles', 'default', 'staged');
    // Its name is there before it is.
    await eventually('it is kept aside', () => existsSync(staged) && readdirSync(staged).length > 0);
    await carol.page.getByTestId('tray').getByText('18 kB').waitFor();
    const [lies, ...more] = readdirSync(staged).map((name) => readFileSync(join(staged, name)));
    assert.equal(more.length, 0);
    assert.ok(!lies.includes('IHDR'), 'it waits encrypted');
    await composer(carol.page).fill('from the ferry');
    await composer(carol.page).press('Enter');
    await message(carol.page, 'from the ferry').waitFor();
    assert.deepEqual(readdirSync(staged), []);
    await message(alice.page, 'from the ferry').waitFor();
    // A contact's small picture is fetched because somebody looks at it.
    await message(alice.page, 'from the ferry').locator('[data-file=here]').waitFor();
    // What is shown was made by the program; what is saved is what was sent.
    for (const { page } of [alice, carol]) await message(page, 'from the ferry').locator('img.loaded').waitFor();
    const got = await saved(alice.page, 'from the ferry', 'dropped.png');
    assert.deepEqual([got.name, hash(got.bytes)], ['dropped.png', hash(bytes)]);
  });

  test('a large file tells how far it is, is fetched when it is wanted, and is the same', async () => {
    const bytes = randomBytes(12_000_000);
    await carol.page.getByTestId('chooser').setInputFiles({ name: 'archive.bin', mimeType: 'application/octet-stream', buffer: bytes });
    await carol.page.getByTestId('tray').getByText('12 MB').waitFor();
    await carol.page.getByRole('button', { name: 'Send', exact: true }).click();
    await message(carol.page, 'archive.bin').getByRole('progressbar', { name: 'Sending archive.bin' }).waitFor();
    const card = message(alice.page, 'archive.bin');
    await card.getByRole('button', { name: 'Fetch archive.bin' }).click();
    await card.locator('[data-file=here]').waitFor();
    const got = await saved(alice.page, 'archive.bin', 'archive.bin');
    assert.equal(hash(got.bytes), hash(bytes));
  });

  test('a photograph goes without what it says of who took it, or as it is when that is wanted', async () => {
    const photo = readFileSync(new URL('../../../media/tests/samples/gps.jpg', import.meta.url));
    assert.ok(photo.includes('PLACE-of-a-secret'));
    await carol.page.getByTestId('chooser').setInputFiles({ name: 'photo.jpg', mimeType: 'image/jpeg', buffer: photo });
    await carol.page.getByTestId('tray').locator('img').waitFor();
    await composer(carol.page).fill('where was this?');
    await composer(carol.page).press('Enter');
    await message(alice.page, 'where was this?').locator('img.loaded').waitFor();
    const got = await saved(alice.page, 'where was this?', 'photo.jpg');
    assert.ok(got.bytes.length > 100 && !got.bytes.includes('secret'));

    const heic = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic and whatever else', 'latin1');
    await carol.page.getByTestId('chooser').setInputFiles({ name: 'IMG_1.heic', mimeType: 'image/heic', buffer: heic });
    await carol.page.getByTestId('tray').getByText('IMG_1.heic').waitFor();
    await composer(carol.page).fill('another one');
    await composer(carol.page).press('Enter');
    const tray = carol.page.getByTestId('tray');
    await tray.getByText('cannot be sent without what it says', { exact: false }).waitFor();
    await carol.page.waitForFunction(() => document.querySelector('[data-composer]').value === 'another one');
    await tray.getByRole('button', { name: 'Send it as it is, with all it says' }).click();
    await composer(carol.page).press('Enter');
    await message(alice.page, 'another one').locator('[data-file=here]').waitFor();
    assert.equal(hash((await saved(alice.page, 'another one', 'IMG_1.heic')).bytes), hash(heic));
  });

  test('a hostile name and a hostile file are a card and a download, on both sides', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>fetch("http://evil.example")</script></svg>');
    await carol.page.getByTestId('chooser').setInputFiles([
      { name: 'drawing\u202egnp.svg', mimeType: 'image/svg+xml', buffer: svg },
      { name: 'not-a.png', mimeType: 'image/png', buffer: svg },
    ]);
    await carol.page.getByTestId('tray').getByText('not-a.png').waitFor();
    await composer(carol.page).fill('look at these');
    await composer(carol.page).press('Enter');
    for (const { page } of [alice, carol]) {
      const card = message(page, 'look at these');
      await card.getByText('drawinggnp.svg').waitFor();
      assert.equal(await card.locator('svg script').count(), 0);
    }
    await message(alice.page, 'look at these').getByRole('button', { name: 'Fetch drawinggnp.svg' }).click();
    await message(alice.page, 'look at these').locator('.card[data-file=here]').nth(1).waitFor();
    const got = await saved(alice.page, 'look at these', 'drawinggnp.svg');
    assert.ok(!got.name.includes('\u202e'), got.name);
    assert.equal(hash(got.bytes), hash(svg));
  });

  test('a voice message is spoken on one side and played on the other', async () => {
    await carol.page.getByRole('button', { name: 'Record a voice message' }).press('Enter');
    const recorder = carol.page.getByTestId('recorder');
    await recorder.getByText('0:01').waitFor();
    await recorder.getByRole('button', { name: 'Send the voice message' }).click();
    await recorder.waitFor({ state: 'detached' });
    const play = ({ page }) => page.getByRole('button', { name: 'Play Voice message' });
    await play(carol).waitFor();
    await play(alice).click();
    await alice.page.getByRole('button', { name: 'Pause Voice message' }).waitFor();
    await alice.page.waitForFunction(() => Number(document.querySelector('input[type=range]:not([disabled])')?.max) > 0.2);
    const line = alice.home.run('history', carol.id, '--profile', 'alice', '--offline').findLast((one) => one.attachments?.[0]?.voice);
    // What programs on every system play, made by the program of what the page heard.
    assert.deepEqual([line.attachments[0].content_type, line.text], ['audio/mpeg', '']);
  });

  test('what was sent stands in the gallery of the conversation', async () => {
    const { page } = alice;
    await page.locator('.conversation header').getByRole('button').last().click();
    await page.getByRole('menuitem', { name: 'Pictures and files' }).press('Enter');
    await page.getByTestId('gallery').getByRole('button', { name: 'Open picture dropped.png' }).waitFor();
    await page.getByRole('tab', { name: 'Files' }).click();
    await page.getByTestId('gallery').getByText('archive.bin').waitFor();
    await press(page, 'Escape');
  });

  test('a profile picture is chosen in the settings and seen by whoever is written to next, without what it says of who took it', async () => {
    const { page } = carol;
    await press(page, 'Alt+4');
    await page.locator('.entry').first().click();
    const photo = readFileSync(new URL('../../../media/tests/samples/gps.jpg', import.meta.url));
    await page.getByTestId('own-picture').setInputFiles({ name: 'me.jpg', mimeType: 'image/jpeg', buffer: photo });
    await page.getByRole('button', { name: 'Choose another' }).waitFor();
    await press(page, 'Alt+1');
    await page.locator(`[data-chat="${alice.id}"]`).click();
    await say(page, 'do you know me?');
    const face = alice.page.locator(`[data-chat="${carol.id}"] .avatar img`);
    await face.waitFor();
    await alice.page.waitForFunction((img) => img.naturalWidth > 0, await face.elementHandle());
    const shown = await alice.page.evaluate(async (address) => [...new Uint8Array(await (await fetch(address)).arrayBuffer())], await face.getAttribute('src'));
    assert.ok(shown.length > 100 && !Buffer.from(shown).includes('secret'));
  });

  test('nothing of any file lies in the clear, and nobody complained', () => {
    for (const { home } of [alice, carol]) {
      const clear = below(home.dir).filter((path) => {
        const bytes = readFileSync(path);
        return bytes.includes('evil.example') || bytes.includes('RIFF') && bytes.includes('WAVEfmt') || bytes.includes('IHDR');
      });
      assert.deepEqual(clear, []);
    }
    assert.deepEqual([...alice.complaints, ...carol.complaints], []);
  });
});
