/** What lies in front of what. Narrow screens show one pane at a time: there, panes do as well. */

import { app } from './app.svelte';
import type { Layer } from './back';
import { narrow } from './narrow.svelte';

/** From below to above, and how each is closed: as its own button does it. */
export function layers(): Layer[] {
  const open: Layer[] = [];
  if (app.phase === 'main' && narrow.current) open.push(...panes());
  if (app.ask) open.push({ close: () => (app.ask = null) });
  if (app.viewer) open.push({ close: () => (app.viewer = null) });
  if (app.menu) open.push({ close: () => (app.menu = null) });
  return open;
}

function panes(): Layer[] {
  const open: Layer[] = [];
  // The conversations are where one begins, and what one leaves from.
  if (app.section !== 'chats') open.push({ close: () => app.show('chats') });
  if (app.search.open) open.push({ close: () => (app.search.open = false) });
  if (app.section === 'settings') {
    if (app.settingsPage) open.push({ close: () => (app.settingsPage = null) });
  } else if (app.section === 'contacts') {
    if (app.contact) open.push({ close: () => (app.contact = null) });
  } else if (app.chat) open.push({ close: () => (app.chat = null) });
  return open;
}
