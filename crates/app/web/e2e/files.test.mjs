// Files, against the mock: chosen, dropped, pasted and spoken, sent, fetched, looked at and saved.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe } from 'node:test';
import { picture } from '../mock/files.mjs';
import { idOf } from '../mock/people.mjs';
import { skip } from './browser.mjs';
import { pages } from './pages.mjs';

const composer = (page) => page.locator('[data-composer]');
const tray = (page) => page.getByTestId('tray');
const chooser = (page) => page.getByTestId('chooser');
const file = (name, mimeType, buffer) => ({ name, mimeType, buffer: Buffer.from(buffer) });
const PNG = picture('e2e', 64, 48);

async function openChat(page, key) {
  await page.locator(`[data-chat="${idOf(key)}"]`).click();
  await page.locator('[data-message]').first().waitFor();
}

/** Lays files over the page as a hand does that drags them, and lets go if `drop`. */
const drag = (page, files, drop = true) =>
  page.locator('.conversation').evaluate(
    (section, [files, drop]) => {
      const data = new DataTransfer();
      for (const { name, type, text } of files) data.items.add(new File([text], name, { type }));
      const inside = section.querySelector('[data-testid=timeline]') ?? section;
      for (const kind of ['dragenter', 'dragover', ...(drop ? ['drop'] : [])]) {
        inside.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
      }
    },
    [files, drop],
  );

/** Scrolls to a message of the conversation by its text or the name of its file. */
async function upTo(page, locator) {
  for (let i = 0; i < 30 && (await locator.count()) === 0; i++) {
    await page.getByTestId('timeline').evaluate((list) => {
      list.dispatchEvent(new WheelEvent('wheel'));
      list.scrollTop -= 350;
    });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }
  await locator.first().scrollIntoViewIfNeeded();
}

