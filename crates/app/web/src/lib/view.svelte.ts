/**
 * One view of the server, mirrored: its first state, then patches. Opened anew whenever the wire was lost.
 */

import type { Acts, ViewStates } from './contract';
import { CallError, type Connection } from './connection';
import { applyPatch } from './patch';

type ViewName = keyof ViewStates;

let nextId = 1;

/** The views that are open on one connection, by the id they were given. */
export class Views {
  #open = new Map<string, LiveView<ViewName>>();
  connection: Connection | null = null;

  add(view: LiveView<ViewName>): void {
    this.#open.set(view.id, view);
  }

  remove(id: string): void {
    this.#open.delete(id);
  }

  patch(params: Record<string, unknown>): void {
    this.#open.get(String(params['id']))?.take((params['patch'] ?? {}) as Record<string, unknown>);
  }

  /** The wire was lost. */
  lose(): void {
    for (const view of this.#open.values()) view.stale = true;
  }

  /** After a new connection, or a profile that was unlocked. */
  reopen(): void {
    for (const view of this.#open.values()) void view.load();
  }

  /** Another profile: what was seen before is nobody's business any more. */
  clear(): void {
    for (const view of this.#open.values()) view.drop();
    this.#open.clear();
  }
}

export class LiveView<N extends ViewName> {
  readonly id: string;
  state = $state.raw<ViewStates[N] | null>(null);
  failed = $state<CallError | null>(null);
  /** What is shown may be old, and the server knows nothing of this view: the wire was lost. */
  stale = $state(true);
  #closed = false;
  #early: Record<string, unknown>[] | null = null;

  constructor(
    private readonly views: Views,
    readonly name: N,
    private readonly params: () => object = () => ({}),
  ) {
    this.id = `${name}-${nextId++}`;
    views.add(this as unknown as LiveView<ViewName>);
    void this.load();
  }

  async load(): Promise<void> {
    const connection = this.views.connection;
    if (!connection || this.#closed) return;
    // A patch may overtake the answer with the first state only if it came after it was made: keep it.
    this.#early = [];
    try {
      let state = await connection.call<ViewStates[N]>('view.open', { view: this.name, id: this.id, ...this.params() });
      if (this.#closed) return;
      for (const patch of this.#early) state = applyPatch(state, patch);
      this.state = state;
      this.stale = false;
      this.failed = null;
    } catch (error) {
      if (error instanceof CallError && error.kind !== 'disconnected') this.failed = error;
    } finally {
      this.#early = null;
    }
  }

  take(patch: Record<string, unknown>): void {
    if (this.#early) this.#early.push(patch);
    else if (this.state) this.state = applyPatch(this.state, patch);
  }

  call<A extends keyof Acts>(method: A, params?: Acts[A]['params']): Promise<Acts[A]['result']> {
    const connection = this.views.connection;
    if (!connection) return Promise.reject(new CallError('disconnected', 'not connected'));
    return connection.call<Acts[A]['result']>(method, { id: this.id, ...params });
  }

  drop(): void {
    this.#closed = true;
    this.state = null;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.views.remove(this.id);
    this.views.connection?.call('view.close', { id: this.id }).catch(() => {});
  }
}
