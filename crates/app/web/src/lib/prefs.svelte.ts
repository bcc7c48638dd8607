/**
 * What only concerns how the page looks in this browser: theme, language, emoji used often.
 * It says nothing about anybody, so it may stay in localStorage.
 */

import { bestLanguage, i18n, LANGUAGES, type Language } from '../i18n/i18n.svelte';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'conclave.look';
const OFTEN = ['👍', '❤️', '😂', '😮', '😢', '🙏'];
const MOST_RECENT = 24;

class Preferences {
  theme = $state<Theme>('system');
  language = $state<Language | null>(null);
  recent = $state.raw<string[]>([]);
  #dark = matchMedia('(prefers-color-scheme: dark)');

  constructor() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Record<string, unknown>;
      if (kept['theme'] === 'light' || kept['theme'] === 'dark') this.theme = kept['theme'];
      if (typeof kept['language'] === 'string' && kept['language'] in LANGUAGES) this.language = kept['language'] as Language;
      if (Array.isArray(kept['recent'])) {
        this.recent = kept['recent'].filter((e): e is string => typeof e === 'string' && e.length < 40).slice(0, MOST_RECENT);
      }
    } catch {
      // Unreadable: as if nothing had been kept.
    }
    this.#dark.addEventListener('change', () => this.#paint());
    this.#paint();
  }

  /** The six for a quick reaction: used lately first, filled up with the usual ones. */
  get quick(): string[] {
    return [...new Set([...this.recent, ...OFTEN])].slice(0, 6);
  }

  async start(): Promise<void> {
    await i18n.use(this.language ?? bestLanguage(navigator.languages));
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.#keep();
    this.#paint();
  }

  async setLanguage(language: Language | null): Promise<void> {
    this.language = language;
    this.#keep();
    await this.start();
  }

  used(emoji: string): void {
    this.recent = [emoji, ...this.recent.filter((e) => e !== emoji)].slice(0, MOST_RECENT);
    this.#keep();
  }

  #keep(): void {
    try {
      localStorage.setItem(KEY, JSON.stringify({ theme: this.theme, language: this.language, recent: this.recent }));
    } catch {
      // A browser that keeps nothing: it lasts as long as the tab.
    }
  }

  #paint(): void {
    document.documentElement.dataset['theme'] = this.theme === 'system' ? (this.#dark.matches ? 'dark' : 'light') : this.theme;
  }
}

export const prefs = new Preferences();
