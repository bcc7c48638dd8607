/**
 * The browser's own way back: one entry of its history for each thing that lies in front of another, so that Back closes the one
 * on top, and leaves only where there is none.
 *
 * Entries have numbers and nothing else: no address of their own, nothing of what they stand for. Whatever else closes a thing (its
 * own button, Escape, a lock) takes its entry back; a thing that follows another at once takes its place. So the history is
 * never longer than what lies in front of each other, and one step too many or too few is mended by the number alone.
 */

/** Something that lies in front of what was there before, and how it goes. */
export interface Layer {
  close: () => void;
}

/** What of the browser's history is needed. */
export type Steps = Pick<History, 'pushState' | 'go'> & { readonly state: unknown };

const KEY = 'conclave.layer';

/** The number of an entry: how many things lie in front there. The entry the page was opened with has none. */
function numberOf(state: unknown): number {
  const number = typeof state === 'object' && state !== null ? (state as Record<string, unknown>)[KEY] : 0;
  return typeof number === 'number' && Number.isInteger(number) && number > 0 ? number : 0;
}

export class Back {
  /** The entry the browser is at. After a reload that is one of a thing that is gone, and is left again. */
  #at: number;
  /** The browser is on its way to an entry, since it was told so: it says when it is there. Till then nothing is pushed. */
  #going = false;

  constructor(
    private readonly steps: Steps,
    /** From below to above, as they are now. */
    private readonly layers: () => Layer[],
  ) {
    this.#at = numberOf(steps.state);
  }

  /** After things came or went. */
  follow(): void {
    if (this.#going) return;
    const wanted = this.layers().length;
    while (this.#at < wanted) this.steps.pushState({ [KEY]: ++this.#at }, '');
    if (this.#at === wanted) return;
    this.#going = true;
    this.steps.go(wanted - this.#at);
  }

  /** The browser is at another entry (`popstate`): because it was told so, or because somebody went back or forward. */
  arrived(state: unknown): void {
    this.#at = numberOf(state);
    // What opened since the browser was sent here is not what somebody wants to close.
    if (!this.#going) for (const layer of this.layers().slice(this.#at).reverse()) layer.close();
    this.#going = false;
    // What was closed uncovers another thing, or somebody went forward to one that is gone.
    this.follow();
  }
}
