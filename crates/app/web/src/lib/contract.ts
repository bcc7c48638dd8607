/**
 * What the program says and takes: the calls and records every program can use, and the states of the page's screens.
 *
 * The types are made of the program's own (`npm run types`, `rpc.generated.ts`). Here stand shorter names for some, and
 * what only this door has: `app.*` and the acts of a screen. More keys may come than are known, and kinds that are
 * not: whoever reads these copes with both.
 */

import type {
  AccountInfo,
  Calls as ProgramCalls,
  Chats,
  Composer,
  Contacts,
  LinkPreview,
  Listed,
  Listing,
  Message,
  NetworkScreen,
  RecoveryWords,
  Requests,
  Row,
  SettingsScreen,
  Timeline,
} from './rpc.generated';

export type * from './rpc.generated';

export type Profiles = Listing;
export type ProfileInfo = Listed;
export type ChatsState = Chats;
export type RequestsState = Requests;
export type TimelineState = Timeline;
export type ComposerState = Composer;
export type ContactsState = Contacts;
export type SettingsState = SettingsScreen;
export type NetworkState = NetworkScreen;
export type TimelineRow = Row;
export type DayRow = Extract<Row, { item: 'day' }>;
export type UnreadRow = Extract<Row, { item: 'unread' }>;
export type MessageRow = Extract<Row, { item: 'message' }>;

/** The calls of this door alone. */
interface AppCalls {
  'app.profiles': { params: Record<string, never>; result: Profiles };
  'app.open': { params: { profile: string; passphrase?: string }; result: AccountInfo };
  'app.create': { params: { profile?: string; name?: string; passphrase?: string }; result: { account: AccountInfo } };
  'app.restore': { params: { profile?: string; phrase: string; name?: string; passphrase?: string }; result: { account: AccountInfo } };
  'app.phrase': { params: { passphrase?: string }; result: RecoveryWords };
}

/** Everything the page can ask for. */
export type Calls = ProgramCalls & AppCalls;

/** What can be asked of a screen that is open. */
export interface Acts {
  'view.older': { params: Record<string, never>; result: null };
  'view.newer': { params: Record<string, never>; result: null };
  'view.jump': { params: { message: string }; result: null };
  'composer.set': { params: { text: string }; result: null };
  'composer.reply': { params: { message: string | null }; result: null };
  'composer.edit': { params: { message: string | null }; result: null };
  'composer.preview': { params: { preview: LinkPreview | null }; result: null };
  'composer.detach': { params: { file: string }; result: null };
  'composer.as_file': { params: { file: string }; result: null };
  'composer.send_file': { params: { file: string }; result: Message };
  'composer.send': { params: Record<string, never>; result: Message | null };
}
