// What attackers have: sites of their own, and, to see that their attacks would work, a door that checks nothing.
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

const listening = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));

/** A web server that counts who asks it for anything. */
export class Site {
  asked = [];

  async open() {
    this.server = createServer((request, response) => {
      this.asked.push(`${request.method} ${request.headers.host}${request.url}`);
      response.setHeader('content-type', 'text/html');
      response.setHeader('access-control-allow-origin', '*');
      response.end('<!doctype html><title>attacker</title><body>');
    });
    this.server.on('upgrade', (request, socket) => {
      this.asked.push(`UPGRADE ${request.headers.host}${request.url}`);
      socket.destroy();
    });
    this.port = await listening(this.server);
    return this;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/**
 * The same door without its guards: whoever asks appears to be its own page, and no header forbids the browser anything.
 * An attack that fails here as well would prove nothing.
 */
export class Unguarded {
  #sockets = new Set();

  constructor(origin) {
    this.to = new URL(origin);
  }

  #as(headers) {
    const { 'sec-fetch-site': site, ...rest } = headers;
    return { ...rest, host: this.to.host, origin: this.to.origin };
  }

  async open() {
    this.server = createServer((asked, answer) => {
      const on = request(new URL(asked.url, this.to), { method: asked.method, headers: this.#as(asked.headers) }, (from) => {
        answer.writeHead(from.statusCode, {
          'content-type': from.headers['content-type'],
          ...(from.headers['content-encoding'] ? { 'content-encoding': from.headers['content-encoding'] } : {}),
          'access-control-allow-origin': '*',
        });
        from.pipe(answer);
      });
      on.on('error', () => answer.destroy());
      asked.pipe(on);
    });
    this.server.on('upgrade', (asked, socket, head) => {
      const on = connect(Number(this.to.port), this.to.hostname, () => {
        const headers = Object.entries(this.#as(asked.headers)).map(([name, value]) => `${name}: ${value}\r\n`);
        on.write(`GET ${asked.url} HTTP/1.1\r\n${headers.join('')}\r\n`);
        on.write(head);
        on.pipe(socket).pipe(on);
      });
      for (const end of [on, socket]) {
        this.#sockets.add(end);
        end.on('error', () => {});
      }
    });
    this.port = await listening(this.server);
    return this;
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Runs in the attacker's page, which somehow learned the address of a file: what it gets of it. */
export async function byAddress({ door, path }) {
  const element = (name, attributes, loaded = 'onload') =>
    new Promise((done) => {
      const made = document.createElement(name);
      made[loaded] = () => done(true);
      made.onerror = () => done(false);
      Object.assign(made, attributes);
      document.body.append(made);
    });
  const content = await fetch(`${door}${path}`)
    .then(async (answer) => answer.ok && (await answer.arrayBuffer()).byteLength > 0)
    .catch(() => false);
  const picture = await element('img', { src: `${door}${path}?preview=64` });
  return { content, picture };
}

/**
 * Runs in the attacker's page, which somehow learned a code that is still good: what it gets out of a door by script.
 * Everything is `true` where it got in.
 */
export async function byScript({ door, code }) {
  const attempt = (act) => act().catch(() => false);
  const element = (name, attributes) =>
    new Promise((done) => {
      const made = Object.assign(document.createElement(name), attributes);
      made.onload = () => done(true);
      made.onerror = () => done(false);
      document.body.append(made);
    });
  const page = await attempt(async () => (await (await fetch(`${door}/`)).text()).includes('id="page"'));
  const picture = await element('img', { src: `${door}/icon.svg` });
  let secret;
  for (const headers of [{ 'content-type': 'application/json' }, { 'content-type': 'text/plain' }]) {
    secret ||= await attempt(async () => (await (await fetch(`${door}/api/session`, { method: 'POST', headers, body: JSON.stringify({ code }) })).json()).secret);
  }
  const socket = await new Promise((done) => {
    const wire = new WebSocket(`${door.replace('http', 'ws')}/api/socket`);
    wire.onopen = () => wire.send(JSON.stringify({ secret: secret || code }));
    wire.onmessage = ({ data }) => done(JSON.parse(data).ok === true);
    wire.onclose = wire.onerror = () => done(false);
  });
  return { page, picture, secret: /^[0-9a-f]{64}$/.test(secret), socket };
}
