/** Lines that are no texts: what they say. */

import { i18n, t, type Key } from '../i18n/i18n.svelte';
import type { MessageRow } from '../lib/contract';
import { span } from '../lib/dates';
import { nameOf } from '../lib/names';

export const NOTICE_ICONS: Record<string, string> = {
  timer_changed: 'timer',
  missed_call: 'phone',
  media_saved: 'file',
  screenshot: 'camera',
  accepted: 'check',
};

/** The words of a notice; `null` if the message is a text (or was one). */
export function noticeText(row: MessageRow): string | null {
  const { message, outgoing } = row;
  const kind = message.kind ?? 'text';
  if (kind === 'text') return null;
  if (kind === 'deleted') return t(outgoing ? 'msg_deleted_own' : 'msg_deleted');
  const name = nameOf(row.author, row.author.id);
  const say = (theirs: Key, mine: Key, values: Record<string, string> = {}) => t(outgoing ? mine : theirs, { name, ...values });
  if (kind === 'timer_changed') {
    const timer = message.timer;
    if (!timer || timer.mode === 'off') return say('notice_timer_off', 'notice_you_timer_off');
    const length = span(timer.seconds, i18n.locale);
    const when = t(timer.mode === 'after_read' ? 'notice_timer_after_read' : 'notice_timer_after_send', { time: length });
    return say('notice_timer_set', 'notice_you_timer_set', { time: when });
  }
  if (kind === 'missed_call') return say('notice_missed_call', 'notice_you_call');
  if (kind === 'media_saved') return say('notice_media_saved', 'notice_you_media_saved');
  if (kind === 'screenshot') return say('notice_screenshot', 'notice_you_screenshot');
  if (kind === 'accepted') return say('notice_accepted', 'notice_you_accepted');
  return t('notice_unknown');
}
