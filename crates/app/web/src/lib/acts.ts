/** What can be done with a chat or a contact, wherever it is shown. */

import { t } from '../i18n/i18n.svelte';
import { app, type MenuItem } from './app.svelte';
import type { ChatRow } from './contract';

/** A time so far away that it means “until I unmute” (year 2100). */
export const FOREVER = Date.UTC(2100, 0, 1);

export function setBlocked(chat: string, blocked: boolean): Promise<unknown> {
  return app.attempt(app.call('set_blocked', { chat, blocked }));
}

export function askBlock(chat: string, name: string): void {
  app.ask = {
    kind: 'confirm',
    title: t('contact_block_title', { name }),
    text: t('contact_block_text'),
    go: t('contact_block'),
    act: async () => {
      await app.call('set_blocked', { chat, blocked: true });
    },
  };
}

export function askRemove(chat: string, name: string): void {
  app.ask = {
    kind: 'confirm',
    title: t('contact_remove_title', { name }),
    text: t('contact_remove_text'),
    go: t('contact_remove'),
    act: async () => {
      await app.call('remove_contact', { chat });
      if (app.chat === chat) app.chat = null;
      if (app.contact === chat) app.contact = null;
      app.say(t('contact_removed'));
    },
  };
}

/** Declining a request: who wrote is gone, and may ask again. */
export async function decline(chat: string): Promise<void> {
  await app.attempt(app.call('remove_contact', { chat }));
  if (app.chat === chat) app.chat = null;
  app.say(t('request_declined'));
}

/** The menu of a row in the list of chats. */
export function chatMenu(row: ChatRow, name: string): MenuItem[] {
  const items: MenuItem[] = [
    {
      label: t(row.pinned ? 'chat_unpin' : 'chat_pin'),
      icon: 'pin',
      act: () => void app.attempt(app.call('set_priority', { chat: row.chat, priority: row.pinned ? 0 : 1 })),
    },
    row.unread > 0 || row.marked_unread
      ? {
          label: t('chat_mark_read'),
          icon: 'check',
          act: () => {
            const done = row.last && row.unread > 0 ? app.call('mark_read', { id: row.last.id }) : app.call('set_unread', { chat: row.chat, unread: false });
            void app.attempt(done);
          },
        }
      : {
          label: t('chat_mark_unread'),
          icon: 'unread',
          act: () => void app.attempt(app.call('set_unread', { chat: row.chat, unread: true })),
        },
  ];
  if (!row.is_self) {
    items.push({
      label: t(row.muted ? 'chat_unmute' : 'chat_mute'),
      icon: 'mute',
      act: () => void app.attempt(app.call('set_muted', { chat: row.chat, until: row.muted ? null : FOREVER })),
    });
  }
  items.push({ label: t('gallery_title'), icon: 'picture', act: () => (app.ask = { kind: 'gallery', chat: row.chat, name }) });
  items.push({ label: t('chat_info'), icon: 'info', act: () => (app.ask = { kind: 'info', chat: row.chat }) });
  if (!row.is_self) {
    items.push(
      row.blocked
        ? { label: t('contact_unblock'), icon: 'block', act: () => void setBlocked(row.chat, false) }
        : { label: t('contact_block'), icon: 'block', danger: true, act: () => askBlock(row.chat, name) },
      { label: t('contact_remove'), icon: 'trash', danger: true, act: () => askRemove(row.chat, name) },
    );
  }
  return items;
}
