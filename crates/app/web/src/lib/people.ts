/** Whom an account id means to the one who reads it. */

import { t } from '../i18n/i18n.svelte';
import { app } from './app.svelte';
import { withNames } from './mentions';
import { nameOf } from './names';
import { oneLine } from './text';

/** What somebody is called here; `null` if nobody knows them. */
export function whoIs(id: string): string | null {
  if (id === app.account?.account_id) return t('you');
  const row = app.chats?.state?.rows.find((candidate) => candidate.chat === id);
  return row && (row.nickname || row.name) ? nameOf(row, id) : null;
}

/** [`oneLine`], with the names of those who are mentioned. */
export function lineOf(text: string, longest?: number): string {
  return oneLine(withNames(text, whoIs), longest);
}
