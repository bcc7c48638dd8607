/** What the reader has seen is noted as read; what comes is said aloud; what one sends is shown. */

import { untrack } from 'svelte';
import { t } from '../i18n/i18n.svelte';
import { app } from '../lib/app.svelte';
import type { TimelineState } from '../lib/contract';
import { standsAt } from '../lib/dates';
import { nameOf } from '../lib/names';
import { lineOf } from '../lib/people';
import { plainText } from './menu';
import type { Place } from './place.svelte';

/** A message of one's own that is older was not sent just now. */
const JUST_NOW_MS = 10_000;
/** So much of a message has to be in view, in pixels. */
const SEEN = 24;

export class Reading {
  #upTo = 0;
  #last: string | null = null;

  constructor(
    private readonly view: () => TimelineState,
    private readonly place: Place,
  ) {
    $effect(() => {
      const { rows, loaded } = view();
      const key = rows.findLast((row) => row.item === 'message')?.key ?? '';
      if (loaded) untrack(() => this.#came(key));
    });
    // The list of chats may hear of a message after it was on this screen: what is read then counts as unread until it is said again.
    $effect(() => {
      const unread = app.chats?.state?.rows.find((candidate) => candidate.chat === view().chat)?.unread ?? 0;
      if (unread === 0) return;
      untrack(() => {
        this.#upTo = 0;
        this.seen();
      });
    });
  }

  /** Notes the newest message in view as read, if somebody looks. */
  readonly seen = (): void => {
    const view = this.view();
    if (document.visibilityState !== 'visible' || !document.hasFocus() || view.request) return;
    const { layout, scrollTop, viewport } = this.place;
    const { start, end } = layout.range(scrollTop, viewport - SEEN, 0);
    const row = view.rows.slice(start, end).findLast((one) => one.item === 'message' && !one.outgoing);
    if (row?.item !== 'message' || standsAt(row.message) <= this.#upTo) return;
    this.#upTo = standsAt(row.message);
    const listed = app.chats?.state?.rows.find((candidate) => candidate.chat === view.chat);
    if (!listed || listed.unread > 0 || listed.marked_unread) app.call('mark_read', { id: row.key }).catch(() => {});
  };

  #came(key: string): void {
    const before = this.#last;
    this.#last = key;
    const view = this.view();
    const row = view.rows.find((candidate) => candidate.key === key);
    if (before === null || before === key || row?.item !== 'message') return;
    if (row.outgoing) {
      if (Date.now() - standsAt(row.message) < JUST_NOW_MS) void this.place.stick();
    } else if (!view.has_newer) {
      app.announcement = t('announce_message', { name: nameOf(row.author, row.author.id), text: lineOf(plainText(row), 300) });
    }
  }
}
