/** How people and chats are called on the screen. Names are chosen by strangers: they are cleaned first. */

import { i18n, t } from '../i18n/i18n.svelte';
import type { Timer } from './contract';
import { span } from './dates';
import { firstGraphemes, oneLine, shortId } from './text';

const LONGEST_NAME = 80;

interface Named {
  name: string | null;
  nickname?: string | null;
  is_self?: boolean;
}

/** A name, or what stands for one: never empty. */
export function nameOf(who: Named, id: string): string {
  if (who.is_self) return t('note_to_self');
  return oneLine(who.nickname ?? '', LONGEST_NAME) || oneLine(who.name ?? '', LONGEST_NAME) || shortId(id);
}

/** One or two letters for the picture of somebody without one; empty if they have no name. */
export function initials(name: string | null | undefined): string {
  const words = oneLine(name ?? '', LONGEST_NAME).split(' ').filter((word) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(word));
  const first = words[0];
  if (!first) return '';
  const letter = firstGraphemes(first, 1)[0] ?? '';
  const lastWord = words.slice(1).findLast((word) => /^\p{L}/u.test(word));
  const last = lastWord ? (firstGraphemes(lastWord, 1)[0] ?? '') : '';
  // Two letters only of alphabets that have capitals: in others one character is as wide as two.
  const both = letter + last;
  return both.toUpperCase() !== both.toLowerCase() ? both.toUpperCase() : letter;
}

/** Which of the colours somebody's picture has: the same wherever their id is known. */
export function hueOf(id: string): number {
  return parseInt(id.slice(2, 8) || '0', 16) % 8 || 0;
}

export function timerText(timer: Timer): string {
  if (timer.mode === 'off') return t('timer_off');
  const time = span(timer.seconds, i18n.locale);
  return timer.mode === 'after_read' ? t('timer_after_read_for', { time }) : t('timer_after_send_for', { time });
}
