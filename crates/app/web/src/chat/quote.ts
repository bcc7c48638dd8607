/** What a message that another one answers says in its place, where it has no text. */

import { t } from '../i18n/i18n.svelte';
import type { MessageRow, TimelineRow } from '../lib/contract';
import { plainText } from './menu';

/** A message that is quoted, if it is among these rows. */
export function rowOf(rows: readonly TimelineRow[], id: string): MessageRow | null {
  const row = rows.find((one) => one.key === id);
  return row?.item === 'message' ? row : null;
}

/**
 * The words that stand for a quoted message without a text of its own; `null` if it has one, which is shown instead. Its text is
 * all that comes with a quote: what else it is, only its row says, as long as that is here.
 */
export function wordsFor(text: string | null, row: MessageRow | null): string | null {
  if (text === null) return t('msg_quote_missing');
  if (text !== '') return null;
  if (row === null) return t('msg_message');
  return row.message.kind === 'deleted' ? t('msg_quote_deleted') : plainText(row);
}
