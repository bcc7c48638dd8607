// A server with made-up data that speaks what the page and the program have agreed on, for work on the page without
// the program: `npm run mock`, then `npm run dev`; or `npm run build` and the address the mock prints.
//
//   node mock/server.mjs [--port 4180] [--scene usual|fresh|locked|several|empty]
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { APP, CALLS, Fault, profilesOf, say, worldOf } from './calls.mjs';
import { serveFiles } from './files.mjs';
import { View } from './views.mjs';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/** One page's connection: its profile and its views. */
class Connected {
  constructor(mock, socket) {
    Object.assign(this, { mock, socket, profile: null, world: null, views: new Map(), profiles: mock.profiles, token: randomBytes(32).toString('hex'), trays: new Map() });
  }

  use(profile) {
    this.profile = profile.name;
    this.world = this.mock.world(profile);
    this.views.clear();
    this.trays.clear();
  }

  later(ms, act) {
    setTimeout(() => {
      act();
      this.mock.tell();
    }, ms);
  }

  send(said) {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify({ jsonrpc: '2.0', ...said }));
  }

  tell() {
    for (const view of this.views.values()) {
      const patch = view.patch();
      if (patch) this.send({ method: 'view', params: { id: view.id, patch } });
    }
  }

  answer(method, params) {
    this.mock.asked.push(method);
    if (APP[method]) return APP[method](this, params);
    if (!this.world) throw new Fault('no_profile', 'open a profile first');
    if (this.profiles.find((p) => p.name === this.profile)?.locked) throw new Fault('locked', 'the profile is locked');
    if (method === 'lock') return this.mock.lock(this.profile);
    if (method === 'view.open') {
      const view = new View(this.world, params, this.trays);
      this.views.set(view.id, view);
      return view.first();
    }
    if (method === 'view.close') return void this.views.delete(params.id);
    if (method.startsWith('view.') || method.startsWith('composer.')) return this.act(method, params);
    if (!CALLS[method]) throw new Fault('unknown_method', `no method ${method}`);
    return CALLS[method](this, params) ?? null;
  }

  act(method, params) {
    const view = this.views.get(params.id);
    if (!view) throw new Fault('unknown_view', 'no such view');
    if (method === 'view.older') view.older();
    else if (method === 'view.newer') view.newer();
    else if (method === 'view.jump') {
      if (params.message === 'newest') return void view.newest();
      const n = view.chat.indexOf(params.message);
      if (n < 0) throw new Fault('unknown_message', 'the message is not here');
      view.around(n);
    } else if (method === 'composer.set') {
      if (view.editing) view.text = params.text;
      else view.chat.draft = params.text || null;
    } else if (method === 'composer.reply') view.reply = params.message;
else if (method === 'composer.preview') {
      if (params.preview && !view.chat.draft?.includes(params.preview.url)) throw new Fault('not_allowed', 'a preview is of a link that stands in the text');
      view.preview = params.preview;
    } else if (method === 'composer.edit') {
      view.editing = params.message;
      view.text = params.message ? view.chat.at(view.chat.indexOf(params.message)).text : '';
    } else if (method === 'composer.detach') {
      this.trays.set(view.chat.chat, view.files.filter((file) => file.id !== params.file));
    } else if (method === 'composer.as_file') {
      this.trays.set(view.chat.chat, view.files.map((file) => (file.id === params.file ? { ...file, as_file: true, failed: null } : file)));
    } else if (method === 'composer.send_file') {
      const file = view.files.find((one) => one.id === params.file);
      if (!file) throw new Fault('not_allowed', 'there is no such file in the tray');
      this.trays.set(view.chat.chat, view.files.filter((one) => one !== file));
      const sent = say(this, view.chat, '', view.reply, null, [file]);
      view.reply = null;
      return sent;
    } else if (method === 'composer.send') {
      if (view.editing) {
        CALLS.edit(this, { id: view.editing, text: view.text });
        view.editing = null;
        return null;
      }
      const files = view.files.filter((file) => !file.voice);
      if (!view.chat.draft?.trim() && files.length === 0) throw new Fault('text_empty');
      if (files.length > 0 && this.mock.failSends) {
        const [chat, draft, kind] = [view.chat, view.chat.draft, this.mock.failSends];
        this.trays.set(chat.chat, files.map((file) => ({ ...file, going: true, failed: null })));
        chat.draft = null;
        this.later(150, () => {
          this.trays.set(chat.chat, files.map((file) => ({ ...file, going: false, failed: kind })));
          chat.draft ??= draft;
        });
        return null;
      }
      const sent = say(this, view.chat, view.chat.draft ?? '', view.reply, view.preview, files);
      this.trays.delete(view.chat.chat);
      view.chat.draft = null;
      view.reply = null;
      view.preview = null;
      return sent;
    }
    return null;
  }
}

