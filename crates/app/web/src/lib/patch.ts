/**
 * Applies what the server says has changed to the state of a view.
 *
 * A patch replaces top-level fields; lists of keyed rows come as what to put in and, if it changed, the order.
 * Rows that did not change stay the very same objects, so that the screen touches only what is different.
 */

export interface Keyed {
  key: string;
}

export interface RowsPatch {
  upsert?: Keyed[];
  order?: string[];
}

function isRowsPatch(value: unknown): value is RowsPatch {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && ('upsert' in value || 'order' in value);
}

/** Rows after a patch. A key of the order that nothing is known about is left out. */
export function patchRows(rows: readonly Keyed[], patch: RowsPatch): Keyed[] {
  const known = new Map(rows.map((row) => [row.key, row]));
  const order = patch.order ?? rows.map((row) => row.key);
  for (const row of patch.upsert ?? []) known.set(row.key, row);
  const result: Keyed[] = [];
  const used = new Set<string>();
  for (const key of order) {
    const row = known.get(key);
    if (!row || used.has(key)) continue;
    used.add(key);
    result.push(row);
  }
  return result;
}

/** The state after a patch: a new object, the old one is as it was. */
export function applyPatch<S extends object>(state: S, patch: Record<string, unknown>): S {
  const next = { ...state } as Record<string, unknown>;
  for (const [field, value] of Object.entries(patch)) {
    const before = next[field];
    next[field] = isRowsPatch(value) && (before === undefined || Array.isArray(before))
      ? patchRows((before as Keyed[] | undefined) ?? [], value)
      : value;
  }
  return next as S;
}
