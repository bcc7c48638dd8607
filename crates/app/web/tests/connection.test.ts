import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CallError, Connection, REFUSED, waitBefore, type Socket, type Wire } from '../src/lib/connection';

class FakeSocket implements Socket {
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  sent: Record<string, unknown>[] = [];
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(): void {
    this.onclose?.({ code: 1000 });
  }
  say(said: object): void {
    this.onmessage?.({ data: JSON.stringify(said) });
  }
  open(): void {
    (this.onopen as (() => void) | null)?.();
  }
}

function setup() {
  const sockets: FakeSocket[] = [];
  const wires: Wire[] = [];
  const notices: string[] = [];
  const connection = new Connection(
    'the secret',
    { wire: (state) => wires.push(state), notice: (method) => notices.push(method) },
    () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
  );
  connection.start();
  const last = () => sockets.at(-1)!;
  const accept = () => {
    last().open();
    last().say({ ok: true });
  };
  return { connection, sockets, wires, notices, last, accept };
}

describe('the connection', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('sends the secret first, and nothing before it was taken', async () => {
    const { connection, last, accept } = setup();
    await expect(connection.call('chats')).rejects.toMatchObject({ kind: 'disconnected' });
    accept();
    expect(last().sent).toEqual([{ secret: 'the secret' }]);
    void connection.call('chats').catch(() => {});
    expect(last().sent[1]).toMatchObject({ jsonrpc: '2.0', method: 'chats', params: {} });
  });

  test('gives each answer to whom asked, whatever their order', async () => {
    const { connection, last, accept } = setup();
    accept();
    const one = connection.call('one');
    const two = connection.call('two');
    const [, first, second] = last().sent;
    last().say({ id: second!['id'], result: 2 });
    last().say({ id: first!['id'], result: 1 });
    expect(await Promise.all([one, two])).toEqual([1, 2]);
  });

  test('an error has the kind the SDK gave it', async () => {
    const { connection, last, accept } = setup();
    accept();
    const call = connection.call('app.open');
    last().say({ id: last().sent[1]!['id'], error: { code: -1, message: 'no', data: { kind: 'wrong_passphrase', message: 'wrong', hint: 'try again' } } });
    await expect(call).rejects.toEqual(new CallError('wrong_passphrase', 'wrong', 'try again'));
  });

  test('dials again when the wire breaks, and what was asked fails at once', async () => {
    const { connection, sockets, wires, accept, last } = setup();
    accept();
    const call = connection.call('slow');
    last().onclose?.({ code: 1006 });
    await expect(call).rejects.toMatchObject({ kind: 'disconnected' });
    expect(wires.at(-1)).toBe('lost');
    vi.advanceTimersByTime(15_000);
    expect(sockets).toHaveLength(2);
    accept();
    expect(wires.at(-1)).toBe('open');
  });

  test('does not dial again when the secret was refused', () => {
    const { sockets, wires, last } = setup();
    last().open();
    last().onclose?.({ code: REFUSED });
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    expect(wires.at(-1)).toBe('refused');
  });

  test('survives what is no JSON and what nobody asked for', () => {
    const { last, accept, notices } = setup();
    accept();
    last().onmessage?.({ data: '{' });
    last().onmessage?.({ data: 'null' });
    last().say({ id: 99, result: 1 });
    last().say({ method: 'view', params: { id: 'x' } });
    expect(notices).toEqual(['view']);
  });

  test('a call nobody answers is given up', async () => {
    const { connection, accept } = setup();
    accept();
    const call = connection.call('lost');
    vi.advanceTimersByTime(80_000);
    await expect(call).rejects.toMatchObject({ kind: 'timeout' });
  });

  test('waits longer each time, up to ten seconds', () => {
    const waits = [0, 1, 2, 3, 10, 1_000].map((attempt) => waitBefore(attempt, 1));
    expect(waits).toEqual([300, 600, 1_200, 2_400, 10_000, 10_000]);
    expect(waitBefore(3, 0)).toBeLessThan(waitBefore(3, 1));
  });
});
