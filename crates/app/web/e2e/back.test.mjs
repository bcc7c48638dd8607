// The browser's Back: on narrow screens from a conversation to the list, everywhere out of what lies in front; and out of the
// messenger only from where nothing does.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { idOf } from '../mock/people.mjs';
import { skip } from './browser.mjs';
import { pages } from './pages.mjs';

const NARROW = { width: 380, height: 780, touch: true };
const chat = (page, key) => page.locator(`[data-chat="${idOf(key)}"]`);
const composer = (page) => page.locator('[data-composer]');
const nav = (page, name) => page.getByRole('navigation').getByRole('button', { name });

async function openChat(page, key) {
  await chat(page, key).click();
  await page.locator('[data-message]').first().waitFor();
}

/** The browser is at the entry the page was opened with. */
const atFirst = (page) => page.waitForFunction(() => history.state === null);

/** One Back leads out of the messenger, to where the tab was before. */
async function leaves(page) {
  await atFirst(page);
  await page.goBack();
  assert.equal(page.url(), 'about:blank');
}

async function openGallery(page) {
  await openChat(page, 'ines');
  await page.locator('.conversation header .icon-btn').last().click();
  await page.getByRole('menuitem', { name: 'Pictures and files' }).click();
  await page.getByTestId('gallery').locator('img').first().waitFor();
}

async function openPicture(page) {
  await page.getByTestId('gallery').getByRole('button', { name: 'Open picture walk-1.jpg' }).click();
  await page.getByTestId('viewer').locator('img').waitFor();
}

