/** What keys do in a timeline: arrows go from message to message, letters act on the one that has the keyboard. */

import { app } from '../lib/app.svelte';
import type { MessageRow, TimelineRow } from '../lib/contract';

export interface Hands {
  rows: () => TimelineRow[];
  /** Gives a message the keyboard. */
  focus: (key: string) => void;
  newest: () => Promise<void>;
  menu: (row: MessageRow, x: number, y: number) => void;
  reply: (row: MessageRow) => void;
  edit: (row: MessageRow) => void;
  /** What the conversation is called. */
  name: () => string;
}

/** A page of messages. */
const PAGE = 8;

export function timelineKeys(hands: Hands): (event: KeyboardEvent) => void {
  const messages = () => hands.rows().filter((row) => row.item === 'message');

  function step(from: string | null, by: number): void {
    const keys = messages().map((row) => row.key);
    const at = from === null ? keys.length : keys.indexOf(from);
    const next = keys[Math.max(0, Math.min(keys.length - 1, at + by))];
    if (next) hands.focus(next);
  }

  async function last(): Promise<void> {
    await hands.newest();
    const key = messages().at(-1)?.key;
    if (key) hands.focus(key);
  }

  function moves(key: string | null): Record<string, () => void> {
    return {
      ArrowUp: () => step(key, -1),
      ArrowDown: () => step(key, 1),
      PageUp: () => step(key, -PAGE),
      PageDown: () => step(key, PAGE),
      Home: () => step(messages()[0]?.key ?? null, 0),
      End: () => void last(),
    };
  }

  function acts(row: MessageRow, element: HTMLElement, shift: boolean): Record<string, () => void> {
    const menu = () => {
      const box = (element.querySelector('.bubble') ?? element).getBoundingClientRect();
      hands.menu(row, box.left + 12, Math.min(box.bottom, innerHeight - 120));
    };
    return {
      Enter: menu,
      ContextMenu: menu,
      ' ': menu,
      ...(shift ? { F10: menu } : {}),
      ...(row.can.reply ? { r: () => hands.reply(row) } : {}),
      ...(row.can.react ? { e: () => void (app.ask = { kind: 'react', row }) } : {}),
      ...(row.can.edit ? { w: () => hands.edit(row) } : {}),
      Delete: () => void (app.ask = { kind: 'delete', row }),
      i: () => void (app.ask = { kind: 'detail', row, peer: hands.name() }),
      c: () => void app.copy(row.message.text, 'act_copied'),
    };
  }

  return (event) => {
    const target = event.target as HTMLElement;
    const element = target.closest<HTMLElement>('[data-message]');
    const key = element?.dataset['message'] ?? null;
    const row = messages().find((candidate) => candidate.key === key);
    const on = target === element && row ? row : null;
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (on && !event.altKey && event.code === 'KeyC' && !getSelection()?.toString()) {
        event.preventDefault();
        void app.copy(on.message.text, 'act_copied');
      }
      return;
    }
    const act = { ...moves(key), ...(on && element ? acts(on, element, event.shiftKey) : {}) }[event.key];
    if (!act || (!on && target !== event.currentTarget)) return;
    event.preventDefault();
    act();
  };
}
