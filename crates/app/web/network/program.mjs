// The real program, started as a person would start it, and ended by its process id.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

const CONCLAVE = process.env.CONCLAVE ?? '';
/** Without the program there is nothing to test. */
export const missing = existsSync(CONCLAVE) ? false : 'no program (set CONCLAVE to its path)';

/** Longer than anything takes; what is waited for ends the wait sooner. Shorter while one works on these tests. */
export const PATIENCE = Number(process.env.PATIENCE_MS ?? 120_000);

/** Tests that go on from one another: after one that failed, the others would only wait in vain. */
export function story() {
  let broken = null;
  return (name, act) =>
    test(name, async (context) => {
      if (broken) return context.skip(`“${broken}” failed`);
      try {
        await act(context);
      } catch (error) {
        broken = name;
        throw error;
      }
    });
}

/** A promise that fails when nothing came of it in a time longer than anything takes. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, failed) => (timer = setTimeout(() => failed(new Error(`waited in vain for ${what()}`)), PATIENCE)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Looks again and again until something is so. */
export async function eventually(what, holds) {
  for (const end = Date.now() + PATIENCE; !(await holds()); await new Promise((soon) => setTimeout(soon, 20))) {
    if (Date.now() > end) throw new Error(`waited in vain until ${typeof what === 'string' ? what : what()}`);
  }
}

/** A command that goes on, and the lines it has printed. */
class Running {
  lines = [];
  #waiting = new Set();

  constructor(child, name) {
    this.child = child;
    this.name = name;
    const output = createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line);
      this.lines.push(said);
      for (const look of [...this.#waiting]) look(said);
    });
    const read = new Promise((done) => output.once('close', done));
    const exited = new Promise((done) => child.once('exit', (code, signal) => done(signal ?? code)));
    // What it printed last is read before its end is told of.
    this.ended = Promise.all([exited, read]).then(([how]) => how);
  }

  /** The first line that fits, whether it was printed already or is still to come. */
  until(fits) {
    const found = new Promise((done, failed) => {
      const here = this.lines.find(fits);
      if (here) return done(here);
      const look = (said) => {
        if (!fits(said)) return;
        this.#waiting.delete(look);
        done(said);
      };
      this.#waiting.add(look);
      void this.ended.then((code) => failed(new Error(`${this.name} ended with ${code}`)));
    });
    return within(() => `a line of ${this.name}: ${fits}\n${this.lines.map((line) => JSON.stringify(line)).join('\n')}`, found);
  }

  async kill(signal = 'SIGKILL') {
    this.child.kill(signal);
    await within(() => `the end of ${this.name}`, this.ended);
  }
}

export class Home {
  dir = mkdtempSync(join(tmpdir(), 'conclave-'));
  #running = [];

  constructor(environment = {}) {
    const { CONCLAVE_NETWORK, CONCLAVE_PASSPHRASE, CONCLAVE_PHRASE, BROWSER, ...rest } = process.env;
    this.environment = { ...rest, CONCLAVE_DATA_DIR: this.dir, ...environment };
  }

  /** Starts a command that goes on. */
  begin(...args) {
    const child = spawn(CONCLAVE, ['--json', ...args], { env: this.environment, stdio: ['ignore', 'pipe', 'inherit'] });
    const running = new Running(child, args[0]);
    this.#running.push(running);
    return running;
  }

  /** Starts a command that goes on, and waits until it has printed its first line with this event: `ready`. */
  async start(event, ...args) {
    const running = this.begin(...args);
    running.ready = await running.until((line) => line.event === event);
    return running;
  }

  /** Runs a command to its end; its lines. */
  run(...args) {
    return this.feed('', ...args);
  }

  /** The same, with something to read. */
  feed(input, ...args) {
    const done = spawnSync(CONCLAVE, ['--json', ...args], { env: this.environment, encoding: 'utf8', input, timeout: PATIENCE });
    if (done.status !== 0) throw new Error(`${args.join(' ')}: ${done.status}\n${done.stdout}${done.stderr}`);
    return done.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  async stop() {
    await Promise.all(
      this.#running.map(async ({ child, ended }) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGINT');
        const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
        await ended;
        clearTimeout(timer);
      }),
    );
    rmSync(this.dir, { recursive: true, force: true });
  }
}
