/**
 * The page's own state: which screen is shown, which chat is chosen, what is asked in a dialog.
 * All that is known about messages and people comes from the server's views.
 */

import { hasKey, t, type Key } from '../i18n/i18n.svelte';
import type { AccountInfo, Calls, MessageRow, Profiles } from './contract';
import { CallError, Connection, type Socket, type Wire } from './connection';
import { enter, forget, socketAddress } from './door';
import type { Shown } from './files';
import { narrow } from './narrow.svelte';
import { playing } from './playing.svelte';
import { uploads } from './uploads.svelte';
import { LiveView, Views } from './view.svelte';

export type Phase = 'entering' | 'no_entry' | 'welcome' | 'phrase' | 'choose' | 'unlock' | 'main';
export type Section = 'chats' | 'requests' | 'contacts' | 'settings';
export type SettingsPage = 'settings' | 'network';

/** What is asked in front of everything else. */
export type Ask =
  | { kind: 'new' }
  | { kind: 'keys' }
  | { kind: 'qr'; id: string; name: string }
  | { kind: 'link'; href: string; host: string; lookalike: boolean; plain: boolean }
  | { kind: 'detail'; row: MessageRow; peer: string }
  | { kind: 'delete'; row: MessageRow }
  | { kind: 'react'; row: MessageRow }
  | { kind: 'info'; chat: string }
  | { kind: 'gallery'; chat: string; name: string }
  | { kind: 'phrase' }
  | { kind: 'passphrase'; act: 'set' | 'change' | 'remove' }
  | { kind: 'confirm'; title: string; text: string; go: string; act: () => Promise<unknown> | void };

export interface MenuItem {
  label: string;
  icon: string;
  act: () => void;
  danger?: boolean;
}

export interface MenuSpec {
  label: string;
  x: number;
  y: number;
  items: MenuItem[];
  /** A row of quick reactions on top. */
  react?: { emoji: string[]; pick: (emoji: string) => void; more: () => void; chosen: string[] };
}

export interface Toast {
  id: number;
  text: string;
  fault: boolean;
}

const PROFILE_KEY = 'conclave.profile';
const TOAST_MS = 4_500;

class App {
  phase = $state<Phase>('entering');
  wire = $state<Wire>('connecting');
  /** The server was reached at least once with this tab's secret. */
  wasOpen = $state(false);
  profiles = $state.raw<Profiles | null>(null);
  /** The profile that is shown, or about to be unlocked. */
  profile = $state<string | null>(null);
  account = $state.raw<AccountInfo | null>(null);
  /** Where files are, as long as this connection lasts. */
  files = $state<string | null>(null);

  section = $state<Section>('chats');
  settingsPage = $state<SettingsPage | null>(null);
  chat = $state<string | null>(null);
  contact = $state<string | null>(null);
  /** A message the timeline is to show when it opens. */
  around = $state<string | null>(null);
  search = $state({ open: false, text: '', chat: null as string | null });

  ask = $state.raw<Ask | null>(null);
  menu = $state.raw<MenuSpec | null>(null);
  toasts = $state.raw<Toast[]>([]);
  /** Pictures and videos that fill the screen, and which of them is looked at. */
  viewer = $state.raw<{ items: Shown[]; at: number } | null>(null);
  /** Who wants to know what happens, beside the views. */
  readonly listeners = new Set<(event: Record<string, unknown>) => void>();
  /** What a screen reader is told. */
  announcement = $state('');

  chats = $state.raw<LiveView<'chats'> | null>(null);
  settings = $state.raw<LiveView<'settings'> | null>(null);

  readonly views = new Views();
  #connection: Connection | null = null;
  #toast = 1;

  // --- getting in ---

  async start(): Promise<void> {
    let secret: string | null;
    try {
      secret = await enter();
    } catch {
      this.wire = 'lost';
      this.phase = 'no_entry';
      return;
    }
    if (!secret) {
      this.wire = 'refused';
      this.phase = 'no_entry';
      return;
    }
    this.#connection = new Connection(
      secret,
      { wire: (state) => this.#wire(state), welcome: (files) => (this.files = files), notice: (method, params) => this.#notice(method, params) },
      () => new WebSocket(socketAddress()) as unknown as Socket,
    );
    this.views.connection = this.#connection;
    this.#connection.start();
  }

  retry(): void {
    this.#connection?.start();
  }

  call<M extends keyof Calls>(method: M, params?: Calls[M]['params']): Promise<Calls[M]['result']> {
    return this.#connection?.call<Calls[M]['result']>(method, params) ?? Promise.reject(new CallError('disconnected', ''));
  }

