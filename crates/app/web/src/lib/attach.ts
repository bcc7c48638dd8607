/** Files that were chosen, dropped or pasted: looked at before any of them is read, then handed over. */

import { i18n, t } from '../i18n/i18n.svelte';
import { app } from './app.svelte';
import type { ComposerState } from './contract';
import { size } from './dates';
import { oneLine } from './text';
import { uploads } from './uploads.svelte';

/** Puts files into the tray of a conversation; what cannot be sent is said. */
export function attach(chat: string, state: ComposerState | null, files: readonly File[]): void {
  if (!state || files.length === 0) return;
  const fits = files.filter((file) => {
    if (file.size <= state.largest_file) return true;
    app.say(t('files_too_large', { name: oneLine(file.name, 60), size: size(file.size, i18n.locale), limit: size(state.largest_file, i18n.locale) }), true);
    return false;
  });
  const room = Math.max(0, state.most_files - state.files.length - uploads.of(chat).filter((one) => !one.done).length);
  if (fits.length > room) app.say(t('files_too_many', { count: state.most_files }), true);
  uploads.add(chat, fits.slice(0, room));
}

/** What was dropped: files, but no folders. */
export function droppedFiles(data: DataTransfer): File[] {
  const items = [...data.items].filter((item) => item.kind === 'file');
  const folder = items.some((item) => item.webkitGetAsEntry()?.isDirectory);
  if (folder) app.say(t('files_no_folders'), true);
  return items.filter((item) => !item.webkitGetAsEntry()?.isDirectory).flatMap((item) => item.getAsFile() ?? []);
}

/** Whether files are being dragged, and not some text. */
export function dragsFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes('Files') ?? false;
}
