// One Chromium and one mock for a test file; pages that fail a test when they complain or ask elsewhere.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { Mock } from '../mock/server.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Without Chromium the tests are skipped, and say so. */
export const skip = existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM} (set CHROMIUM)`;
// Where they have to run, tests that did not are no success.
if (skip && process.env.CONCLAVE_NEED_PAGE) throw new Error(skip);

/** The browser, and how it is started to be driven. */
export const COMMAND = [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export async function launch(...more) {
  const [executablePath, ...args] = COMMAND;
  return chromium.launch({ executablePath, args: [...args, ...more] });
}

/**
 * A page on its own mock. `complaints` collects errors of the page and requests to anywhere else.
 * @param {import('playwright-core').Browser} browser
 */
export async function visit(browser, { scene = 'usual', width = 1440, height = 900, theme = 'light', language = 'en-GB', motion = 'reduce', touch = false, enter = true } = {}) {
  const mock = await new Mock(scene).listen();
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, locale: language, reducedMotion: motion, hasTouch: touch, timezoneId: 'Europe/Berlin' });
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: mock.origin });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (said) => {
    // That no picture can be made of a file is an answer, which the browser writes down as well.
    if (said.text().includes('415 (Unsupported Media Type)')) return;
    if (['error', 'warning'].includes(said.type())) complaints.push(`console: ${said.text()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(mock.origin) && !request.url().startsWith('blob:')) complaints.push(`request: ${request.url()}`);
  });
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  if (enter) {
    await page.goto(mock.link());
    await page.locator('nav, .front').first().waitFor();
  }
  return {
    mock,
    page,
    context,
    complaints,
    async end() {
      await context.close();
      await mock.stop();
    },
  };
}