  #wire(state: Wire): void {
    this.wire = state;
    if (state !== 'open') this.views.lose();
    if (state === 'refused') {
      forget();
      this.#leave();
      this.phase = 'no_entry';
    }
    if (state === 'open') {
      this.wasOpen = true;
      void this.#arrive();
    }
  }

  /** Connected, for the first time or again: find the profile. */
  async #arrive(): Promise<void> {
    try {
      this.profiles = await this.call('app.profiles');
      const wanted = this.profile ?? sessionStorage.getItem(PROFILE_KEY);
      // An open profile without an account is one that was begun and not finished.
      const list = this.profiles.profiles.filter((profile) => profile.account_id !== null || profile.locked || !profile.open);
      const one = list.find((profile) => profile.name === wanted) ?? (list.length === 1 ? list[0] : undefined);
      // Words that were not written down yet, or a half-filled form, outlive a broken wire.
      if (this.phase === 'phrase' || this.phase === 'welcome') {
        if (this.profile) await this.call('app.open', { profile: this.profile });
        return;
      }
      if (one) await this.open(one.name);
      else this.phase = list.length === 0 ? 'welcome' : 'choose';
    } catch (error) {
      if (error instanceof CallError && error.kind === 'disconnected') return;
      this.fault(error);
      // One profile that cannot be opened does not shut out the others.
      if (this.phase === 'entering' && this.profiles) this.phase = 'choose';
    }
  }

  /** Shows a profile. Without the passphrase it may need, the lock screen comes first. */
  async open(profile: string, passphrase?: string): Promise<void> {
    this.profile = profile;
    try {
      const account = await this.call('app.open', passphrase === undefined ? { profile } : { profile, passphrase });
      const before = this.account;
      this.opened(account);
      if (before?.account_id === account.account_id && before.profile === account.profile && this.chats) this.views.reopen();
      else this.#views();
      this.phase = 'main';
    } catch (error) {
      if (error instanceof CallError && ['passphrase_needed', 'locked'].includes(error.kind) && passphrase === undefined) {
        this.#leave();
        this.phase = 'unlock';
        return;
      }
      if (error instanceof CallError && error.kind === 'no_account') {
        this.phase = 'welcome';
        return;
      }
      throw error;
    }
  }

  /** An account is there (opened, made or restored), though it may not be shown yet. */
  opened(account: AccountInfo): void {
    this.account = account;
    this.profile = account.profile;
    sessionStorage.setItem(PROFILE_KEY, account.profile);
    this.call('subscribe').catch(() => {});
  }

  /** After create or restore: into the main screen. */
  begin(): void {
    this.#views();
    this.phase = 'main';
  }

  #views(): void {
    this.#leave();
    this.chats = new LiveView(this.views, 'chats');
    this.settings = new LiveView(this.views, 'settings');
  }

  /** Forgets all that belongs to the profile that was shown. */
  #leave(): void {
    this.views.clear();
    this.chats = null;
    this.settings = null;
    this.chat = null;
    this.contact = null;
    this.around = null;
    this.section = 'chats';
    this.settingsPage = null;
    this.search = { open: false, text: '', chat: null };
    this.ask = null;
    this.menu = null;
    this.viewer = null;
    this.announcement = '';
    playing.stop();
    uploads.clear();
  }

  async choose(): Promise<void> {
    this.profiles = await this.call('app.profiles');
    this.#leave();
    this.account = null;
    this.profile = null;
    sessionStorage.removeItem(PROFILE_KEY);
    this.phase = 'choose';
  }

  async lock(): Promise<void> {
    try {
      await this.call('lock');
      this.#locked();
    } catch (error) {
      this.fault(error);
    }
  }

  #locked(): void {
    if (this.phase !== 'main') return;
    this.#leave();
    this.phase = 'unlock';
  }

  #notice(method: string, params: Record<string, unknown>): void {
    if (method === 'view') this.views.patch(params);
    if (method === 'event') {
      for (const listener of this.listeners) listener(params);
      if (params['event'] === 'locked') this.#locked();
      if (params['event'] === 'unlocked' && this.phase === 'unlock' && this.profile) {
        this.open(this.profile).catch(() => {});
      }
    }
  }

  // --- where the reader is ---

  get canLock(): boolean {
    return this.settings?.state?.has_passphrase ?? false;
  }

  show(section: Section): void {
    this.section = section;
    this.search.open = false;
    if (section === 'chats' || section === 'requests') this.contact = null;
    if (section !== 'settings') this.settingsPage = null;
  }

  openChat(chat: string, around: string | null = null): void {
    this.around = around;
    this.chat = chat;
    if (this.section !== 'chats' && this.section !== 'requests') this.section = 'chats';
  }

  openSearch(chat: string | null = null): void {
    this.search = { open: true, text: '', chat };
    if (this.section === 'settings') this.section = 'chats';
    // It is where the list is, which a conversation or a card lies in front of.
    if (narrow.current) this.chat = this.contact = null;
  }

  /** The next (1) or previous (-1) conversation in the list. */
  step(by: 1 | -1): void {
    const rows = this.chats?.state?.rows ?? [];
    if (rows.length === 0) return;
    const at = rows.findIndex((row) => row.chat === this.chat);
    const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
    if (next) {
      this.show('chats');
      this.openChat(next.chat);
    }
  }

  // --- what the reader is told ---

  say(text: string, fault = false): void {
    const toast = { id: this.#toast++, text, fault };
    this.toasts = [...this.toasts.slice(-2), toast];
    setTimeout(() => this.unsay(toast.id), TOAST_MS);
  }

  unsay(id: number): void {
    this.toasts = this.toasts.filter((toast) => toast.id !== id);
  }

  fault(error: unknown): void {
    this.say(faultText(error), true);
  }

  /** Does it, and says so when it does not work. */
  async attempt<T>(act: Promise<T>): Promise<T | undefined> {
    try {
      return await act;
    } catch (error) {
      this.fault(error);
      return undefined;
    }
  }

  async copy(text: string, said: Key = 'copied'): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.say(t(said));
    } catch {
      this.say(t('error_unknown_silent'), true);
    }
  }
}

/** An error in the reader's language, or in the server's words where there are none. */
export function faultText(error: unknown): string {
  if (error instanceof CallError) {
    const key = `error_${error.kind}`;
    if (hasKey(key) && error.kind !== 'unknown') return t(key);
    if (error.message) return t('error_unknown', { message: error.message });
  }
  return t('error_unknown_silent');
}

export const app = new App();
