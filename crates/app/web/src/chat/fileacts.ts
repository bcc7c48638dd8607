/** What can be done with a file of a message, by how far it has come. */

import { t } from '../i18n/i18n.svelte';
import { app, type MenuItem } from '../lib/app.svelte';
import type { Attachment, FileLine, Message, MessageRow } from '../lib/contract';
import { cancelFile, fetchFile, filesOf, save, type Shown } from '../lib/files';
import { playing } from '../lib/playing.svelte';
import { oneLine } from '../lib/text';
import { FILE_WORDS } from './kinds';

/** Of one's own file, which is here while it is sent and also when that did not work. */
export function isHere(message: Message, place: number): boolean {
  const state = message.attachments[place]?.state;
  return state === 'here' || state === 'sending' || (state === 'failed' && message.outgoing === true);
}

/** Stops what is under way: a file that comes, or a message that waits for its files. */
export function stop(row: MessageRow, place: number): void {
  if (row.message.attachments[place]?.state === 'sending') void app.attempt(app.call('take_back', { id: row.key }));
  else cancelFile(row.key, place);
}

/** What a file is called. */
export function titleOf(shown: Shown): string {
  const file = shown.message.attachments[shown.place];
  const name = oneLine(file?.name ?? '', 120);
  return shown.kind === 'voice' || !name ? t(FILE_WORDS[shown.kind]) : name;
}

/** Why a file is not here. */
export function whyNot(file: Attachment, line: FileLine | undefined): string {
  if (line?.expired) return t('files_expired');
  return file.reason ? oneLine(file.reason, 200) : t('files_failed');
}

/** The files of a message in its menu: the same as by its buttons. */
export function fileMenu(row: MessageRow, open: (shown: Shown) => void): MenuItem[] {
  const all = filesOf(row.message);
  const first = all.find((one) => isHere(row.message, one.place));
  const items: MenuItem[] = [];
  if (first && (first.kind === 'picture' || first.kind === 'video')) items.push({ label: t('files_open'), icon: 'picture', act: () => open(first) });
  if (first && (first.kind === 'voice' || first.kind === 'audio')) items.push({ label: t('files_play'), icon: 'play', act: () => playing.toggle(row.key, first.place) });
  for (const one of all.slice(0, 4)) {
    const file = row.message.attachments[one.place]!;
    const name = titleOf(one);
    if (isHere(row.message, one.place)) items.push({ label: t('files_save', { name }), icon: 'download', act: () => save(row.key, one.place) });
    if (file.state === 'remote') items.push({ label: t('files_fetch', { name }), icon: 'download', act: () => fetchFile(row.key, one.place) });
    if (file.state === 'failed' && !row.outgoing) items.push({ label: t('files_again', { name }), icon: 'download', act: () => fetchFile(row.key, one.place) });
    if (file.state === 'fetching') items.push({ label: t('files_stop', { name }), icon: 'close', act: () => stop(row, one.place) });
  }
  return items;
}
