/** What can be done with a message, and its text as one would copy or hear it. */

import { t } from '../i18n/i18n.svelte';
import { app, type MenuItem, type MenuSpec } from '../lib/app.svelte';
import type { MessageRow } from '../lib/contract';
import type { Shown } from '../lib/files';
import { prefs } from '../lib/prefs.svelte';
import { fileMenu } from './fileacts';
import { wordFor } from './kinds';
import { noticeText } from './notice';

interface Where {
  x: number;
  y: number;
  name: string;
  peer: string;
  onreply: (row: MessageRow) => void;
  onedit: (row: MessageRow) => void;
  onopen: (shown: Shown) => void;
}

/** The emoji this account has put on a message. */
export function ownReactions(row: MessageRow): string[] {
  const me = app.account?.account_id ?? '';
  return (row.message.reactions ?? []).filter((reaction) => reaction.from.includes(me)).map((reaction) => reaction.emoji);
}

/** Puts a reaction on a message, or takes it off again. */
export function toggleReaction(row: MessageRow, emoji: string): void {
  const remove = ownReactions(row).includes(emoji);
  const reacted = app.call('react', { id: row.key, emoji, remove });
  void app.attempt(
    reacted.then(() => {
      if (!remove) prefs.used(emoji);
    }),
  );
}

/** What failed goes out once more, as a new message. */
export function sendAgain(row: MessageRow): void {
  void app.attempt(app.call('send_again', { id: row.key }));
}

export function messageMenu(row: MessageRow, where: Where): MenuSpec {
  const items: MenuItem[] = [];
  const { message } = row;
  if (row.can.reply) items.push({ label: t('act_reply'), icon: 'reply', act: () => where.onreply(row) });
  if (row.can.edit) items.push({ label: t('act_edit'), icon: 'edit', act: () => where.onedit(row) });
  if (message.text) items.push({ label: t('act_copy'), icon: 'copy', act: () => void app.copy(message.text, 'act_copied') });
  items.push(...fileMenu(row, where.onopen));
  items.push({ label: t('act_detail'), icon: 'info', act: () => (app.ask = { kind: 'detail', row, peer: where.name }) });
  if (message.state === 'failed') items.push({ label: t('act_send_again'), icon: 'send', act: () => sendAgain(row) });
  if (message.state === 'queued') {
    items.push({
      label: t('act_take_back'),
      icon: 'back',
      act: () => void app.attempt(app.call('take_back', { id: row.key })),
    });
  }
  items.push({ label: t('act_delete'), icon: 'trash', danger: true, act: () => (app.ask = { kind: 'delete', row }) });
  return {
    label: t('act_menu'),
    x: where.x,
    y: where.y,
    items,
    ...(row.can.react
      ? {
          react: {
            emoji: prefs.quick,
            chosen: ownReactions(row),
            pick: (emoji: string) => toggleReaction(row, emoji),
            more: () => (app.ask = { kind: 'react', row }),
          },
        }
      : {}),
  };
}

/** A message in plain words, for the live region and labels. */
export function plainText(row: MessageRow): string {
  const { message } = row;
  const notice = noticeText(row);
  if (notice !== null) return notice;
  if (message.text && message.attachments.length === 0) return message.text;
  if (message.invitation) return t('msg_invitation');
  const kind = row.files[0]?.kind ?? (message.attachments.length > 0 ? 'file' : null);
  const files = message.attachments.length > 1 ? t('msg_several', { count: message.attachments.length }) : t(wordFor(kind));
  return message.text ? `${files}. ${message.text}` : files;
}
