// Every screen opens at three widths, light and dark, without a complaint of the browser and without a fault axe calls
// serious. With SHOTS=FOLDER, pictures of all of them are left there to be looked at.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { idOf } from '../mock/people.mjs';
import { launch, skip, visit } from './browser.mjs';

const SHOTS = process.env.SHOTS;
const WIDTHS = [1440, 820, 380];
const THEMES = ['light', 'dark'];
const CHECKED = new Set(['1440 light', '380 dark']);

const chat = (page, key) => page.locator(`[data-chat="${idOf(key)}"]`);
const openChat = async (page, key) => {
  await chat(page, key).click();
  await page.locator('[data-message]').first().waitFor();
};
const onMessage = async (page, selector, key) => {
  await page.locator(selector).last().focus();
  await page.keyboard.press(key);
};

/** Name → [scene of the mock, how to get there]. */
const SCREENS = {
  chats: ['usual', async () => {}],
  conversation: ['usual', (page) => openChat(page, 'mara')],
  'right to left': ['usual', (page) => openChat(page, 'yusuf')],
  'hostile texts': ['usual', (page) => openChat(page, 'mallory')],
  'long conversation': ['usual', (page) => openChat(page, 'book')],
  'disappearing messages': ['usual', (page) => openChat(page, 'pia')],
  files: ['usual', async (page) => {
    await openChat(page, 'ines');
    await page.locator('.tile img.loaded, [data-file]').first().waitFor();
  }],
  'files further up': ['usual', async (page) => {
    await openChat(page, 'ines');
    await page.getByTestId('timeline').evaluate((list) => {
      list.dispatchEvent(new WheelEvent('wheel'));
      list.scrollTop = 0;
    });
    await page.locator('.tile img.loaded').first().waitFor();
  }],
  'files to be sent': ['usual', async (page) => {
    await openChat(page, 'kofi');
    await page.getByTestId('chooser').setInputFiles([
      { name: 'ferry.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(2_400_000, 7) },
      { name: 'minutes-of-the-meeting-that-nobody-wanted.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(400_000, 1) },
    ]);
    await page.getByTestId('tray').locator('img').waitFor();
    await page.getByTestId('tray').getByText('400 kB').waitFor();
  }],
  'files dragged': ['usual', async (page) => {
    await openChat(page, 'kofi');
    await page.locator('.conversation').evaluate((section) => {
      const data = new DataTransfer();
      data.items.add(new File(['x'], 'x.txt'));
      section.dispatchEvent(new DragEvent('dragenter', { dataTransfer: data, bubbles: true }));
    });
    await page.getByTestId('drop').waitFor();
  }],
  picture: ['usual', async (page) => {
    await openChat(page, 'ines');
    await page.getByRole('button', { name: 'Open picture mine.jpg' }).click();
    await page.getByTestId('viewer').locator('img').waitFor();
  }],
  gallery: ['usual', async (page) => {
    await openChat(page, 'ines');
    await page.locator('.conversation header .icon-btn').last().click();
    await page.getByRole('menuitem', { name: 'Pictures and files' }).click();
    await page.getByTestId('gallery').locator('img').first().waitFor();
  }],
  'gallery of files': ['usual', async (page) => {
    await openChat(page, 'ines');
    await page.locator('.conversation header .icon-btn').last().click();
    await page.getByRole('menuitem', { name: 'Pictures and files' }).click();
    await page.getByRole('tab', { name: 'Files' }).click();
    await page.getByTestId('gallery').getByText('tickets.zip').waitFor();
  }],
  blocked: ['usual', (page) => openChat(page, 'tomasz')],
  'message menu': ['usual', async (page) => {
    await openChat(page, 'mara');
    await onMessage(page, '[data-message]', 'Enter');
    await page.getByRole('menu').waitFor();
  }],
  'message details': ['usual', async (page) => {
    await openChat(page, 'mara');
    await onMessage(page, '.out[data-message]', 'i');
    await page.getByRole('dialog').waitFor();
  }],
  'delete message': ['usual', async (page) => {
    await openChat(page, 'mara');
    await onMessage(page, '.out[data-message]', 'Delete');
    await page.getByRole('dialog').waitFor();
  }],
  'chat menu': ['usual', async (page) => {
    await chat(page, 'kofi').scrollIntoViewIfNeeded();
    await chat(page, 'kofi').click({ button: 'right' });
    await page.getByRole('menu').waitFor();
  }],
  'what was done': ['usual', async (page) => {
    await openChat(page, 'mara');
    await onMessage(page, '[data-message]', 'c');
    await page.getByText('Copied', { exact: false }).first().waitFor();
  }],
  typing: ['usual', (page) => openChat(page, 'dad')],
  'program gone': ['usual', async (page, { mock }) => {
    await openChat(page, 'mara');
    await mock.stop();
    await page.getByText('Conclave does not answer', { exact: false }).waitFor();
  }],
  emoji: ['usual', async (page) => {
    await openChat(page, 'mara');
    await page.locator('[data-composer]').focus();
    await page.keyboard.press('Control+e');
    await page.getByRole('button', { name: 'grinning face', exact: true }).waitFor();
  }],
  reply: ['usual', async (page) => {
    await openChat(page, 'mara');
    await onMessage(page, '[data-message]', 'r');
    await page.locator('.composer .quote').waitFor();
  }],
  'preview asked for': ['usual', async (page) => {
    await openChat(page, 'kofi');
    await page.locator('[data-composer]').fill('look: https://example.org/talks');
    await page.getByRole('button', { name: 'Make preview' }).waitFor();
  }],
  preview: ['usual', async (page) => {
    await openChat(page, 'kofi');
    await page.locator('[data-composer]').fill('look: https://example.org/talks');
    await page.getByRole('button', { name: 'Make preview' }).click();
    await page.getByTestId('preview').waitFor();
  }],
  link: ['usual', async (page) => {
    await openChat(page, 'mallory');
    await page.locator('[data-message] a', { hasText: 'account' }).click();
    await page.getByTestId('host').waitFor();
  }],
  'conversation details': ['usual', async (page) => {
    await openChat(page, 'pia');
    await page.locator('.conversation header .who').click();
    await page.getByRole('dialog').waitFor();
  }],
  search: ['usual', async (page) => {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('ferry');
    await page.locator('.results mark').first().waitFor();
  }],
  'search without hits': ['usual', async (page) => {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('xylophone');
    await page.locator('.results .empty').waitFor();
  }],
  requests: ['usual', async (page) => {
    await page.keyboard.press('Alt+2');
    await openChat(page, 'stranger1');
  }],
  contacts: ['usual', async (page) => {
    await page.keyboard.press('Alt+3');
    await page.getByRole('button', { name: 'Papa' }).waitFor();
  }],
  contact: ['usual', async (page) => {
    await page.keyboard.press('Alt+3');
    await page.getByRole('button', { name: 'Papa' }).click();
    await page.locator('#nickname').waitFor();
  }],
  settings: ['usual', async (page) => {
    await page.keyboard.press('Alt+4');
    await page.locator('.entry').first().click();
    await page.locator('#own-name').waitFor();
  }],
  network: ['usual', async (page) => {
    await page.keyboard.press('Alt+4');
    await page.locator('.entry').nth(1).click();
    await page.locator('.path').first().waitFor();
  }],
  passphrase: ['usual', async (page) => {
    await page.keyboard.press('Alt+4');
    await page.locator('.entry').first().click();
    await page.getByRole('button', { name: 'Set passphrase' }).click();
    await page.getByLabel('New passphrase').waitFor();
  }],
  'in arabic': ['usual', async (page) => {
    await page.keyboard.press('Alt+4');
    await page.locator('.entry').first().click();
    await page.locator('select').last().selectOption('ar');
    await page.waitForFunction(() => document.documentElement.dir === 'rtl');
    await page.keyboard.press('Alt+1');
    await openChat(page, 'yusuf');
  }],
  'recovery phrase': ['usual', async (page) => {
    await page.keyboard.press('Alt+4');
    await page.locator('.entry').first().click();
    await page.getByRole('button', { name: 'Show recovery phrase' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Show recovery phrase' }).click();
    await page.locator('.words li').first().waitFor();
  }],
  'new conversation': ['usual', async (page) => {
    await page.keyboard.press('Alt+n');
    await page.getByRole('dialog').waitFor();
  }],
  'qr code': ['usual', async (page) => {
    await page.keyboard.press('Alt+n');
    await page.getByRole('button', { name: 'Show QR code' }).click();
    await page.getByRole('img', { name: /QR code/ }).waitFor();
  }],
  shortcuts: ['usual', async (page) => {
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
  }],
  'nothing yet': ['empty', async () => {}],
  welcome: ['fresh', async () => {}],
  create: ['fresh', async (page) => page.getByRole('button', { name: 'Create an account' }).click()],
  restore: ['fresh', async (page) => page.getByRole('button', { name: 'I have a recovery phrase' }).click()],
  'first phrase': ['fresh', async (page) => {
    await page.getByRole('button', { name: 'Create an account' }).click();
    await page.getByLabel('Your name').fill('Aino');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Show recovery phrase' }).click();
    await page.locator('.words li').first().waitFor();
  }],
  chooser: ['several', async () => {}],
  locked: ['locked', async () => {}],
};

describe('every screen', { skip }, () => {
  let browser;
  before(async () => {
    browser = await launch();
    if (SHOTS) mkdirSync(SHOTS, { recursive: true });
  });
  after(() => browser?.close());

  for (const [name, [scene, arrive]] of Object.entries(SCREENS)) {
    test(`${name} opens at every width and in both themes, and axe finds no serious fault`, async () => {
      const visited = await visit(browser, { scene });
      const { page, complaints } = visited;
      try {
        await page.locator('nav, .front').first().waitFor();
        await page.locator('.waiting').waitFor({ state: 'detached' });
        await arrive(page, visited);
        for (const width of WIDTHS) {
          await page.setViewportSize({ width, height: width < 500 ? 780 : 900 });
          for (const theme of THEMES) {
            await page.emulateMedia({ colorScheme: theme });
            await page.waitForFunction((wanted) => document.documentElement.dataset.theme === wanted, theme);
            if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name.replaceAll(' ', '-')}-${width}-${theme}.png` });
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            assert.ok(wide <= 0, `${width} px: the page is ${wide} px too wide`);
            // Themes differ in colours only and widths in places only: two of the six show every fault.
            if (!CHECKED.has(`${width} ${theme}`)) continue;
            const found = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']).analyze();
            const serious = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
            const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`).join('; ')}`);
            assert.deepEqual(told, [], `${width} px, ${theme}`);
          }
        }
        if (name !== 'program gone') assert.deepEqual(complaints, []);
      } finally {
        await visited.end();
      }
    });
  }
});
