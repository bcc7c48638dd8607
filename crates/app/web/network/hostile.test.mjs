// What those get who want more than they should have: another user of this machine, another page in the same browser,
// whoever finds an old link, and whoever is at the other end of a conversation. Attacks on the door are seen to work on one without guards.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { COMMAND, launch, skip } from '../e2e/browser.mjs';
import { picture } from '../mock/files.mjs';
import { byAddress, byScript, Site, Unguarded } from './attacker.mjs';
import { eventually, Home, missing, PATIENCE, story } from './program.mjs';
import { composer, enter, message, press, reach } from './tab.mjs';

const NOBODY = 65_534;
const codeOf = (link) => new URL(link).hash.replace('#code=', '');

/** Runs a command as another user of the machine; `null` where this user may not. */
function asAnother(...command) {
  if (process.getuid?.() !== 0) return null;
  const done = spawnSync('setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...command], { encoding: 'utf8', cwd: '/', env: { PATH: process.env.PATH }, maxBuffer: 1 << 28 });
  return done.error?.code === 'ENOENT' ? null : done;
}

/** Exchanges a code as the page does. */
async function exchange(origin, code) {
  const answer = await fetch(`${origin}/api/session`, { method: 'POST', headers: { origin, 'content-type': 'application/json' }, body: JSON.stringify({ code }) });
  return { status: answer.status, ...(await answer.json()) };
}

describe('hostile', { skip: skip || missing }, () => {
  const alice = {};
  let browser, network;

  before(async () => {
    // Every name of the attacker leads to this machine, where the attacker's site is, and also the door.
    // Newer browsers keep some sites from this machine by themselves; here the door has to do it alone.
    browser = await launch('--host-resolver-rules=MAP *.example 127.0.0.1', '--disable-features=LocalNetworkAccessChecks');
    alice.home = new Home();
    ({ ready: network } = await alice.home.start('ready', 'up', '--nodes', '10', '--no-open'));
    alice.id = network.profiles.find((profile) => profile.name === 'alice').account_id;
  });
  after(async () => {
    await browser?.close();
    await alice.home?.stop();
  });

  describe('another user of the machine', () => {
    const test = story();
    const home = new Home();
    const out = mkdtempSync(join(tmpdir(), 'browser-'));
    const devtools = join(out, 'profile', 'DevToolsActivePort');
    let app, redirect, code, driven;

    const others = (name, act) =>
      test(name, async (context) => {
        if (asAnother('true') === null) return context.skip('NOT TRIED: only root can act as another user (with setpriv)');
        await act();
      });
    /** All that another user sees of the processes of this machine. */
    const processes = () => asAnother('sh', '-c', 'ps axww -o args; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null').stdout;

    before(async () => {
      // Others may go into the data directory here: what it holds has to be safe by itself.
      chmodSync(home.dir, 0o755);
      home.run('account', 'create', '--name', 'Somebody', '--network', network.network);
      // The browser is a real one. It waits at a pipe until it was looked at how it is started.
      spawnSync('mkfifo', [join(out, 'go')]);
      writeFileSync(
        join(out, 'browser'),
        `echo $$ > '${out}/process'\ncat "$1" > '${out}/page'\necho "$1" > '${out}/.file'\nmv '${out}/.file' '${out}/file'\nread go < '${out}/go'\n` +
          `exec '${COMMAND.join("' '")}' --remote-debugging-port=0 '--user-data-dir=${out}/profile' "$1"\n`,
      );
      home.environment.BROWSER = `sh ${out}/browser`;
      app = home.begin('app');
      await eventually('the browser is started', () => existsSync(join(out, 'file')));
      redirect = readFileSync(join(out, 'file'), 'utf8').trim();
      code = /#code=([0-9a-f]{64})/.exec(readFileSync(join(out, 'page'), 'utf8'))[1];
    });
    after(async () => {
      // Whoever still waits at the pipe goes on, and ends.
      if (!existsSync(devtools)) app?.child.kill();
      if (driven) await (await driven.newBrowserCDPSession()).send('Browser.close').catch(() => {});
      await home.stop();
      const process = readFileSync(join(out, 'process'), 'utf8').trim();
      await eventually('the browser has ended', () => /^(Z.*)?$/.test(spawnSync('ps', ['-o', 'stat=', '-p', process], { encoding: 'utf8' }).stdout.trim()));
      rmSync(out, { recursive: true, force: true, maxRetries: 5 });
    });

    test('has no right to the file the browser is started with, nor to its folder', () => {
      const mode = (path) => statSync(path).mode & 0o777;
      assert.deepEqual([mode(redirect), mode(dirname(redirect))], [0o600, 0o700]);
    });

    others('reads nothing in the data directory, and finds no code in a process list', () => {
      for (const command of [['cat', redirect], ['ls', dirname(redirect)]]) {
        const tried = asAnother(...command);
        assert.notEqual(tried.status, 0);
        assert.match(tried.stderr, /Permission denied/);
      }
      assert.deepEqual(asAnother('find', home.dir, '-readable').stdout.split('\n').filter(Boolean), [home.dir]);
      const seen = processes();
      assert.ok(seen.includes(basename(redirect)), 'how the browser was started is there to be seen');
      assert.ok(!seen.includes(code));
    });

    test('finds no key either when the page is open: the file is gone, and the address holds nothing', async () => {
      await writeFile(join(out, 'go'), 'go\n');
      await eventually('the browser can be driven', () => existsSync(devtools) && readFileSync(devtools, 'utf8').includes('\n'));
      driven = await chromium.connectOverCDP(`http://127.0.0.1:${readFileSync(devtools, 'utf8').split('\n')[0]}`);
      const ready = await app.until((line) => line.event === 'ready');
      assert.equal(new URL(ready.app).hash, '', 'what is printed lets nobody in');
      const pages = () => driven.contexts().flatMap((context) => context.pages());
      await eventually('the page is there', () => pages().some((page) => page.url().startsWith(ready.app)));
      const page = pages().find((page) => page.url().startsWith(ready.app));
      await page.getByRole('navigation').waitFor();
      assert.equal(page.url(), `${ready.app}/`);
      await eventually('the file is gone', () => !existsSync(redirect));
      assert.equal((await exchange(ready.app, code)).status, 401, 'the code is used up');
      home.secret = await page.evaluate(() => Object.values(sessionStorage).find((value) => /^[0-9a-f]{64}$/.test(value)));
      assert.ok(home.secret);
    });

    others('sees neither code nor key among the processes of the browser, and cannot speak to the owner of the profile', () => {
      const seen = processes();
      assert.ok(seen.includes('--type=renderer'), 'the browser’s processes are there to be seen');
      assert.ok(!seen.includes(code) && !seen.includes(home.secret));
      const socket = join(home.dir, 'profiles', 'default', 'socket');
      assert.ok(statSync(socket).isSocket());
      const talk = asAnother(process.execPath, '-e', 'require("net").connect(process.argv[1], () => process.exit(3)).on("error", (error) => { console.log(error.code); process.exit(0); })', socket);
      assert.equal(talk.stdout.trim(), 'EACCES', talk.stderr);
    });
  });

  test('whoever finds a link that was used gets nothing for it', async () => {
    Object.assign(alice, await enter(browser, network.app));
    const { origin } = new URL(network.app);
    const late = await browser.newContext();
    try {
      const page = await late.newPage();
      page.setDefaultTimeout(PATIENCE);
      await page.goto(network.app);
      await page.getByRole('heading', { name: 'This tab has no key' }).waitFor();
      assert.deepEqual(await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie]), [0, 0, '']);
    } finally {
      await late.close();
    }
    const again = await exchange(origin, codeOf(network.app));
    assert.equal(again.status, 401);
    assert.equal(again.secret, undefined);
  });

  describe('another page in the same browser', () => {
    const everything = (value) => ({ page: value, picture: value, secret: value, socket: value });
    let site;
    before(async () => void (site = await new Site().open()));
    after(() => site.close());

    /** Attacks a door with a code that is good, with guards or without, and then enters by the same code where it still is good. */
    async function attack(act, guarded) {
      const home = new Home();
      let door, context;
      try {
        const { ready } = await home.start('ready', 'app', '--no-open');
        const { origin } = new URL(ready.app);
        const code = codeOf(ready.app);
        if (!guarded) door = await new Unguarded(origin).open();
        context = await browser.newContext();
        context.setDefaultTimeout(PATIENCE);
        const got = await act({ context, port: guarded ? new URL(origin).port : door.port, code });
        assert.equal((await exchange(origin, code)).status, guarded ? 200 : 401, 'the code is used up only by who got in');
        return got;
      } finally {
        await context?.close();
        door?.close();
        await home.stop();
      }
    }

    const both = (name, act, got, nothing) =>
      test(name, async () => {
        assert.deepEqual(await attack(act, false), got, 'it would work without guards');
        assert.deepEqual(await attack(act, true), nothing);
      });

    for (const [whose, host] of [['of another port', '127.0.0.1'], ['of another site', 'evil.example']]) {
      const at = async (context) => {
        const page = await context.newPage();
        await page.goto(`http://${host}:${site.port}/`);
        return page;
      };

      both(`${whose} gets nothing by script, although it knows a code`, async ({ context, port, code }) => (await at(context)).evaluate(byScript, { door: `http://127.0.0.1:${port}`, code }), everything(true), everything(false));

      both(`${whose} cannot have a form send a code`, async ({ context, port, code }) => {
        const page = await at(context);
        const came = page.waitForResponse((answer) => answer.url().endsWith('/api/session'));
        await page.evaluate(([action, name]) => {
          const form = Object.assign(document.createElement('form'), { action, method: 'post', enctype: 'text/plain' });
          form.append(Object.assign(document.createElement('input'), { name, value: '"}' }));
          document.body.append(form);
          form.submit();
        }, [`http://127.0.0.1:${port}/api/session`, `{"code":"${code}","rest":"`]);
        const answer = await came;
        return { status: answer.status() };
      }, { status: 200 }, { status: 403 });

      both(`${whose} can neither frame the page nor keep hold of a window with it`, async ({ context, port, code }) => {
        const door = `http://127.0.0.1:${port}`;
        const page = await at(context);
        await page.evaluate((src) => new Promise((done) => {
          const frame = document.createElement('iframe');
          frame.onload = done;
          frame.src = src;
          document.body.append(frame);
        }), `${door}/`);
        const framed = await page.frames()[1].evaluate(() => document.querySelector('#page') !== null);
        const opening = context.waitForEvent('page');
        await page.evaluate((address) => void (window.opened = open(address)), `${door}/`);
        const opened = await opening;
        await opened.locator('#page').waitFor({ state: 'attached' });
        const held = await page.evaluate(() => !window.opened.closed);
        if (framed) await exchange(door, code);
        return { framed, held };
      }, { framed: true, held: true }, { framed: false, held: false });
    }

    both('whose name was made to point at this machine gets nothing, although to the browser it is of the same origin', async ({ context, port, code }) => {
      const origin = `http://rebound.example:${port}`;
      // What the browser got while the name still pointed at the attacker.
      await context.route(`${origin}/before`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><body>' }));
      const page = await context.newPage();
      await page.goto(`${origin}/before`);
      return page.evaluate(byScript, { door: origin, code });
    }, everything(true), everything(false));
  });

  describe('the other end of a conversation', () => {
    const test = story();
    const mallory = {};
    let site, address;
    const texts = {};

    before(async () => {
      site = await new Site().open();
      address = `http://evil.example:${site.port}`;
      mallory.home = new Home();
      mallory.name = `<img src=${address}/name onerror=alert(0)>`;
      [{ account_id: mallory.id }] = mallory.home.run('account', 'create', '--name', mallory.name, '--network', network.network);
      Object.assign(texts, {
        script: `<script>alert(1);fetch("${address}/script")</script>`,
        picture: `"><img src="${address}/picture" onerror="alert(2)">`,
        drawing: `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(3)"><script>alert(4)</script><image href="${address}/drawing"/></svg>`,
        frame: '<iframe srcdoc="<script>parent.alert(5)</script>"></iframe><object data="data:text/html,<script>alert(6)</script>"></object>',
        style: `<style>@import "${address}/style";*{display:none}</style><link rel=stylesheet href="${address}/link"><base href="${address}/"><meta http-equiv=refresh content="0;url=${address}/meta">`,
        templates: "{{constructor.constructor('alert(7)')()}} ${alert(8)} {@html '<b>bold</b>'} %3Cscript%3E &lt;b&gt;",
        links: 'javascript:alert(9) [click](javascript:alert(10)) <a href="javascript:alert(11)">here</a> data:text/html,<script>alert(12)</script> vbscript:x file:///etc/passwd',
        reordered: 'invoice \u202Efdp.exe\u202C \u2066isolated\u2069 zero\u200Bwidth https://good.example/\u202Egro.elpmaxe',
        lookalike: 'https://www.аррӏе.com/account',
        bank: 'https://bank.example@evil.example/ and http://bank.example:pass@evil.example/',
      });
    });
    after(async () => {
      await mallory.home?.stop();
      site.close();
    });

    /** The text of a message as it stands on the screen, without the time under it; hidden characters as they are named. */
    const written = (page, id) => page.locator(`[data-message="${id}"] .text`).evaluate((text) => {
      const copy = text.cloneNode(true);
      copy.querySelector('.meta')?.remove();
      return { text: copy.textContent, made: [...copy.querySelectorAll('*')].map((element) => element.matches('a') ? 'a' : element.className.split(' ')[0]) };
    });

    test('writes what is more than text to a naive page, and it is shown as text', async () => {
      const { page } = alice;
      await page.getByRole('button', { name: /Alice/ }).first().click();
      await page.getByRole('navigation').waitFor();
      mallory.sent = {};
      for (const [name, text] of Object.entries(texts)) [{ id: mallory.sent[name] }] = mallory.home.feed(text, 'send', '--timeout', '90', alice.id);
      await page.getByRole('button', { name: /Message requests/ }).click();
      await page.locator('[data-chat]').first().click();
      await page.getByRole('button', { name: 'Accept' }).click();
      await composer(page).waitFor();
      const lines = alice.home.run('history', mallory.id, '--profile', 'alice').filter(({ outgoing, kind }) => !outgoing && !kind);
      assert.deepEqual(lines.map((line) => line.text), Object.values(texts), 'it came as it was written');
      mallory.got = Object.fromEntries(Object.keys(texts).map((name, n) => [name, lines[n].id]));

      for (const [name, text] of Object.entries(texts)) {
        const named = text.replace(/[\u202C\u202E\u2066\u2069\u200B]/g, (hidden) => `U+${hidden.codePointAt(0).toString(16).toUpperCase()}`);
        const row = page.locator(`[data-message="${mallory.got[name]}"]`);
        await row.scrollIntoViewIfNeeded();
        const { text: here, made } = await written(page, mallory.got[name]);
        assert.equal(here, named);
        const allowed = { script: 'a', picture: 'a', drawing: 'a', style: 'a', reordered: ['a', 'hidden-char'], lookalike: 'a' };
        assert.ok(made.every((element) => [allowed[name] ?? []].flat().includes(element)), `${name}: ${made}`);
      }
    });

    test('has no link that leads elsewhere than it says', async () => {
      const { page } = alice;
      const links = await page.getByTestId('timeline').locator('a').evaluateAll((all) => all.map(({ href, rel, target }) => ({ href, rel, target })));
      assert.ok(links.length >= 6, `${links.length} links`);
      for (const { href, rel, target } of links) {
        const { protocol, username, password } = new URL(href);
        assert.match(protocol, /^https?:$/);
        assert.equal(username + password, '');
        assert.equal(rel, 'noreferrer noopener');
        assert.equal(target, '_blank');
      }
      await page.locator(`[data-message="${mallory.got.lookalike}"] a`).click();
      assert.equal(await page.getByTestId('host').textContent(), 'www.xn--80ak6aa92e.com');
      await page.getByRole('dialog').getByText('may imitate another address', { exact: false }).waitFor();
      await press(page, 'Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    });

    test('gets no further with an edit, an answer, a reaction, or its name wherever that is shown', async () => {
      const { page } = alice;
      mallory.home.feed(`${texts.script} edited`, 'edit', mallory.sent.script, '--timeout', '90');
      await page.locator(`[data-message="${mallory.got.script}"]`, { hasText: 'edited' }).waitFor();
      mallory.home.feed('an answer', 'send', '--timeout', '90', '--reply-to', mallory.sent.picture, alice.id);
      const quote = message(page, 'an answer').locator('.quote');
      await quote.filter({ hasText: 'onerror="alert(2)"' }).waitFor();
      mallory.home.run('react', mallory.sent.frame, '🏴‍☠️', '--timeout', '90');
      await page.locator(`[data-message="${mallory.got.frame}"] .reactions button`).waitFor();
      for (const key of ['i', 'Delete', 'Enter']) {
        await composer(page).focus();
        await reach(page, texts.drawing.slice(0, 40));
        await press(page, key);
        await page.locator('[role=menu], dialog').first().waitFor();
        await press(page, 'Escape');
        await page.locator('[role=menu], dialog').waitFor({ state: 'detached' });
      }
      await page.getByRole('button', { name: /^Details of / }).click();
      await page.getByRole('dialog').getByRole('heading', { name: mallory.name }).waitFor();
      await press(page, 'Escape');
      await press(page, 'Control+k');
      await page.keyboard.type('alert');
      await page.locator('.results mark').first().waitFor();
      assert.equal(await page.locator('.results script, .results img, .results iframe').count(), 0);
      await press(page, 'Escape', 'Escape');
      assert.equal(await page.locator('body').locator('img:not([src^="data:"]):not([src^="blob:"]), iframe, object, embed, base, style, b').count(), 0);
      assert.equal(await page.locator('head base, head meta[http-equiv], head style').count(), 0);
    });

    test('sends files that are more than files, and they are saved as they are and never shown', async () => {
      const { page } = alice;
      const svg = texts.drawing;
      const files = { 'drawing.svg': svg, 'photo.png': svg, 'page.html': texts.script, 'song.wav': texts.script, '\u202egnp.exe': 'MZ' };
      const dir = mkdtempSync(join(tmpdir(), 'files-'));
      try {
        for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
        mallory.home.run('send', '--timeout', '90', ...Object.keys(files).flatMap((name) => ['--attach', join(dir, name)]), '--', alice.id, 'five files');
      } finally {
        rmSync(dir, { recursive: true });
      }
      const row = message(page, 'five files');
      await row.waitFor();
      // What is called a picture or a sound was fetched when it was seen; the rest when it is asked for.
      for (const name of ['drawing.svg', 'page.html', 'gnp.exe']) await row.getByRole('button', { name: `Fetch ${name}` }).click();
      await row.locator('[data-file=here]').nth(4).waitFor();
      await row.getByText('gnp.exe').waitFor();
      assert.equal(await row.locator('img, iframe, object, svg image, svg script').count(), 0, 'none of them is a picture');
      await row.getByRole('button', { name: 'Play song.wav' }).click();
      await row.getByText('This browser cannot play it.').waitFor();
      for (const name of ['drawing.svg', 'page.html', 'gnp.exe']) {
        const [download] = await Promise.all([page.waitForEvent('download'), row.getByRole('button', { name: `Save ${name}` }).click()]);
        const kept = readFileSync(await download.path(), 'utf8');
        assert.ok(Object.values(files).includes(kept), name);
        assert.ok(!/[\u202a-\u202e/\\]/.test(download.suggestedFilename()));
        // Whoever opens the address of a file in the browser gets a download, too, and no document.
        const opened = await alice.context.newPage();
        const [again] = await Promise.all([opened.waitForEvent('download'), opened.goto(download.url()).catch(() => {})]);
        assert.equal(readFileSync(await again.path(), 'utf8'), kept);
        await opened.close();
      }
      assert.deepEqual(site.asked, []);
    });

    for (const [whose, host] of [['of another port', '127.0.0.1'], ['of another site', 'evil.example']]) {
      test(`has a page ${whose}, which gets nothing of a file although it knows its address`, async () => {
        const dir = mkdtempSync(join(tmpdir(), 'files-'));
        writeFileSync(join(dir, 'real.png'), picture(whose, 40, 30));
        mallory.home.run('send', '--timeout', '90', '--attach', join(dir, 'real.png'), '--', alice.id, `a picture ${whose}`);
        rmSync(dir, { recursive: true });
        const img = message(alice.page, `a picture ${whose}`).locator('img.loaded');
        await img.waitFor();
        const seen = new URL(await img.getAttribute('src'), network.app);
        // A site of its own: what is asked of the other is counted.
        const own = await new Site().open();
        const door = await new Unguarded(seen.origin).open();
        try {
          const page = await alice.context.newPage();
          await page.goto(`http://${host}:${own.port}/`);
          const got = (origin) => page.evaluate(byAddress, { door: origin, path: seen.pathname });
          assert.deepEqual(await got(`http://127.0.0.1:${door.port}`), { content: true, picture: true }, 'it would work without guards');
          assert.deepEqual(await got(seen.origin), { content: false, picture: false });
          await page.close();
        } finally {
          door.close();
          own.close();
        }
      });
    }

    test('has run nothing, moved nobody and been asked for nothing', async () => {
      assert.deepEqual(site.asked, []);
      assert.deepEqual(alice.complaints, []);
      assert.equal(new URL(alice.page.url()).origin, new URL(network.app).origin);
      assert.equal(alice.context.pages().length, 1);
    });

    test('would get no further either if the page made elements of a text: its policy forbids the browser the rest', async () => {
      const { page, complaints } = alice;
      const typed = await page.evaluate((text) => {
        try {
          document.body.innerHTML += text;
          return 'made';
        } catch (error) {
          return error.name;
        }
      }, texts.script);
      assert.equal(typed, 'TypeError');
      await page.evaluate(async (to) => {
        const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
        const script = document.createElement('script');
        script.append('alert("inline")');
        document.body.append(script);
        const button = document.createElement('button');
        try {
          button.setAttribute('onclick', 'alert("handler")');
          button.click();
        } catch {
          // Where such attributes are of a trusted type, too.
        }
        add('img', { src: `${to}/img` });
        add('iframe', { src: `${to}/frame` });
        add('link', { rel: 'stylesheet', href: `${to}/css` });
        add('link', { rel: 'modulepreload', href: `${to}/module` });
        await fetch(`${to}/fetch`).catch(() => {});
        await fetch(`${to}/fetch`, { mode: 'no-cors' }).catch(() => {});
        try {
          new WebSocket(`${to.replace('http', 'ws')}/socket`);
        } catch {
          // Some browsers throw, others fail later.
        }
        const form = Object.assign(document.createElement('form'), { action: `${to}/form`, method: 'post' });
        document.body.append(form);
        form.submit();
      }, address);
      const broken = () => new Set(complaints.filter((what) => what.startsWith('policy: ')).map((what) => what.split(' ')[1]));
      const rules = ['require-trusted-types-for', 'script-src-elem', 'img-src', 'frame-src', 'style-src-elem', 'connect-src', 'form-action'];
      await eventually(() => `the browser tells of ${rules}; it told of ${[...broken()]}`, () => rules.every((rule) => broken().has(rule)));
      assert.ok(!complaints.some((what) => what.startsWith('dialog')), complaints);
      assert.deepEqual(site.asked, []);
    });

    test('is a site that would have noticed', async () => {
      const page = await alice.context.newPage();
      await page.goto(`${address}/seen`);
      await page.close();
      assert.ok(site.asked.some((what) => what.endsWith('/seen')));
    });
  });
});
