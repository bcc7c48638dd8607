/**
 * The one door to the server: JSON-RPC 2.0 over a WebSocket on the page's own origin.
 *
 * When the wire breaks it dials again, waiting longer each time; whoever listens opens their views anew.
 */

/** An answer that was not what was asked for, with the short name the SDK gives it. */
export class CallError extends Error {
  constructor(
    readonly kind: string,
    message: string,
    readonly hint: string = '',
  ) {
    super(message);
    this.name = 'CallError';
  }
}

/** The kind of an error that was caught, whatever it is. */
export function kindOf(error: unknown): string {
  return error instanceof CallError ? error.kind : 'unknown';
}

export type Wire = 'connecting' | 'open' | 'lost' | 'refused' | 'closed';

export interface Hooks {
  /** What is true of the wire now, and when the next try is, milliseconds from now. */
  wire(state: Wire, retryIn: number): void;
  /** The page is in: where its files are, as long as this connection lasts. */
  welcome?(files: string): void;
  /** The server said something nobody asked for. */
  notice(method: string, params: Record<string, unknown>): void;
}

/** What the connection needs of a WebSocket; a test brings its own. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(text: string): void;
  close(): void;
}

/** The server does not take the secret (any more). */
export const REFUSED = 4401;
/** A call that takes longer is given up; the server's own limit for one is a minute. */
const PATIENCE_MS = 75_000;
/** A file that is sent alone is encrypted before that is answered. */
const LONG_MS = 11 * 60_000;
const LONG = new Set(['composer.send_file']);
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;

/** How long to wait before try number `attempt` (from 0). `random` in 0..1 keeps tabs from dialling in step. */
export function waitBefore(attempt: number, random: number): number {
  const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.min(attempt, 16), LONGEST_WAIT_MS);
  return Math.round(wait * (0.75 + random / 4));
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: CallError): void;
  timer: ReturnType<typeof setTimeout>;
}

export class Connection {
  #socket: Socket | null = null;
  #open = false;
  #ended = false;
  #attempt = 0;
  #next = 1;
  #waiting = new Map<number, Waiting>();
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly secret: string,
    private readonly hooks: Hooks,
    private readonly dial: () => Socket,
  ) {}

  /** Dials now, whatever the waiting time. */
  start(): void {
    if (this.#ended || this.#socket) return;
    clearTimeout(this.#retry);
    this.hooks.wire(this.#attempt === 0 ? 'connecting' : 'lost', 0);
    let socket: Socket;
    try {
      socket = this.dial();
    } catch {
      this.#later();
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ secret: this.secret }));
    socket.onmessage = (event) => this.#hear(String(event.data));
    socket.onclose = (event) => this.#lose(event.code);
  }

  /** Ends for good. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#fail();
    this.hooks.wire('closed', 0);
  }

  /** Asks the server. Fails with a [CallError]; of kind `disconnected` when the wire broke. */
  call<T = unknown>(method: string, params: object = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.#open || !this.#socket) {
        reject(new CallError('disconnected', 'not connected'));
        return;
      }
      const id = this.#next++;
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new CallError('timeout', 'no answer'));
      }, LONG.has(method) ? LONG_MS : PATIENCE_MS);
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  #hear(text: string): void {
    let said: Record<string, unknown>;
    try {
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed !== 'object' || parsed === null) return;
      said = parsed as Record<string, unknown>;
    } catch {
      return;
    }
    if (!this.#open) {
      if (said['ok'] !== true) return;
      this.#open = true;
      this.#attempt = 0;
      if (typeof said['files'] === 'string') this.hooks.welcome?.(said['files']);
      this.hooks.wire('open', 0);
      return;
    }
    if (typeof said['method'] === 'string') {
      this.hooks.notice(said['method'], (said['params'] ?? {}) as Record<string, unknown>);
      return;
    }
    const waiting = this.#waiting.get(said['id'] as number);
    if (!waiting) return;
    this.#waiting.delete(said['id'] as number);
    clearTimeout(waiting.timer);
    const error = said['error'] as { message?: string; data?: { kind?: string; message?: string; hint?: string } } | undefined;
    if (error) {
      waiting.reject(new CallError(error.data?.kind ?? 'unknown', error.data?.message ?? error.message ?? '', error.data?.hint));
    } else {
      waiting.resolve(said['result'] ?? null);
    }
  }

  #lose(code: number): void {
    this.#socket = null;
    this.#open = false;
    this.#fail();
    if (this.#ended) return;
    if (code === REFUSED) {
      this.#ended = true;
      this.hooks.wire('refused', 0);
      return;
    }
    this.#later();
  }

  #later(): void {
    const wait = waitBefore(this.#attempt++, Math.random());
    this.hooks.wire('lost', wait);
    this.#retry = setTimeout(() => this.start(), wait);
  }

  #fail(): void {
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new CallError('disconnected', 'the connection was lost'));
    }
    this.#waiting.clear();
  }
}