export class Mock {
  constructor(scene = 'usual') {
    this.profiles = profilesOf(scene);
    this.worlds = new Map();
    this.codes = new Set();
    this.secrets = new Set();
    this.connected = new Set();
    /** Every method that was asked for, in order. */
    this.asked = [];
    /** Nothing is told of what changes, until `tell` after it is false again. */
    this.held = false;
    /** What is handed over waits for this. */
    this.gate = null;
    /** Why nothing is taken in, if so. */
    this.refuseUploads = null;
    /** Why messages with files cannot be sent, if so. */
    this.failSends = null;
  }

  world(profile) {
    if (!this.worlds.has(profile.name)) this.worlds.set(profile.name, worldOf(profile));
    return this.worlds.get(profile.name);
  }

  lock(name) {
    const profile = this.profiles.find((one) => one.name === name);
    if (!profile?.passphrase) throw new Fault('not_lockable');
    profile.locked = true;
    for (const one of this.connected) {
      if (one.profile !== name) continue;
      one.views.clear();
      one.send({ method: 'event', params: { event: 'locked' } });
    }
    return null;
  }

  tell() {
    if (!this.held) for (const one of this.connected) one.tell();
  }

  async listen(port = 0) {
    this.http = createServer((request, response) => void this.serve(request, response));
    const sockets = new WebSocketServer({ server: this.http, path: '/api/socket', maxPayload: 1 << 20 });
    sockets.on('connection', (socket, request) => {
      if (request.headers.origin !== this.origin && !this.anyOrigin) return socket.close(4403);
      let connected = null;
      socket.on('message', (data) => {
        const said = JSON.parse(String(data));
        if (!connected) {
          if (!this.secrets.has(said.secret)) return socket.close(4401);
          connected = new Connected(this, socket);
          this.connected.add(connected);
          return socket.send(JSON.stringify({ ok: true, files: `/api/files/${connected.token}` }));
        }
        try {
          connected.send({ id: said.id, result: connected.answer(said.method, said.params ?? {}) ?? null });
        } catch (error) {
          if (!(error instanceof Fault)) console.error(said.method, error);
          connected.send({ id: said.id, error: { code: -32000, message: error.message, data: { kind: error.kind ?? 'internal', message: error.message, hint: error.hint ?? '', exit: 'failed' } } });
        }
        this.tell();
      });
      socket.on('close', () => this.connected.delete(connected));
    });
    this.sockets = sockets;
    await new Promise((done) => this.http.listen(port, '127.0.0.1', done));
    this.port = this.http.address().port;
    this.origin = `http://127.0.0.1:${this.port}`;
    return this;
  }

  link(origin = this.origin) {
    const code = randomBytes(32).toString('base64url');
    this.codes.add(code);
    return `${origin}/#code=${code}`;
  }

  async serve(request, response) {
    const url = new URL(request.url, this.origin);
    const headers = { 'content-security-policy': CSP, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin', 'cache-control': url.pathname.startsWith('/assets/') ? 'max-age=31536000, immutable' : 'no-store' };
    if (url.pathname === '/api/session' && request.method === 'POST') {
      let body = '';
      for await (const part of request) body += part;
      const { code } = JSON.parse(body);
      if (!this.codes.delete(code)) return response.writeHead(403, headers).end('{}');
      const secret = randomBytes(32).toString('base64url');
      this.secrets.add(secret);
      return response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify({ secret }));
    }
    if (url.pathname.startsWith('/api/files/')) return serveFiles(this, request, response, url, headers);
    const name = normalize(url.pathname === '/' ? '/index.html' : url.pathname);
    try {
      const bytes = await readFile(join(DIST, name));
      response.writeHead(200, { ...headers, 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' }).end(bytes);
    } catch {
      response.writeHead(404, headers).end();
    }
  }

  /** Cuts all wires, as if the program had ended; `listen` on the same port brings it back. */
  async stop() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at > 0 ? process.argv[at + 1] : otherwise;
  };
  const mock = new Mock(option('scene', 'usual'));
  mock.anyOrigin = true;
  await mock.listen(Number(option('port', 4180)));
  console.log(`built page:       ${mock.link()}`);
  console.log(`vite (npm run dev): ${mock.link('http://127.0.0.1:5173')}`);
  console.log('Enter prints new links.');
  process.stdin.on('data', () => console.log(`${mock.link()}\n${mock.link('http://127.0.0.1:5173')}`));
}
