/**
 * Where the reader of a timeline is, and which rows are in the document for it.
 *
 * Whatever changes (rows that come, go, or turn out higher than was guessed; a composer that grows), what the reader looks at
 * stays where it is: the first row in view that still exists is put back where it was. Who is at the end stays at the
 * end; only the reader's own hand changes that. A jump holds on to its aim while the rows around it are measured.
 */

import { tick, untrack } from 'svelte';
import type { TimelineRow, TimelineState } from '../lib/contract';
import { anchorOf, Layout, scrollFor, type Anchor } from '../lib/window';

const OVERSCAN = 700;
/** This near to the end counts as at the end. */
const END = 48;
/** How long the list holds on to a message it was sent to, while what is around it is measured. */
const AIM_MS = 900;
/** A scroll this soon after the reader's hand was there is the reader's. */
const HAND_MS = 1_500;
const MOVING_MS = 900;
const FLASH_MS = 1_600;
/** Heights of rows that were not measured yet. */
const HEIGHTS: Record<TimelineRow['item'], number> = { day: 44, unread: 44, message: 58 };

interface Aim {
  key: string;
  at: 'middle' | 'top';
  until: number;
  flash: boolean;
}

export class Place {
  scrollTop = $state(0);
  viewport = $state(600);
  atEnd = $state(true);
  /** The reader's hand moves the list now. */
  moving = $state(false);
  /** A message that is to be noticed. */
  flash = $state<string | null>(null);
  /** The rows were put in place once. */
  placed = $state(false);
  /** Whatever depends on the place is told after each change of it. */
  onchange: () => void = () => {};
  /** An aim was held long enough. */
  onsettled: () => void = () => {};