describe('back', { skip }, () => {
  const on = pages();

  on('leads from a conversation to the list, keeps what was begun there, and leaves from the list', NARROW, async (page, { mock }) => {
    const before = page.url();
    await openChat(page, 'kofi');
    await composer(page).fill('half a thought');
    await page.getByTestId('chooser').setInputFiles([{ name: 'minutes.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(400_000, 1) }]);
    await page.getByTestId('tray').getByText('400 kB').waitFor();
    const said = await page.evaluate(() => JSON.stringify(history.state));
    assert.equal(said, '{"conclave.layer":1}');
    assert.equal(page.url(), before);
    await page.goBack();
    await chat(page, 'kofi').getByText('half a thought').waitFor();
    assert.ok(await page.getByRole('navigation').isVisible());
    await openChat(page, 'kofi');
    await page.getByTestId('tray').getByText('minutes').waitFor();
    await page.waitForFunction(() => document.querySelector('[data-composer]').value === 'half a thought');
    assert.equal(mock.asked.filter((method) => method === 'app.open').length, 1, 'the page is the same');
    await page.goBack();
    await leaves(page);
    // The secret is still the tab's.
    await page.goForward();
    await chat(page, 'kofi').waitFor();
  });

  on('leads from what is looked for in a conversation to the list', NARROW, async (page) => {
    await openChat(page, 'kofi');
    await page.getByRole('button', { name: 'Search in this conversation' }).click();
    await page.getByPlaceholder('Search messages').or(page.getByRole('searchbox')).first().waitFor();
    await page.locator('[data-composer]').waitFor({ state: 'detached' });
    await page.goBack();
    await chat(page, 'kofi').waitFor();
    await leaves(page);
  });

  on('stays in step with the button that leads back, however often', NARROW, async (page) => {
    for (let n = 0; n < 4; n++) {
      await openChat(page, 'lena');
      await page.getByRole('button', { name: 'Back' }).click();
      await chat(page, 'lena').waitFor();
      await atFirst(page);
    }
    assert.ok((await page.evaluate(() => history.length)) <= 3);
    await page.goForward();
    await atFirst(page);
    assert.ok(await chat(page, 'lena').isVisible(), 'forward leads to nothing that was closed');
    await leaves(page);
  });

  on('closes what fills the screen, the top one first', NARROW, async (page) => {
    await openGallery(page);
    await openPicture(page);
    await page.goBack();
    await page.getByTestId('viewer').waitFor({ state: 'detached' });
    assert.ok(await page.getByTestId('gallery').isVisible());
    await openPicture(page);
    await page.keyboard.press('Escape');
    await page.getByTestId('viewer').waitFor({ state: 'detached' });
    await page.waitForFunction(() => history.state['conclave.layer'] === 2);
    await page.goBack();
    await page.getByTestId('gallery').waitFor({ state: 'detached' });
    assert.ok(await composer(page).isVisible());
    await page.goBack();
    await chat(page, 'ines').waitFor();
    await leaves(page);
  });

  on('leads from a file of the gallery to its message, and from there to the list', NARROW, async (page) => {
    await openGallery(page);
    await page.getByRole('tab', { name: 'Files' }).click();
    await page.getByRole('button', { name: 'Show the message with tickets.zip' }).click();
    await page.getByTestId('gallery').waitFor({ state: 'detached' });
    await page.locator('[data-message]').first().waitFor();
    await page.waitForFunction(() => history.state?.['conclave.layer'] === 1);
    await page.goBack();
    await chat(page, 'ines').waitFor();
    await leaves(page);
  });

  on('leads out of settings, contacts, menus and search', NARROW, async (page) => {
    await nav(page, 'Settings').click();
    await page.locator('.entry').nth(1).click();
    await page.locator('.path').first().waitFor();
    await page.goBack();
    await page.locator('.entry').first().waitFor();
    await page.goBack();
    await chat(page, 'lena').waitFor();

    await nav(page, 'Contacts').click();
    await page.getByRole('button', { name: 'Papa' }).click();
    await page.locator('#nickname').waitFor();
    await page.goBack();
    await page.getByRole('button', { name: 'Papa' }).waitFor();
    // From one section to another is no step further.
    await nav(page, 'Settings').click();
    await page.goBack();
    await chat(page, 'lena').waitFor();

    await chat(page, 'lena').click({ button: 'right' });
    await page.getByRole('menu').waitFor();
    await page.goBack();
    await page.getByRole('menu').waitFor({ state: 'detached' });

    await page.getByRole('searchbox').click();
    await page.keyboard.type('ferry');
    await page.locator('.results mark').first().click();
    await composer(page).waitFor();
    await page.goBack();
    await page.locator('.results mark').first().waitFor();
    await page.goBack();
    await chat(page, 'lena').waitFor();
    await leaves(page);
  });

  on('leaves from the list after a reload, which closes what was open', NARROW, async (page) => {
    await openChat(page, 'lena');
    await page.reload();
    await chat(page, 'lena').waitFor();
    await leaves(page);
  });

  on('has nothing to close once the profile is locked', { ...NARROW, scene: 'locked' }, async (page) => {
    await page.getByLabel('Passphrase').fill('open sesame');
    await page.keyboard.press('Enter');
    await openChat(page, 'lena');
    await page.keyboard.press('Alt+l');
    await page.getByRole('heading', { name: 'Locked' }).waitFor();
    await leaves(page);
  });

  on('closes on a wide screen what lies in front, and leaves the panes alone', {}, async (page) => {
    await openGallery(page);
    await openPicture(page);
    await page.goBack();
    await page.getByTestId('viewer').waitFor({ state: 'detached' });
    await page.goBack();
    await page.getByTestId('gallery').waitFor({ state: 'detached' });
    assert.ok(await composer(page).isVisible());
    await leaves(page);
  });

  on('goes by the width there is', {}, async (page) => {
    await openChat(page, 'lena');
    await page.setViewportSize({ width: 380, height: 780 });
    await page.waitForFunction(() => history.state?.['conclave.layer'] === 1);
    await page.setViewportSize({ width: 1440, height: 900 });
    await atFirst(page);
    assert.ok(await composer(page).isVisible());
    await page.setViewportSize({ width: 380, height: 780 });
    await page.waitForFunction(() => history.state?.['conclave.layer'] === 1);
    await page.goBack();
    await chat(page, 'lena').waitFor();
    await leaves(page);
  });
});