describe('files', { skip }, () => {
  const on = pages('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream');

  on('are chosen, looked at, taken out again, and sent with a text as one message', {}, async (page) => {
    await openChat(page, 'kofi');
    await chooser(page).setInputFiles([file('one.png', 'image/png', PNG), file('two.png', 'image/png', PNG), file('plan.pdf', 'application/pdf', 'x'.repeat(5_000))]);
    assert.deepEqual(await tray(page).locator('.name').allInnerTexts(), ['one.png', 'two.png', 'plan.pdf']);
    await tray(page).locator('img').nth(1).waitFor();
    await page.getByRole('button', { name: 'Remove two.png' }).click();
    await tray(page).getByText('two.png').waitFor({ state: 'detached' });
    await composer(page).fill('both of them');
    await composer(page).press('Enter');
    const sent = page.locator('.out[data-message]', { hasText: 'both of them' });
    await sent.locator('.tile img.loaded').waitFor();
    await sent.getByText('plan.pdf').waitFor();
    await sent.locator('[data-file=here]').nth(1).waitFor();
    assert.equal(await tray(page).count(), 0);
    assert.equal(await composer(page).inputValue(), '');
  });

  on('may go without a text, and what is written stays when one looks elsewhere', {}, async (page) => {
    await openChat(page, 'kofi');
    await chooser(page).setInputFiles([file('alone.txt', 'text/plain', 'hello')]);
    await tray(page).getByText('5 bytes').waitFor();
    await openChat(page, 'mara');
    assert.equal(await tray(page).count(), 0);
    await openChat(page, 'kofi');
    await tray(page).getByText('alone.txt').waitFor();
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.locator('.out[data-message]').getByText('alone.txt').waitFor();
  });

  on('are dropped on the conversation, and nowhere else', {}, async (page) => {
    await openChat(page, 'kofi');
    await drag(page, [{ name: 'dragged.txt', type: 'text/plain', text: 'abc' }], false);
    await page.getByTestId('drop').waitFor();
    await drag(page, [{ name: 'dragged.txt', type: 'text/plain', text: 'abc' }]);
    await tray(page).getByText('dragged.txt').waitFor();
    assert.equal(await page.getByTestId('drop').count(), 0);
    await page.keyboard.press('Alt+2');
    await openChat(page, 'stranger1');
    await drag(page, [{ name: 'x.txt', type: 'text/plain', text: 'abc' }]);
    assert.equal(await tray(page).count(), 0, 'a stranger is not answered by a slip of the hand');
  });

  on('are pasted: a picture is a file, a text stays a text', {}, async (page) => {
    await openChat(page, 'kofi');
    const paste = (types) =>
      composer(page).evaluate((field, types) => {
        const data = new DataTransfer();
        if (types.includes('text')) data.setData('text/plain', 'just a text');
        if (types.includes('picture')) data.items.add(new File(['png'], 'image.png', { type: 'image/png' }));
        return field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
      }, types);
    assert.equal(await paste(['text', 'picture']), true, 'left to the browser, which takes the text');
    assert.equal(await tray(page).count(), 0);
    assert.equal(await paste(['picture']), false);
    await tray(page).getByText('image.png').waitFor();
  });

  on('that are too large, or too many, are refused before they are read', {}, async (page, { mock }) => {
    mock.world(mock.profiles[0]).largestFile = 1_000;
    await openChat(page, 'kofi');
    await chooser(page).setInputFiles([file('small.txt', 'text/plain', 'x'), file('large.txt', 'text/plain', 'x'.repeat(1_001))]);
    await page.getByText('large.txt has 1 kB. A file can have at most 1 kB.').waitFor();
    await tray(page).getByText('small.txt').waitFor();
    assert.equal(await tray(page).getByText('large.txt').count(), 0);
    await chooser(page).setInputFiles(Array.from({ length: 40 }, (_, n) => file(`many-${n}.txt`, 'text/plain', 'x')));
    await page.getByText('A message can have 32 files.').waitFor();
    await tray(page).getByText('many-30.txt').waitFor();
    assert.equal(await tray(page).locator('.file').count(), 32);
  });

  on('are waited for, can be stopped on their way, and tried again', { mayComplain: true }, async (page, { mock }) => {
    await openChat(page, 'kofi');
    let open;
    mock.gate = new Promise((done) => (open = done));
    await chooser(page).setInputFiles([file('first.bin', 'application/octet-stream', 'x'.repeat(300_000)), file('second.bin', 'application/octet-stream', 'y')]);
    await tray(page).getByRole('progressbar').first().waitFor();
    await composer(page).fill('not yet');
    assert.equal(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled(), true);
    await page.getByRole('button', { name: 'Remove first.bin' }).click();
    await tray(page).getByText('first.bin').waitFor({ state: 'detached' });
    mock.refuseUploads = 'disk_full';
    open();
    await tray(page).getByText('The disk is full.').waitFor();
    mock.refuseUploads = null;
    await tray(page).getByRole('button', { name: 'Try again' }).click();
    await tray(page).getByText('1 byte').waitFor();
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.locator('.out[data-message]', { hasText: 'not yet' }).getByText('second.bin').waitFor();
  });

  on('that could not be sent stand in the tray with the reason, and their text in the field', {}, async (page, { mock }) => {
    mock.failSends = 'disk_full';
    await openChat(page, 'kofi');
    await chooser(page).setInputFiles([file('plan.txt', 'text/plain', 'abc')]);
    await tray(page).getByText('3 bytes').waitFor();
    await composer(page).fill('here it is');
    await composer(page).press('Enter');
    await tray(page).getByText('Being encrypted').waitFor();
    await tray(page).getByText('The disk is full.').waitFor();
    await page.waitForFunction(() => document.querySelector('[data-composer]').value === 'here it is');
    mock.failSends = null;
    await composer(page).press('Enter');
    await page.locator('.out[data-message]', { hasText: 'here it is' }).getByText('plan.txt').waitFor();
    assert.equal(await tray(page).count(), 0);
  });

  on('that are pictures which say who took them go as they are only when that is wanted', {}, async (page, { mock }) => {
    mock.failSends = 'not_stripped';
    await openChat(page, 'kofi');
    await chooser(page).setInputFiles([file('IMG_1.heic', 'image/heic', 'abc')]);
    await tray(page).getByText('3 bytes').waitFor();
    await composer(page).press('Enter');
    await tray(page).getByText('cannot be sent without what it says', { exact: false }).waitFor();
    mock.failSends = null;
    await tray(page).getByRole('button', { name: 'Send it as it is, with all it says' }).click();
    await tray(page).getByText('as it is').waitFor();
    await composer(page).press('Enter');
    await tray(page).waitFor({ state: 'detached' });
  });

  on('of contacts are fetched when they are seen, of strangers when they are asked for', {}, async (page, { mock }) => {
    await page.keyboard.press('Alt+2');
    await openChat(page, 'stranger1');
    const button = page.getByRole('button', { name: 'Fetch workshop.jpg' });
    await button.waitFor();
    assert.ok(!mock.asked.includes('fetch_file'));
    await button.click();
    await page.getByRole('progressbar', { name: 'Fetching workshop.jpg' }).waitFor();
    await page.locator('.tile img.loaded').waitFor();
    assert.equal(mock.asked.filter((method) => method === 'fetch_file').length, 1);
  });

  on('can be stopped, fail for a reason that is named, and are tried again', {}, async (page, { mock }) => {
    mock.world(mock.profiles[0]).holdFiles = true;
    await openChat(page, 'ines');
    const notes = page.locator('[data-message]', { hasText: 'notes.txt' });
    await upTo(page, notes);
    await notes.getByText('the file is larger than its message says', { exact: false }).waitFor();
    await notes.getByRole('button', { name: 'Try again' }).click();
    await notes.getByRole('progressbar').waitFor();
    await notes.getByRole('button', { name: 'Stop fetching notes.txt' }).click();
    await notes.getByRole('button', { name: 'Fetch notes.txt' }).waitFor();
    const old = page.locator('[data-message]', { hasText: 'The network does not keep it any more.' });
    await upTo(page, old);
  });

  on('are saved by the browser, under a name that hides nothing', {}, async (page) => {
    await openChat(page, 'ines');
    const hostile = page.locator('[data-message]', { hasText: 'no picture at all' });
    await hostile.getByText('invoicegpj.exe').waitFor();
    assert.equal(await hostile.locator('.ending').innerText(), 'EXE');
    const [download] = await Promise.all([page.waitForEvent('download'), hostile.getByRole('button', { name: 'Save invoicegpj.exe' }).click()]);
    assert.ok(!download.suggestedFilename().includes('\u202e'));
    assert.match(readFileSync(await download.path(), 'utf8'), /^made up: invoice/);
    // The same by keyboard alone, by the menu of the message.
    await hostile.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('menuitem', { name: 'Save invoicegpj.exe' }).waitFor();
    const [again] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: 'Save invoicegpj.exe' }).press('Enter')]);
    await again.path();
  });

  on('that are pictures fill the screen, one after the other, larger and smaller, and focus goes back', {}, async (page) => {
    await openChat(page, 'ines');
    const mine = page.getByRole('button', { name: 'Open picture mine.jpg' });
    await upTo(page, mine);
    await mine.focus();
    await page.keyboard.press('Enter');
    const viewer = page.getByTestId('viewer');
    await viewer.locator('img[alt="mine.jpg"]').waitFor();
    await page.keyboard.press('ArrowRight');
    await viewer.getByText('This browser cannot play it.').waitFor();
    await page.keyboard.press('ArrowLeft');
    const shown = viewer.locator('img[alt="mine.jpg"]');
    await shown.waitFor();
    const width = async () => (await shown.boundingBox()).width;
    const before = await width();
    await page.keyboard.press('+');
    await page.waitForFunction((before) => document.querySelector('[data-testid=viewer] img').getBoundingClientRect().width > before * 1.5, before);
    await page.keyboard.press('0');
    await page.waitForFunction((before) => document.querySelector('[data-testid=viewer] img').getBoundingClientRect().width === before, before);
    const [download] = await Promise.all([page.waitForEvent('download'), viewer.getByRole('button', { name: 'Save mine.jpg' }).click()]);
    await download.path();
    await page.keyboard.press('Home');
    await viewer.locator('img[alt="IMG_2041.jpg"]').waitFor();
    await page.keyboard.press('Escape');
    await viewer.waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Open picture mine.jpg');
  });

  on('keep their place before they are here: nothing jumps', {}, async (page, { mock }) => {
    await page.keyboard.press('Alt+2');
    await openChat(page, 'stranger1');
    const tile = page.locator('.tile');
    const before = await tile.boundingBox();
    await page.getByRole('button', { name: 'Fetch workshop.jpg' }).click();
    await page.locator('.tile img.loaded').waitFor();
    const now = await tile.boundingBox();
    assert.deepEqual([now.width, now.height], [before.width, before.height]);
    assert.ok(Math.abs(before.width / before.height - 1.6) < 0.02);
    assert.ok(mock.asked.includes('fetch_file'));
  });

  on('of a conversation are all in one place, by kind and by keyboard', {}, async (page) => {
    await openChat(page, 'ines');
    await page.locator('.conversation header').getByRole('button').last().click();
    await page.getByRole('menuitem', { name: 'Pictures and files' }).press('Enter');
    const gallery = page.getByTestId('gallery');
    await gallery.locator('img').first().waitFor();
    assert.equal(await gallery.locator('.tile').count(), 18);
    await page.getByRole('tab', { name: 'Pictures' }).focus();
    await page.keyboard.press('ArrowRight');
    await gallery.getByRole('button', { name: 'Open video clip.mp4' }).waitFor();
    await page.keyboard.press('ArrowRight');
    await gallery.getByText('tickets.zip').waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), gallery.getByRole('button', { name: /^Save timetable/ }).click()]);
    await download.path();
    await page.keyboard.press('Escape');
    await gallery.waitFor({ state: 'detached' });
  });

  on('that are sounds are played, faster, from anywhere, and one at a time', {}, async (page) => {
    await openChat(page, 'ines');
    // Before anybody plays it: how long it is, and what it looks like.
    await page.locator('.sound svg:not(.flat)').first().waitFor();
    await page.locator('[data-message]:not(.out) .sound').getByText('0:04').waitFor();
    const voice = page.locator('[data-message]:not(.out)').getByRole('button', { name: 'Play Voice message' });
    await voice.click();
    await page.getByRole('button', { name: 'Pause Voice message' }).waitFor();
    const slider = page.getByRole('slider', { name: 'Place in Voice message' });
    await page.waitForFunction(() => Number(document.querySelector('input[type=range]:not([disabled])')?.max) > 3.9);
    await slider.fill('3');
    await page.getByRole('button', { name: 'Speed 1' }).click();
    await page.getByRole('button', { name: 'Speed 1.5' }).waitFor();
    await page.getByRole('button', { name: 'Play a-song.ogg' }).click();
    await page.getByRole('button', { name: 'Pause a-song.ogg' }).waitFor();
    await page.getByRole('button', { name: 'Play Voice message' }).first().waitFor();
  });

  on('are spoken: recorded, heard, and sent as sound that every program plays', {}, async (page, { mock }) => {
    await openChat(page, 'kofi');
    await page.getByRole('button', { name: 'Record a voice message' }).press('Enter');
    const recorder = page.getByTestId('recorder');
    await page.locator('[data-testid=recorder][data-state=recording]').waitFor();
    await recorder.getByText('0:01').waitFor();
    await recorder.getByRole('button', { name: 'Stop recording' }).click();
    await recorder.getByRole('button', { name: 'Listen' }).click();
    await recorder.getByRole('button', { name: 'Send the voice message' }).click();
    await page.locator('.out[data-message]').getByRole('button', { name: 'Play Voice message' }).last().waitFor();
    await recorder.waitFor({ state: 'detached' });
    const [wav] = [...mock.world(mock.profiles[0]).contents.values()];
    assert.equal(wav.subarray(0, 4).toString('latin1') + wav.subarray(8, 12).toString('latin1'), 'RIFFWAVE');
    assert.deepEqual([wav.readUInt16LE(20), wav.readUInt16LE(22), wav.readUInt32LE(24), wav.readUInt16LE(34)], [1, 1, 16_000, 16]);
    assert.ok(wav.length > 44 + 16_000, `${wav.length} bytes of a second`);
    // The browser's own test microphone beeps: it is not silence that was sent.
    assert.ok(wav.subarray(44).some((byte) => byte !== 0));
  });

  on('that are spoken are sent when the button that was held is let go of, and not by a click that comes later', {}, async (page, { mock }) => {
    await openChat(page, 'kofi');
    const hold = async () => {
      const box = await page.getByRole('button', { name: 'Record a voice message' }).boundingBox();
      await page.mouse.move(box.x + 20, box.y + 20);
      await page.mouse.down();
      await page.locator('[data-testid=recorder][data-state=recording]').waitFor();
      await page.getByTestId('recorder').getByText('0:01').waitFor();
    };
    await hold();
    await page.mouse.up();
    await page.locator('.out[data-message]').getByRole('button', { name: 'Play Voice message' }).waitFor();
    await page.getByTestId('recorder').waitFor({ state: 'detached' });
    // Pulled away: it is not sent, but can be.
    await hold();
    await page.mouse.move(700, 300);
    await page.mouse.up();
    await page.locator('[data-testid=recorder][data-state=done]').waitFor();
    await page.getByRole('button', { name: 'Discard the voice message' }).click();
    await page.getByRole('button', { name: 'Record a voice message' }).click();
    await page.getByTestId('recorder').getByText('0:01').waitFor();
    await page.getByRole('button', { name: 'Stop recording' }).click();
    await page.locator('[data-testid=recorder][data-state=done]').waitFor();
    assert.equal(mock.asked.filter((method) => method === 'composer.send_file').length, 1);
  });

  on('that wait are gone with the connection, and that is said', { mayComplain: true }, async (page, { mock }) => {
    await openChat(page, 'kofi');
    await chooser(page).setInputFiles([file('waits.txt', 'text/plain', 'x')]);
    await tray(page).getByText('1 byte').waitFor();
    const { port } = mock;
    await mock.stop();
    await page.getByText('Conclave does not answer', { exact: false }).waitFor();
    await mock.listen(port);
    await page.getByText('The connection was lost, and with it the files that were waiting.', { exact: false }).waitFor();
    assert.equal(await tray(page).count(), 0);
  });

  on('that are spoken are forgotten with Escape, and a text that was begun stays', {}, async (page, { mock }) => {
    await openChat(page, 'kofi');
    await page.getByRole('button', { name: 'Record a voice message' }).click();
    await page.locator('[data-testid=recorder][data-state=recording]').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('recorder').waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.activeElement?.matches('[data-composer]'));
    assert.ok(!mock.asked.includes('composer.send_file'));
    await page.keyboard.type('x');
    assert.equal(await page.getByRole('button', { name: 'Record a voice message' }).count(), 0);
  });

  on('of which one is the account\u2019s own picture, until it is taken away', { mayComplain: true }, async (page, { mock }) => {
    await page.keyboard.press('Alt+4');
    await page.locator('.entry').first().click();
    const own = page.getByTestId('own-picture');
    const chosen = (...of) => own.setInputFiles(file(...of));
    await page.getByRole('button', { name: 'Choose a picture' }).waitFor();
    await chosen('notes.txt', 'text/plain', 'no picture');
    await page.getByText('No picture can be made of this file', { exact: false }).waitFor();
    let open;
    mock.gate = new Promise((done) => (open = done));
    await chosen('me.png', 'image/png', PNG);
    await page.getByText('Storing the picture').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Choose a picture' }).isDisabled());
    open();
    // Beside the settings, and in the list of them.
    await page.waitForFunction(() => [...document.querySelectorAll('.picture img, .me img')].filter((img) => img.naturalWidth > 0).length === 2);
    await page.getByRole('button', { name: 'Choose another' }).waitFor();
    await page.getByRole('button', { name: 'Remove it' }).click();
    await page.getByRole('button', { name: 'Choose a picture' }).waitFor();
    assert.equal(await page.locator('.picture img, .me img').count(), 0);
  });
});
