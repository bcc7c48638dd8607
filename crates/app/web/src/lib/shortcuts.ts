/** Keys that work everywhere. Letters go by their place on the keyboard, since Alt changes what they write on some. */

import { app, type Section } from './app.svelte';

const SECTIONS: Section[] = ['chats', 'requests', 'contacts', 'settings'];

/** Whether keys typed here are text. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

export function focusComposer(): void {
  document.querySelector<HTMLElement>('[data-composer]')?.focus();
}

/** Does what a key stands for; `true` if it stood for something. */
export function onShortcut(event: KeyboardEvent): boolean {
  if (app.phase !== 'main' || app.ask || app.menu || app.viewer || event.isComposing) return false;
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && !event.altKey && event.code === 'KeyK') {
    app.openSearch();
    return true;
  }
  if (event.altKey && !command && !event.shiftKey) {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      app.step(event.key === 'ArrowDown' ? 1 : -1);
      return true;
    }
    const section = /^Digit([1-4])$/.exec(event.code)?.[1];
    if (section) {
      app.show(SECTIONS[Number(section) - 1] ?? 'chats');
      return true;
    }
    if (event.code === 'KeyN') {
      app.ask = { kind: 'new' };
      return true;
    }
    if (event.code === 'KeyL' && app.canLock) {
      void app.lock();
      return true;
    }
  }
  if (!command && !event.altKey && !isTyping(event.target)) {
    if (event.key === '?') {
      app.ask = { kind: 'keys' };
      return true;
    }
    if (event.key === '/') {
      app.openSearch();
      return true;
    }
    if (event.key === 'Escape') {
      focusComposer();
      return true;
    }
  }
  return false;
}
