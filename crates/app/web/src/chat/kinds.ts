/** What kinds of files look like and are called. */

import type { Key } from '../i18n/i18n.svelte';
import type { FileKind } from '../lib/contract';

export const FILE_ICONS: Record<FileKind, string> = { picture: 'picture', video: 'video', voice: 'voice', audio: 'audio', file: 'file' };

export const FILE_WORDS: Record<FileKind, Key> = { picture: 'msg_picture', video: 'msg_video', voice: 'msg_voice', audio: 'msg_audio', file: 'msg_file' };

/** What stands for a message without a text. That it is none does not make it a file. */
export const wordFor = (file: FileKind | null | undefined): Key => (file ? FILE_WORDS[file] : 'msg_message');

/** What a name ends with, as long as it is one: shown apart, so that a long name cannot hide it. */
export function endingOf(name: string): string {
  const ending = /\.([\p{L}\p{N}]{1,5})$/u.exec(name)?.[1];
  return ending ? ending.toUpperCase() : '';
}
