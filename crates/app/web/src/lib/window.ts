/**
 * Which rows of a long list are on the screen, when every row has its own height.
 *
 * Heights are guessed until a row was on the screen and measured. The list holds at most a few hundred rows (the
 * server moves its window over the rest), so plain sums are fast enough and easy to trust.
 */

export class Layout {
  /** `tops[i]` is where row `i` begins; the last entry is the height of all. */
  readonly tops: Float64Array;
  readonly #index: Map<string, number>;

  constructor(
    readonly keys: readonly string[],
    height: (index: number) => number,
  ) {
    this.tops = new Float64Array(keys.length + 1);
    this.#index = new Map();
    for (let i = 0; i < keys.length; i++) {
      this.#index.set(keys[i] as string, i);
      this.tops[i + 1] = this.top(i) + height(i);
    }
  }

  top(index: number): number {
    return this.tops[Math.max(0, Math.min(index, this.keys.length))] ?? 0;
  }

  get height(): number {
    return this.top(this.keys.length);
  }

  indexOf(key: string): number {
    return this.#index.get(key) ?? -1;
  }

  /** The row at this height: the last that begins at or above it. */
  rowAt(y: number): number {
    let low = 0;
    let high = this.keys.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.top(middle) <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  /** Rows `[start, end)` that touch the viewport or are within `overscan` pixels of it. */
  range(scrollTop: number, viewport: number, overscan: number): { start: number; end: number } {
    if (this.keys.length === 0) return { start: 0, end: 0 };
    return {
      start: this.rowAt(scrollTop - overscan),
      end: Math.min(this.keys.length, this.rowAt(scrollTop + viewport + overscan) + 1),
    };
  }
}

/** What the reader looks at: these rows, each with its distance from the top of the viewport. */
export type Anchor = { key: string; offset: number }[];

/** Remembers the rows in view, first the one at the top: the first that still exists later is held on to. */
export function anchorOf(layout: Layout, scrollTop: number, viewport: number): Anchor {
  const { start, end } = layout.range(scrollTop, viewport, 0);
  const anchor: Anchor = [];
  for (let i = start; i < end; i++) anchor.push({ key: layout.keys[i] as string, offset: layout.top(i) - scrollTop });
  return anchor;
}

/** Where to scroll so that the anchor stays where it was; `null` if none of its rows is there any more. */
export function scrollFor(layout: Layout, anchor: Anchor): number | null {
  for (const { key, offset } of anchor) {
    const index = layout.indexOf(key);
    if (index >= 0) return layout.top(index) - offset;
  }
  return null;
}
