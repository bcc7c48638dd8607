/**
 * Has the server move its window of rows over all messages: when the reader comes near its edge, or wants to be elsewhere.
 *
 * One question at a time, and the next only when the rows of the last are here: they come as a patch, which the answer may
 * overtake, and a second question before it would move the window past what the reader has seen.
 */

import { untrack } from 'svelte';
import { app } from '../lib/app.svelte';
import type { TimelineState } from '../lib/contract';
import type { LiveView } from '../lib/view.svelte';
import type { Place } from './place.svelte';

/** Nearer to the edge of the window than this, more rows are asked for. */
const NEAR = 1_400;
/** So long it is waited for rows after the answer; a window that has nowhere to go brings none. */
const PATIENCE_MS = 5_000;

export class Reach {
  asking = $state<'older' | 'newer' | null>(null);
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly timeline: LiveView<'timeline'>,
    private readonly view: () => TimelineState,
    private readonly place: Place,
  ) {
    // Rows that came are the end of a question, and may be the reason for the next.
    let before = '';
    $effect(() => {
      const edges = this.#edges();
      void this.place.viewport;
      untrack(() => {
        if (edges !== before) this.#done();
        before = edges;
        this.more();
      });
    });
    $effect(() => () => clearTimeout(this.#patience));
    // A search hit in the chat that is open already.
    $effect(() => {
      const wanted = app.around;
      if (wanted && place.placed) untrack(() => void this.jump(wanted));
    });
  }

  /** Where the window begins and ends. */
  #edges(): string {
    const { rows } = this.view();
    return `${rows[0]?.key} ${rows.at(-1)?.key}`;
  }

  #done(): void {
    clearTimeout(this.#patience);
    this.asking = null;
  }

  /** Asks for more rows, if the reader is near the edge of those that are here. */
  more(): void {
    const { place } = this;
    if (this.asking || place.aiming) return;
    const { has_older, has_newer } = this.view();
    if (has_older && place.scrollTop < NEAR) void this.#ask('older');
    else if (has_newer && place.layout.height - place.scrollTop - place.viewport < NEAR) void this.#ask('newer');
  }

  async #ask(which: 'older' | 'newer'): Promise<void> {
    this.asking = which;
    const before = this.#edges();
    try {
      await this.timeline.call(`view.${which}`);
    } catch {
      // Scrolling again asks again.
      this.#done();
      return;
    }
    if (this.asking === which && this.#edges() === before) this.#patience = setTimeout(() => this.#done(), PATIENCE_MS);
  }

  /** Shows this message, wherever it is. Whether it could be. */
  async jump(key: string): Promise<boolean> {
    app.around = null;
    // The rows come as a patch, which the answer may overtake: the aim holds until they are here.
    if (this.place.layout.indexOf(key) < 0 && (await app.attempt(this.timeline.call('view.jump', { message: key }).then(() => true))) !== true) return false;
    this.place.aimAt(key, 'middle', true);
    this.place.put();
    return true;
  }

  async newest(): Promise<void> {
    if (this.view().has_newer) await app.attempt(this.timeline.call('view.jump', { message: 'newest' }));
    await this.place.stick();
  }
}