  readonly layout = $derived.by(() => {
    void this.#measured;
    const rows = this.rows;
    return new Layout(rows.map((row) => row.key), (i) => this.#heights.get(rows[i]!.key) ?? HEIGHTS[rows[i]!.item]);
  });
  readonly range = $derived.by(() => this.layout.range(this.scrollTop, this.viewport, OVERSCAN));

  #measured = $state(0);
  readonly #heights = new Map<string, number>();
  #scroller: HTMLElement | undefined;
  #anchor: Anchor = [];
  #stuck = true;
  /** Where the list put itself last: a scroll event from there is its own echo. */
  #ownTop = -1;
  /** How high everything was then. */
  #ownHeight = 0;
  #aim: Aim | null = null;
  #handAt = -HAND_MS;
  #holding = false;
  #still: ReturnType<typeof setTimeout> | undefined;

  /** `first`: a message that is shown first, instead of the first unread one or the end. To be made while a component is. */
  constructor(
    private readonly view: () => TimelineState,
    private readonly first: () => string | null,
  ) {
    // After the document has the rows of a new layout (and only then), the scroll position follows. The one effect that moves the
    // list: a second would run when the document has half of what the first has changed.
    $effect(() => {
      void [this.layout, this.view().typing];
      untrack(() => this.put());
    });
    $effect(() => {
      if (!this.flash) return;
      const timer = setTimeout(() => (this.flash = null), FLASH_MS);
      return () => clearTimeout(timer);
    });
  }

  get rows(): TimelineRow[] {
    return this.view().rows;
  }

  get aiming(): boolean {
    return this.#aim !== null;
  }

  // --- measuring ---

  readonly #observer = new ResizeObserver((entries) => {
    let changed = false;
    for (const entry of entries) {
      const key = (entry.target as HTMLElement).dataset['row'];
      const height = entry.borderBoxSize[0]?.blockSize ?? 0;
      if (key && height > 0 && Math.abs((this.#heights.get(key) ?? -1) - height) > 0.4) {
        this.#heights.set(key, height);
        changed = true;
      }
    }
    if (changed) this.#measured++;
  });

  /** For the element of each row. */
  readonly measure = (element: HTMLElement): (() => void) => {
    this.#observer.observe(element);
    return () => this.#observer.unobserve(element);
  };

  /** For the element that scrolls. */
  readonly watch = (element: HTMLElement): (() => void) => {
    this.#scroller = element;
    const size = new ResizeObserver(() => {
      // The composer grows at the bottom: what stands above it moves up with it.
      const lower = this.viewport - element.clientHeight;
      this.viewport = element.clientHeight;
      if (this.#aim) this.put();
      else if (this.#stuck) this.#toEnd();
      else if (this.placed) this.scrollTo(this.scrollTop + lower);
      this.#remember();
    });
    size.observe(element);
    return () => {
      // A scroll event, or a timer, may still come for what is gone.
      this.#scroller = undefined;
      size.disconnect();
      this.#observer.disconnect();
      clearTimeout(this.#still);
    };
  };

  // --- staying in place ---

  scrollTo(top: number): void {
    const scroller = this.#scroller;
    if (!scroller) return;
    const most = Math.max(0, scroller.scrollHeight - scroller.clientHeight);
    const next = Math.max(0, Math.min(top, most));
    if (Math.abs(scroller.scrollTop - next) > 0.5) scroller.scrollTop = next;
    this.scrollTop = this.#ownTop = scroller.scrollTop;
    this.#ownHeight = scroller.scrollHeight;
  }

  #toEnd(): void {
    this.scrollTo(Number.MAX_SAFE_INTEGER);
  }

  /** Puts the rows where they belong, after anything has changed. */
  put(): void {
    const scroller = this.#scroller;
    if (!scroller || this.rows.length === 0) return;
    if (!this.placed) this.#begin();
    if (this.#aim && this.#putAimed(this.#aim)) return;
    if (this.#stuck && !this.view().has_newer && !this.#movedByHand()) this.#toEnd();
    else {
      const top = scrollFor(this.layout, this.#anchor);
      // The reader may have scrolled on since the anchor was taken: the browser tells of that only with its next frame.
      const most = scroller.scrollHeight - scroller.clientHeight;
      const since = scroller.scrollTop < most - 1 ? scroller.scrollTop - this.scrollTop : 0;
      if (top !== null) this.scrollTo(top + since);
      if (since !== 0) this.#stuck = this.#nearEnd();
    }
    this.#remember();
  }

  #begin(): void {
    this.placed = true;
    const first = this.first();
    const unread = this.rows.find((row) => row.item === 'unread');
    if (first !== null && this.layout.indexOf(first) >= 0) this.aimAt(first, 'middle', true);
    else if (unread) this.aimAt(unread.key, 'top', false);
  }

  #putAimed(aim: Aim): boolean {
    const { layout } = this;
    const over = performance.now() > aim.until;
    const index = layout.indexOf(aim.key);
    if (over) this.#aim = null;
    if (index < 0) return false;
    this.#stuck = false;
    const height = layout.top(index + 1) - layout.top(index);
    this.scrollTo(layout.top(index) - (aim.at === 'middle' ? (this.viewport - height) / 2 : this.viewport * 0.22));
    if (aim.flash) {
      this.flash = aim.key;
      aim.flash = false;
    }
    this.#remember();
    this.#stuck = this.atEnd;
    return true;
  }

  /** The reader's hand has moved the list away, and the browser has not told of it yet. */
  #movedByHand(): boolean {
    return this.#scroller !== undefined && this.#byHand() && this.#scroller.scrollTop < this.#ownTop - 1.5;
  }

  #byHand(): boolean {
    return this.#holding || performance.now() - this.#handAt < HAND_MS;
  }

  #nearEnd(): boolean {
    const scroller = this.#scroller;
    return !!scroller && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < END && !this.view().has_newer;
  }

  #remember(): void {
    this.#anchor = anchorOf(this.layout, this.scrollTop, this.viewport);
    this.atEnd = ((this.#stuck && !this.#aim) || this.layout.height - this.scrollTop - this.viewport < END) && !this.view().has_newer;
    this.onchange();
  }

  /** The message at the top of what is in view. */
  get topMessage(): string | null {
    return this.#anchor.find(({ key }) => this.rows[this.layout.indexOf(key)]?.item === 'message')?.key ?? null;
  }

  aimAt(key: string, at: 'middle' | 'top', flash: boolean): void {
    const aim = { key, at, until: performance.now() + AIM_MS, flash };
    this.#aim = aim;
    setTimeout(() => {
      if (!this.#scroller || this.#aim !== aim || performance.now() < aim.until - 20) return;
      this.#aim = null;
      this.onsettled();
    }, AIM_MS + 20);
  }

  /** To the end, and there it stays. */
  async stick(): Promise<void> {
    this.#stuck = true;
    this.#aim = null;
    await tick();
    if (!this.#scroller) return;
    this.#stuck = true;
    this.#toEnd();
    this.#remember();
  }

  /** Brings a row into view by the shortest way; the list holds nothing else then. */
  reveal(key: string): void {
    const { layout } = this;
    const index = layout.indexOf(key);
    const top = layout.top(index);
    const bottom = layout.top(index + 1);
    if (top < this.scrollTop + 8) this.scrollTo(top - 60);
    else if (bottom > this.scrollTop + this.viewport - 8) this.scrollTo(bottom - this.viewport + 24);
    this.#stuck = false;
  }

  // --- the reader's hand ---

  /** The reader's own hand ends what the list aimed at. */
  readonly hands = (): void => {
    this.#handAt = performance.now();
    this.#aim = null;
  };

  readonly hold = (): void => {
    this.#holding = true;
    this.hands();
  };

  readonly letGo = (): void => {
    if (!this.#holding) return;
    this.#holding = false;
    this.#handAt = performance.now();
  };

  /** Whether it was a scroll of this list, and not of one that is gone. */
  readonly onscroll = (): boolean => {
    const scroller = this.#scroller;
    if (!scroller) return false;
    this.scrollTop = scroller.scrollTop;
    if (Math.abs(this.scrollTop - this.#ownTop) > 1.5) {
      // Rows turned out less high than was guessed, and the browser moved the list: that is nobody's wish.
      const shrunk = this.#stuck && !this.#byHand() && scroller.scrollHeight !== this.#ownHeight && !this.view().has_newer;
      if (shrunk) {
        this.#toEnd();
        this.#remember();
        return true;
      }
      this.#ownTop = -1;
      if (this.#byHand()) {
        this.moving = true;
        clearTimeout(this.#still);
        this.#still = setTimeout(() => (this.moving = false), MOVING_MS);
      }
      if (!this.#aim) this.#stuck = this.#nearEnd();
    }
    this.#remember();
    return true;
  };
}
