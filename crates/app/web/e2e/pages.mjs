// Tests on a page of their own, in one browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, visit } from './browser.mjs';

/**
 * For a `describe`: gives what makes a test on a page and a mock of its own. The page must not complain, unless it may
 * (`mayComplain`). `flags` are the browser's.
 */
export function pages(...flags) {
  let browser;
  before(async () => void (browser = await launch(...flags)));
  after(() => browser?.close());
  return (name, options, act) =>
    test(name, async () => {
      const visited = await visit(browser, options);
      try {
        await act(visited.page, visited);
        if (!options.mayComplain) assert.deepEqual(visited.complaints, []);
      } finally {
        await visited.end();
      }
    });
}
