// Made by `npm run types` of docs/openrpc.json and docs/app.json, which are made of the Rust types. Not to be edited.

/** Who an account is: the line of `account create`, `restore` and `show`. */
export interface AccountInfo {
  /** The account id, 66 hex digits. */
  account_id: string;
  /** The display name. */
  name: string;
  /** The network the profile belongs to; `null` if it was made without one. */
  network_id?: string;
  /** The account's profile picture is here: `picture` gives it. The text is another one for each picture. */
  picture?: string;
  /** The profile it lives in. */
  profile: string;
}

/** A message that is being answered. */
export interface Answered {
  /** Who wrote it. */
  author: Person;
  /** Its id. */
  id: MessageId;
  /** Its beginning; `null` if it is not here any more. */
  text: string | null;
}

/** A file of a message. */
export interface Attachment {
  /** What its sender says about it. */
  caption?: string;
  /** Its MIME type, as its sender says. */
  content_type?: string;
  /** Of a voice message that was sent from this device: how long it is, in milliseconds. */
  duration_ms?: number;
  /** And how high. */
  height?: number;
  /** The name its sender gave it; `null` if none. */
  name: string | null;
  /** Where it lies on this machine; `null` until it does. */
  path: string | null;
  /** Why it could not be fetched, or sent, at the last attempt. */
  reason?: string;
  /** Bytes, as its sender says. */
  size: number;
  /** How far it has come. */
  state: AttachmentState;
  /** It is a voice message. */
  voice?: boolean;
  /** Of a picture or a video: how wide it is in pixels, as its sender says. */
  width?: number;
}

/** How far a file has come. */
export type AttachmentState = "remote" | "fetching" | "here" | "sending" | "failed";

/** What can be done with a message. */
export interface Can {
  /** Take it back from everybody. */
  delete_everywhere: boolean;
  /** Replace its text. */
  edit: boolean;
  /** React to it. */
  react: boolean;
  /** Answer it. */
  reply: boolean;
}

/** A conversation in a list. */
export interface ChatRow {
  /** Its owner wants nothing from them. */
  blocked: boolean;
  /** The other side's account id. */
  chat: string;
  /** The beginning of what its owner has begun to write, on one line. */
  draft: string | null;
  /** The notes to oneself. */
  is_self: boolean;
  /** The chat's id. */
  key: string;
  /** The newest message. */
  last: LastMessage | null;
  /** Its owner marked it as unread. */
  marked_unread: boolean;
  /** Nothing is notified of it at present. */
  muted: boolean;
  /** What the other side calls itself; `null` if that is not known. */
  name: string | null;
  /** What its owner calls it. */
  nickname: string | null;
  /** The other side's profile picture is here; another text for each picture. */
  picture: string | null;
  /** It stands above those that are not. */
  pinned: boolean;
  /** How new messages disappear. */
  timer: Timer;
  /** The other side is typing. */
  typing: boolean;
  /** Messages to read. */
  unread: number;
}

/** One line of the chat list: `{"event":"chat",…}`. */
export interface ChatSummary {
  /** The owner wants nothing from them. */
  blocked?: boolean;
  /** The chat's id: the other side's account id. */
  chat: string;
  /** What its owner has begun to write on this device; of a long one, the beginning. */
  draft?: Draft;
  /** The notes to oneself. */
  is_self?: boolean;
  /** The newest message; of one that is very large the beginning, with one file at most. */
  last: Message | null;
  /** The owner marked it as unread. */
  marked_unread?: boolean;
  /** How many messages it holds here. */
  messages: number;
  /** Nothing is notified until then, milliseconds since the epoch. */
  muted_until?: number;
  /** The name the other side gives itself, if known. */
  name: string | null;
  /** What its owner calls the other side. */
  nickname?: string;
  /** The other side's profile picture is here: `picture` gives it. The text is another one for each picture. */
  picture?: string;
  /** It stands above those that are not. */
  pinned?: boolean;
  /** Somebody this account has neither written to nor accepted. */
  request?: boolean;
  /** How new messages disappear. */
  timer?: Timer;
  /** How many of them have not been read. */
  unread: number;
}

/** What the list of conversations shows. */
export interface Chats {
  /** The rows are what the database holds; not so before it was read, and while the profile is locked. */
  loaded: boolean;
  /** Requests nobody has looked at. */
  requests: number;
  /** Pinned ones first, then the newest. */
  rows: ChatRow[];
  /** Messages to read in conversations that are not muted; one that is only marked as unread counts one. */
  unread: number;
}

/** What the composer shows. */
export interface Composer {
  /** How many characters the text has. */
  characters: number;
  /** The other side's account id. */
  chat: string;
  /** What it replaces. */
  editing: Edited | null;
  /** Files that go with it, in their order. Not while something is edited. */
  files: TrayFile[];
  /** The largest file that can be sent, in bytes. */
  largest_file: number;
  /** How many it may have. */
  limit: number;
  /** A link in it that a preview could be made of. Nobody is asked for one unless its writer wants it. */
  link: Link | null;
  /** It can be sent. */
  may_send: boolean;
  /** How many files it may have. */
  most_files: number;
  /** The preview that goes with it. */
  preview: LinkPreview | null;
  /** What it answers. */
  reply_to: Answered | null;
  /** The text. */
  text: string;
  /** Why not. */
  why_not: WhyNot | null;
}

/** Somebody known: `{"event":"contact",…}`. */
export interface ContactInfo {
  /** Their account id. */
  account_id: string;
  /** One has written to them or accepted their request. */
  approved: boolean;
  /** They have written, or accepted a request. */
  approved_me: boolean;
  /** One wants nothing from them. */
  blocked?: boolean;
  /** What they call themselves. */
  name: string | null;
  /** What one calls them. */
  nickname: string | null;
  /** Their profile picture is here: `picture` gives it. The text is another one for each picture. */
  picture?: string;
}

/** Somebody known. */
export interface ContactRow {
  /** Their account id. */
  account_id: string;
  /** One has written to them or accepted their request. */
  approved: boolean;
  /** They have written, or accepted a request. */
  approved_me: boolean;
  /** One wants nothing from them. */
  blocked?: boolean;
  /** The account id. */
  key: string;
  /** What they call themselves. */
  name: string | null;
  /** What one calls them. */
  nickname: string | null;
  /** Their profile picture is here: `picture` gives it. The text is another one for each picture. */
  picture?: string;
}

/** What the list of contacts shows. */
export interface Contacts {
  /** The rows are what the database holds; not so before it was read, and while the profile is locked. */
  loaded: boolean;
  /** By what one calls them; those without a name last, blocked ones after all others. */
  rows: ContactRow[];
}

/** A message is gone: deleted, or disappeared. `{"event":"deleted",…}` */
export interface Deleted {
  /** Its chat. */
  chat: string;
  /** Which. */
  id: MessageId;
}

/** How far a message is taken back. */
export type Deletion = "this_device" | "my_devices" | "everywhere";

/** What its owner has begun to write in a chat. */
export interface Draft {
  /** The message it answers. */
  reply_to?: MessageId;
  /** The text; at most 64 KiB. */
  text: string;
}

/** A message that is being edited. */
export interface Edited {
  /** Its id. */
  id: MessageId;
  /** What it says now. */
  text: string;
}

/** An error as scripts and other processes get it. */
export interface ErrorRecord {
  /** What kind of failure it is. */
  exit: ExitClass;
  /** The next step. */
  hint: string;
  /** A short name for programs; they stay. */
  kind: string;
  /** What happened. */
  message: string;
}

/** Something that happened in a profile; `event` says what. */
export type Event = Message | {
  /** When it came to this device, milliseconds since the epoch; there only where it claims to have been sent more than a minute later than that. Then it stands where it came. */
  arrived_at?: number;
  /** Files, in their order. */
  attachments: Attachment[];
  /** The chat it belongs to: the other side's account id, or one's own for notes to oneself. */
  chat: string;
  /** When its text was last edited, milliseconds since the epoch. */
  edited_at?: number;
  /** When it disappears, milliseconds since the epoch, once that is known. */
  expires_at?: number;
  /** The account id of its author. */
  from: string;
  /** The author's name for themself, if the message came with one. */
  from_name?: string;
  /** This account's own name for the author, if they have one. */
  from_nickname?: string;
  /** The same on all devices. */
  id: MessageId;
  /** A community its author invites to. */
  invitation?: Invitation;
  /** What it is; absent for texts. */
  kind?: MessageKind;
  /** Written by this account, on this device or another. */
  outgoing?: boolean;
  /** What a link in it leads to, as its author's program saw it. */
  preview?: LinkPreview;
  /** Reactions, in the order they were first used. */
  reactions?: ReactionInfo[];
  /** What it answers. */
  reply_to?: Quote;
  /** From somebody this account has neither written to nor accepted. */
  request?: boolean;
  /** Milliseconds since the Unix epoch, network time, as its author's client says. */
  sent_at: number;
  /** For messages of this account: how far it has come. Absent for others'. */
  state?: MessageState;
  /** What it says. */
  text: string;
  /** How it disappears; of a notice about the timer, the new one. */
  timer?: Timer;
} | Deleted | StateChange | FileProgress | Typing | {
  /** Which. */
  chat: string;
  event: "chat_changed";
} | {
  event: "profile_changed";
} | {
  event: "locked";
} | {
  event: "unlocked";
} | {
  event: "missed";
};

/** What kind of failure it is, as far as a script cares. */
export type ExitClass = "failed" | "usage" | "unreachable";

/** What a full round over the own swarm brought. */
export interface FetchReport {
  /** Those that answered. */
  answered: number;
  /** Members of the own swarm by the node list. */
  members: number;
  /** Messages that were new. */
  new_messages: number;
}

/** What a file is shown as, by what its sender says it is: whoever shows it looks for themself. */
export type FileKind = "picture" | "video" | "voice" | "audio" | "file";

/** A file of a message, beside what the message itself says of it. */
export interface FileLine {
  /** It is not on this machine, and older than nodes keep files. */
  expired: boolean;
  /** What it is shown as. */
  kind: FileKind;
  /** How far it has come, while it is moved. */
  moved: Moved | null;
  /** It may be fetched as soon as somebody looks at it: a small picture or sound of a contact. Others are fetched when their reader wants them. */
  unasked: boolean;
}

/** A file came further: `{"event":"file_progress",…}`. Some times a second at most; the message says when it is there. */
export interface FileProgress {
  /** Encrypted bytes that have been moved. */
  done: number;
  /** The message. */
  id: MessageId;
  /** Which of its files, from 0. */
  place: number;
  /** Encrypted bytes in all. */
  total: number;
}

/** A message that was looked for. */
export interface Hit {
  /** What to mark in its text: begin and end, in bytes, in order. Empty if it was found by something else than its text. */
  marks: [number, number][];
  /** The message. */
  message: Message;
}

/** An invitation to a community. */
export interface Invitation {
  /** The room's name. */
  name: string;
  /** The address to join at, with the server's public key. */
  url: string;
}

/** The newest message of a conversation, as a list shows it. */
export interface LastMessage {
  /** What its first file is, if it has any. */
  file: FileKind | null;
  /** Its id. */
  id: MessageId;
  /** What it is. */
  kind: MessageKind;
  /** Written by this account. */
  outgoing: boolean;
  /** The time by which it stands in its conversation, milliseconds since the epoch. */
  stands_at: number;
  /** How far it has come, if it was. */
  state: MessageState | null;
  /** Its beginning on one line, at most 200 characters. */
  text: string;
}

/** A link that a preview could be made of. */
export interface Link {
  /** Whose site it is: it sees who asks for a preview. */
  host: string;
  /** The link. */
  url: string;
}

/** What a link leads to. */
export interface LinkPreview {
  /** The title of the page. */
  title?: string;
  /** The address; it stands in the text, too. */
  url: string;
}

/** A profile in the list. */
export interface Listed {
  /** Whose it is; `null` where that is not known: it is locked, or empty. */
  account_id: string | null;
  /** What they call themselves. */
  display_name: string | null;
  /** It is open, and locked. */
  locked: boolean;
  /** What its directory is called. */
  name: string;
  /** A passphrase protects it. */
  needs_passphrase: boolean;
  /** This process shows it. */
  open: boolean;
}

/** The answer of `app.profiles`. */
export interface Listing {
  /** The network of new profiles. */
  network_id: string | null;
  /** Every profile of the data directory. */
  profiles: Listed[];
  /** Of the program. */
  version: string;
}

/** One message of a chat, sent or received: `{"event":"message",…}`. */
export interface Message {
  /** When it came to this device, milliseconds since the epoch; there only where it claims to have been sent more than a minute later than that. Then it stands where it came. */
  arrived_at?: number;
  /** Files, in their order. */
  attachments: Attachment[];
  /** The chat it belongs to: the other side's account id, or one's own for notes to oneself. */
  chat: string;
  /** When its text was last edited, milliseconds since the epoch. */
  edited_at?: number;
  /** When it disappears, milliseconds since the epoch, once that is known. */
  expires_at?: number;
  /** The account id of its author. */
  from: string;
  /** The author's name for themself, if the message came with one. */
  from_name?: string;
  /** This account's own name for the author, if they have one. */
  from_nickname?: string;
  /** The same on all devices. */
  id: MessageId;
  /** A community its author invites to. */
  invitation?: Invitation;
  /** What it is; absent for texts. */
  kind?: MessageKind;
  /** Written by this account, on this device or another. */
  outgoing?: boolean;
  /** What a link in it leads to, as its author's program saw it. */
  preview?: LinkPreview;
  /** Reactions, in the order they were first used. */
  reactions?: ReactionInfo[];
  /** What it answers. */
  reply_to?: Quote;
  /** From somebody this account has neither written to nor accepted. */
  request?: boolean;
  /** Milliseconds since the Unix epoch, network time, as its author's client says. */
  sent_at: number;
  /** For messages of this account: how far it has come. Absent for others'. */
  state?: MessageState;
  /** What it says. */
  text: string;
  /** How it disappears; of a notice about the timer, the new one. */
  timer?: Timer;
}

/** The name of a message, the same on every device of every participant: derived from its author and sent timestamp (client-messages 0, rule 2). */
export type MessageId = string;

/** What a line of a chat is. */
export type MessageKind = "text" | "timer_changed" | "missed_call" | "media_saved" | "screenshot" | "accepted" | "deleted";

/** A message with what a reader sees around it. */
export interface MessageRow {
  /** Who wrote it. */
  author: Person;
  /** The first of its author's in a row. */
  begins_group: boolean;
  /** What its reader can do with it. */
  can: Can;
  /** The last of them. */
  ends_group: boolean;
  /** Its files, in the order of the message's. */
  files: FileLine[];
  /** The id of the message. */
  key: string;
  /** The message. */
  message: Message;
  /** Written by this account. */
  outgoing: boolean;
  /** What it answers. */
  quote: QuoteLine | null;
  /** Why it could not be sent. */
  reason: string | null;
  /** How many members of the swarm signed for it, if that is known. */
  signed: number | null;
  /** How many members the swarm has. */
  swarm: number | null;
}

/** How far a message that was sent from this account has come. Never shown further than it is. */
export type MessageState = "queued" | "failed" | "stored_weakly" | "stored" | "delivered" | "read";

/** Encrypted bytes of a file. */
export interface Moved {
  /** That have been moved. */
  done: number;
  /** In all. */
  total: number;
}

/** What the network view shows. */
export interface NetworkScreen {
  /** The nodes on the paths in use. */
  nodes: NodeRow[];
  /** The status as the SDK gives it. */
  status: Status;
}

/** A file to be sent. It is copied, encrypted, before the call returns. */
export interface NewAttachment {
  /** It is sent as it is. Else pictures are sent without what they say of who took them (places, times, cameras). */
  as_file?: boolean;
  /** What is said about it. */
  caption?: string;
  /** Its MIME type; else what its name suggests. */
  content_type?: string;
  /** What it is to be called; else as it is called on this machine. */
  name?: string;
  /** Where it is on this machine. */
  path: string;
  /** What lies there is encrypted: kept aside by a program that was handed the file piece by piece. */
  sealed?: Sealed;
  /** It is a voice message: MP3 and AAC in MP4 are sent without what they say beside the sound, other recordings become MP3. */
  voice?: boolean;
}

/** A message somebody wants to send. */
export interface NewMessage {
  /** Files, at most 32. */
  attachments?: NewAttachment[];
  /** A community to invite to. */
  invitation?: Invitation;
  /** What a link in the text leads to. Making one is the caller's part: it shows the site the owner's address. */
  preview?: LinkPreview;
  /** What it answers. */
  reply_to?: MessageId;
  /** What it says; at most 2,000 characters. Empty only with an invitation or with files. */
  text?: string;
  /** An account id, the name of a contact, or `me`. */
  to: string;
}

/** A node on a path. */
export interface NodeRow {
  /** It is the first hop: the only one that sees this machine's address. */
  guard: boolean;
  /** Where it stands on its path, from the guard (0) on. */
  hop: number;
  /** Its Ed25519 key, hex. */
  key: string;
  /** How many of the paths in use pass it. */
  paths: number;
}

/** Where the encrypted bytes of a file lie on this machine, and what opens them. */
export interface OpenedFile {
  /** Its MIME type, as its sender says. */
  content_type?: string;
  /** Of the older format: the SHA-256 of all encrypted bytes, in hex. */
  digest?: string;
  /** What opens them, in hex: of 64 bytes in the older format, of 32 in the newer. */
  key: Secret;
  /** The name its sender gave it. */
  name?: string;
  /** The encrypted bytes. */
  path: string;
  /** Bytes of the content. */
  size: number;
}

/** Somebody who writes. */
export interface Person {
  /** Their account id. */
  id: string;
  /** What one calls them, or what they call themselves; `null` if neither is known. */
  name: string | null;
}

/** A profile picture, made for whoever looks at it: no bytes of whoever sent it are in it, only what they look like. */
export interface PictureContent {
  /** `image/jpeg` or `image/png`. */
  content_type: string;
  /** The picture, in base64. */
  data: string;
  /** Pixels. */
  height: number;
  /** Pixels. */
  width: number;
}

/** A message that another one answers. It may not be here. */
export interface Quote {
  /** The account id of its author. */
  from: string;
  /** Its id. */
  id: MessageId;
}

/** The message that another one answers. */
export interface QuoteLine {
  /** Who wrote it. */
  author: Person;
  /** Its id. */
  id: MessageId;
  /** Its beginning; `null` if it is not here. */
  text: string | null;
}

/** Who reacted with the same emoji. */
export interface ReactionInfo {
  /** The emoji. */
  emoji: string;
  /** The account ids. */
  from: string[];
}

/** The words of a recovery phrase. */
export interface RecoveryWords {
  /** Thirteen words. */
  words: Secret;
}

/** What the list of requests shows. */
export interface Requests {
  /** As `Chats::loaded`. */
  loaded: boolean;
  /** The newest first. */
  rows: ChatRow[];
}

/** Whom a text means. */
export interface Resolved {
  /** The account id, 66 hex digits. */
  account_id: string;
}

/** A row of a timeline. Its key stays the same for as long as the row is there. */
export type Row = {
  /** `2026-11-29`, where the reader is. */
  day: string;
  item: "day";
  /** The row's name. */
  key: string;
} | {
  /** How many there were then. */
  count: number;
  item: "unread";
  /** The row's name. */
  key: string;
} | MessageRow & {
  item: "message";
};

/** What opens a file that was kept aside (in Rust: `StagedFile`). */
export interface Sealed {
  /** The key, 32 bytes in hex. */
  key: Secret;
  /** Bytes of the content. */
  size: number;
}

/** What to look for in all messages. All that is given has to hold; at least a word, a chat, an author or a kind has to be given. */
export interface Search {
  /** Go on where an earlier page ended (`SearchResult::next`). */
  after?: SearchCursor;
  /** Only by this author, named as a chat is. */
  author?: string;
  /** Only in this chat: an account id, the name of a contact, or `me`. */
  chat?: string;
  /** Not sent before this time, milliseconds since the epoch. */
  from?: number;
  /** Only messages that hold this. */
  kind?: SearchKind;
  /** At most so many hits, and never more than 1,000; 0 is 50. */
  limit?: number;
  /** Words, in any order; the last may be a beginning. Nothing in it is syntax. At most 1,024 bytes. */
  text?: string;
  /** Not sent after this time, milliseconds since the epoch. */
  to?: number;
}

/** Where a page of hits ended. Stays of use when messages come or go. */
export type SearchCursor = string;

/** What a message holds, for searching. One message can hold several kinds. */
export type SearchKind = "text" | "link" | "file" | "picture" | "video" | "voice" | "invitation";

/** A page of what was found. */
export interface SearchResult {
  /** Newest first. */
  hits: Hit[];
  /** Old messages are still being indexed: some may be missing. */
  incomplete: boolean;
  /** With this the next page begins; `null` after the last. */
  next: SearchCursor | null;
}

/** Something that is not printed, and wiped when it is of no use any more. */
export type Secret = string;

/** What `wait_for` found out about a sent message. */
export interface SentState {
  /** Its chat. */
  chat: string;
  /** The message. */
  id: MessageId;
  /** Of a failure: why. */
  reason: string | null;
  /** Verified signatures of the recipient's swarm. */
  signed: number | null;
  /** How far it has come. */
  state: MessageState;
  /** Size of the recipient's swarm by the node list. */
  swarm: number | null;
}

/** What this device tells others, and what it asks for. Unknown keys of a newer version are dropped when changed here. */
export interface Settings {
  /** Lock the profile when nobody has asked for anything for so many seconds (some seconds later at most). `None`, or 0: never. Of no effect without a passphrase. */
  auto_lock: number | null;
  /** Tell contacts whose programs ask for it that their messages have arrived, and ask for it. On: without it, nobody knows more than that the swarm has a message. */
  delivery_receipts: boolean;
  /** `HOST:PORT` of a SOCKS5 proxy that link previews are looked up through. `None`: the site sees this machine's address. */
  preview_proxy: string | null;
  /** Tell contacts that their messages were read, and show when they say so. Off: peers' programs do it that way. */
  read_receipts: boolean;
  /** Tell contacts that one is typing, and show when they do. Off, as with peers. */
  typing: boolean;
}

/** What is to be different in the `Settings`; what is `None` stays. */
export interface SettingsChange {
  /** `Settings::auto_lock`; 0: never. */
  auto_lock?: number;
  /** `Settings::delivery_receipts` */
  delivery_receipts?: boolean;
  /** `Settings::preview_proxy`; empty: none. */
  preview_proxy?: string;
  /** `Settings::read_receipts` */
  read_receipts?: boolean;
  /** `Settings::typing` */
  typing?: boolean;
}

/** What the settings show. Both are `null` while the profile is locked. */
export interface SettingsScreen {
  /** Who this is. */
  account: AccountInfo | null;
  /** A passphrase protects the profile: it can be locked. */
  has_passphrase: boolean;
  /** What this device tells others, and what it asks for. */
  settings: Settings | null;
}

/** A message of this account came further: `{"event":"state",…}`. */
export interface StateChange {
  /** Its chat. */
  chat: string;
  /** Which message. */
  id: MessageId;
  /** Of a failure: why, and what happens next. */
  reason?: string;
  /** How many members of the recipient's swarm signed for it, every signature verified. */
  signed?: number;
  /** What is true of it now. */
  state: MessageState;
  /** How many members the swarm has by the node list. */
  swarm?: number;
}

/** `{"event":"status",…}`: how the profile stands with the network. */
export interface Status {
  /** Bytes of the answers to them. */
  bytes_received: number;
  /** Bytes of requests to guards since the owner started, without what QUIC or TLS adds. */
  bytes_sent: number;
  /** Network time minus this machine's time, milliseconds. */
  clock_offset_ms: number;
  /** The Ed25519 key (hex) of the first hop in use. */
  guard: string | null;
  /** Bytes of the largest file that the network takes. */
  largest_file: number;
  /** When a node last answered, milliseconds since the epoch (network time); `null` if none has yet. */
  last_contact: number | null;
  /** The profile is locked; nothing else of this is known then. */
  locked?: boolean;
  /** The network of the profile; `null` if it has none. */
  network_id: string | null;
  /** Nodes in the list in use. */
  nodes: number;
  /** The onion paths in use, each from the guard on, Ed25519 keys in hex. */
  paths: string[][];
  /** Messages no majority has signed for yet. */
  queued: number;
  /** The last failure to reach the network, if the last attempt failed. */
  trouble?: string;
}

/** What a conversation shows. */
export interface Timeline {
  /** They have written, or accepted a request. */
  approved_me: boolean;
  /** Its owner wants nothing from them. */
  blocked: boolean;
  /** The other side's account id. */
  chat: string;
  /** There are messages after the last row. */
  has_newer: boolean;
  /** There are messages before the first row. */
  has_older: boolean;
  /** The notes to oneself. */
  is_self: boolean;
  /** The rows are what the database holds; not so while the profile is locked. */
  loaded: boolean;
  /** Nothing is notified until then, milliseconds since the epoch. */
  muted_until: number | null;
  /** What the other side calls itself. */
  name: string | null;
  /** What its owner calls it. */
  nickname: string | null;
  /** It stands above those that are not. */
  pinned: boolean;
  /** A stranger's, not accepted yet. */
  request: boolean;
  /** Oldest first. */
  rows: Row[];
  /** How new messages disappear. */
  timer: Timer;
  /** The other side is typing. */
  typing: boolean;
}

/** How messages of a chat disappear. */
export type Timer = {
  mode: "off";
} | {
  mode: "after_read";
  seconds: number;
} | {
  mode: "after_send";
  seconds: number;
};

/** A file in the tray, as the composer shows it. */
export interface TrayFile {
  /** It is sent as it is, also if it is a picture that says who took it. */
  as_file: boolean;
  /** Its MIME type, as whoever handed it over says. */
  content_type: string | null;
  /** Why it could not be sent, by the kind of the error; it goes with the next message. */
  failed: string | null;
  /** It is being encrypted: the message it belongs to is sent. */
  going: boolean;
  /** Its name here. */
  id: string;
  /** What it is shown as. */
  kind: FileKind;
  /** What it is called. */
  name: string | null;
  /** Bytes. */
  size: number;
}

/** Somebody types, or has stopped: `{"event":"typing",…}`. Worth showing for 15 seconds at most (client-messages 4.8). */
export interface Typing {
  /** In which chat. */
  chat: string;
  /** They began; else they stopped. */
  typing: boolean;
}

/** Why something cannot be sent. */
export type WhyNot = "empty" | "too_long" | "blocked" | "unchanged" | "too_late";

/** Every call a program can make: what it takes and gives. */
export interface Calls {
  /** Who this account is. */
  account: {
    params: Record<string, never>;
    result: AccountInfo;
  };
  /** Whose account id a text means: an account id, the name of a contact, or `me`. */
  resolve: {
    params: {
      /** The text. */
      chat: string;
    };
    result: Resolved;
  };
  /** Fails unless the profile is in the network that this network file describes. */
  check_network: {
    params: {
      /** The content of a network file. */
      file: string;
    };
    result: null;
  };
  /** Queues a message. It is durable on this machine when the answer comes, and is sent in the background; `state` events and `wait_for` tell how far it has come. */
  send: {
    params: {
      /** Files, at most 32. */
      attachments?: NewAttachment[];
      /** A community to invite to. */
      invitation?: Invitation | null;
      /** What a link in the text leads to. Making one is the caller's part: it shows the site the owner's address. */
      preview?: LinkPreview | null;
      /** What it answers. */
      reply_to?: MessageId | null;
      /** What it says; at most 2,000 characters. Empty only with an invitation or with files. */
      text?: string;
      /** An account id, the name of a contact, or `me`. */
      to: string;
    };
    result: Message;
  };
  /** Waits until a sent message has come as far as `state`, has failed, or the time is over; tells how far it is then. */
  wait_for: {
    params: {
      /** The message. */
      id: MessageId;
      /** How far. */
      state: MessageState;
      /** How long to wait, in milliseconds; a day at most. */
      timeout_ms: number;
    };
    result: SentState;
  };
  /** Sends a message of one's own that failed once more, as a new message with the present time; the failed one is deleted from one's own devices. Gives the new one. */
  send_again: {
    params: {
      /** The message. */
      id: MessageId;
    };
    result: Message;
  };
  /** Takes a queued message back, if no service node has it yet; tells how far it is. */
  take_back: {
    params: {
      /** The message. */
      id: MessageId;
    };
    result: SentState;
  };
  /** Waits until everything that is to be sent has been, or the time is over; how much still waits then. */
  wait_until_sent: {
    params: {
      /** How long to wait, in milliseconds; a day at most. */
      timeout_ms: number;
    };
    result: number;
  };
  /** Asks the own swarm for everything new, once. New messages come as events, too. */
  fetch: {
    params: Record<string, never>;
    result: FetchReport;
  };
  /** The conversations, as a list shows them: pinned ones first, then that with the newest message. */
  chats: {
    params: Record<string, never>;
    result: ChatSummary[];
  };
  /** Messages of a conversation, oldest first. */
  history: {
    params: {
      /** Messages directly after this one. */
      after?: MessageId | null;
      /** This one, in the middle of what surrounds it. */
      around?: MessageId | null;
      /** Messages directly before this one. */
      before?: MessageId | null;
      /** Which conversation. */
      chat: string;
      /** At most so many, and never more than 1,000. */
      limit: number;
    };
    result: Message[];
  };
  /** What was begun to be written in a conversation on this device. */
  draft: {
    params: {
      /** Which conversation. */
      chat: string;
    };
    result: Draft;
  };
  /** Keeps what was begun to be written; empty: nothing. */
  set_draft: {
    params: {
      /** Which conversation. */
      chat: string;
      /** The message it answers. */
      reply_to?: MessageId | null;
      /** The text; at most 64 KiB. */
      text: string;
    };
    result: null;
  };
  /** Messages that no `listen` has printed yet, in the order they came. */
  unprinted: {
    params: {
      /** At most so many, and never more than 1,000. */
      limit: number;
    };
    result: Message[];
  };
  /** Notes that messages were printed. */
  mark_printed: {
    params: {
      /** Which. */
      ids: MessageId[];
    };
    result: null;
  };
  /** A message by its id, or the beginning of one (six digits or more). */
  find_message: {
    params: {
      /** The id, or its beginning. */
      id: string;
    };
    result: Message;
  };
  /** Replaces the text of a message of one's own, for a day after it was sent. */
  edit: {
    params: {
      /** The message. */
      id: MessageId;
      /** The new text. */
      text: string;
    };
    result: null;
  };
  /** Reacts to a message, or takes a reaction back. */
  react: {
    params: {
      /** One emoji. */
      emoji: string;
      /** The message. */
      id: MessageId;
      /** Take it back. */
      remove?: boolean;
    };
    result: null;
  };
  /** Deletes a message. */
  delete: {
    params: {
      /** From where. */
      from: Deletion;
      /** The message. */
      id: MessageId;
    };
    result: null;
  };
  /** Notes that a conversation has been seen up to this message, on all devices. */
  mark_read: {
    params: {
      /** The message. */
      id: MessageId;
    };
    result: null;
  };
  /** Marks a conversation as unread, or takes the mark away, on all devices. */
  set_unread: {
    params: {
      /** Which conversation. */
      chat: string;
      /** Whether it is to be marked. */
      unread: boolean;
    };
    result: null;
  };
  /** Tells the other side that one is typing, or has stopped; to be repeated every ten seconds. Nothing is told unless the setting `typing` is on. */
  set_typing: {
    params: {
      /** Which conversation. */
      chat: string;
      /** Typing, or stopped. */
      typing: boolean;
    };
    result: null;
  };
  /** Fetches a file of a message, in the background: `file_progress` and `changed` events tell how far it is. A file of one's own that could not be sent is here; `send_again` sends its message and all of its files. */
  fetch_file: {
    params: {
      /** The message. */
      id: MessageId;
      /** Which of its files, from 0. */
      place?: number;
      /** Also write its content to the profile's own folder when it is here, whoever runs by then; `path` of the attachment says where it is. */
      write?: boolean;
    };
    result: Message;
  };
  /** Fetches a file no more, and forgets what has come of it. */
  cancel_file: {
    params: {
      /** The message. */
      id: MessageId;
      /** Which of its files, from 0. */
      place?: number;
    };
    result: Message;
  };
  /** Writes the content of a file that is here to a place on this machine; `path` of the attachment says where it is then. A path that is not whole is one of the folder that `conclave rpc` runs in. */
  save_file: {
    params: {
      /** The message. */
      id: MessageId;
      /** Which of its files, from 0. */
      place?: number;
      /** A folder, where it gets a name like the one its sender gave it, or a file that does not exist. Without it, the profile's own folder, from which it goes when its message goes. */
      to?: string | null;
    };
    result: Message;
  };
  /** Where the encrypted bytes of a file that is here lie, and what opens them: for programs that show content without a copy of it on the disk. */
  open_file: {
    params: {
      /** The message. */
      id: MessageId;
      /** Which of its files, from 0. */
      place?: number;
    };
    result: OpenedFile;
  };
  /** Tells the author that a file of this message was saved. */
  tell_saved: {
    params: {
      /** The message. */
      id: MessageId;
    };
    result: null;
  };
  /** Changes how new messages of a conversation disappear. */
  set_timer: {
    params: {
      /** Which conversation. */
      chat: string;
      /** How. */
      timer: Timer;
    };
    result: null;
  };
  /** Changes the place of a conversation, on all devices. */
  set_priority: {
    params: {
      /** Which conversation. */
      chat: string;
      /** 0 the usual place, above it pinned (higher is further up), -1 hidden. */
      priority: number;
    };
    result: null;
  };
  /** Mutes a conversation, on all devices: nothing of it is notified. */
  set_muted: {
    params: {
      /** Which conversation. */
      chat: string;
      /** Until when, milliseconds since the epoch; `null` ends it. */
      until?: number | null;
    };
    result: null;
  };
  /** Looks for messages, newest first, in any script. */
  search: {
    params: {
      /** Go on where an earlier page ended (`SearchResult::next`). */
      after?: SearchCursor | null;
      /** Only by this author, named as a chat is. */
      author?: string | null;
      /** Only in this chat: an account id, the name of a contact, or `me`. */
      chat?: string | null;
      /** Not sent before this time, milliseconds since the epoch. */
      from?: number | null;
      /** Only messages that hold this. */
      kind?: SearchKind | null;
      /** At most so many hits, and never more than 1,000; 0 is 50. */
      limit?: number;
      /** Words, in any order; the last may be a beginning. Nothing in it is syntax. At most 1,024 bytes. */
      text?: string;
      /** Not sent after this time, milliseconds since the epoch. */
      to?: number | null;
    };
    result: SearchResult;
  };
  /** Asks the site of the first https:// link in a text what it leads to. The site sees this machine's address, unless the setting `preview_proxy` names a proxy. */
  look_up_preview: {
    params: {
      /** The text. */
      text: string;
    };
    result: LinkPreview;
  };
  /** The contacts, by name. */
  contacts: {
    params: {
      /** Those one has blocked, instead. */
      blocked?: boolean;
    };
    result: ContactInfo[];
  };
  /** Accepts a message request. */
  accept: {
    params: {
      /** Whose. */
      chat: string;
    };
    result: null;
  };
  /** Blocks somebody, or ends that, on all devices. */
  set_blocked: {
    params: {
      /** Whether. */
      blocked: boolean;
      /** Whom. */
      chat: string;
    };
    result: null;
  };
  /** Gives a contact a name of one's own, on all devices. */
  set_nickname: {
    params: {
      /** Whom. */
      chat: string;
      /** The name; `null` takes it away. */
      nickname?: string | null;
    };
    result: null;
  };
  /** Removes a contact and the conversation with them, on all devices. Also declines a request. */
  remove_contact: {
    params: {
      /** Whom. */
      chat: string;
    };
    result: null;
  };
  /** Changes the name others see, on all devices. */
  set_display_name: {
    params: {
      /** The name, 1 to 100 bytes. */
      name: string;
    };
    result: null;
  };
  /** Makes the middle of a picture the account's own, on all devices. Of the fields, `path` and `sealed` count. It is in its swarms when the answer comes; others see it with the next message they get. */
  set_picture: {
    params: {
      /** It is sent as it is. Else pictures are sent without what they say of who took them (places, times, cameras). */
      as_file?: boolean;
      /** What is said about it. */
      caption?: string | null;
      /** Its MIME type; else what its name suggests. */
      content_type?: string | null;
      /** What it is to be called; else as it is called on this machine. */
      name?: string | null;
      /** Where it is on this machine. */
      path: string;
      /** What lies there is encrypted: kept aside by a program that was handed the file piece by piece. */
      sealed?: Sealed | null;
      /** It is a voice message: MP3 and AAC in MP4 are sent without what they say beside the sound, other recordings become MP3. */
      voice?: boolean;
    };
    result: null;
  };
  /** Takes the account's picture away, on all devices. */
  remove_picture: {
    params: Record<string, never>;
    result: null;
  };
  /** The profile picture of a contact, or of the account itself (`me`), small; `null` if there is none, or it is not here yet. Pictures of contacts are fetched by themselves, and `chat_changed` tells when one has come; those of strangers are not. */
  picture: {
    params: {
      /** Whose. */
      chat: string;
      /** At most so many pixels a side, and never more than 600; 0 is 128. */
      side?: number;
    };
    result: PictureContent | null;
  };
  /** What this device tells others, and what it asks for. */
  settings: {
    params: Record<string, never>;
    result: Settings;
  };
  /** Changes settings; what is not named stays. */
  set_settings: {
    params: {
      /** `Settings::auto_lock`; 0: never. */
      auto_lock?: number | null;
      /** `Settings::delivery_receipts` */
      delivery_receipts?: boolean | null;
      /** `Settings::preview_proxy`; empty: none. */
      preview_proxy?: string | null;
      /** `Settings::read_receipts` */
      read_receipts?: boolean | null;
      /** `Settings::typing` */
      typing?: boolean | null;
    };
    result: null;
  };
  /** How the profile stands with the network: nodes, guard, paths, clock, queue. */
  status: {
    params: Record<string, never>;
    result: Status;
  };
  /** Reads the whole database and fails if it is damaged. Takes a second for each few hundred megabytes. */
  check_database: {
    params: Record<string, never>;
    result: null;
  };
  /** From now on, what happens comes as notifications `event`. Once for a connection. */
  subscribe: {
    params: Record<string, never>;
    result: null;
  };
  /** Locks the profile: nothing is received, and its messages are closed until `unlock`. */
  lock: {
    params: Record<string, never>;
    result: null;
  };
  /** Unlocks the profile. */
  unlock: {
    params: {
      /** Its passphrase. */
      passphrase: Secret;
    };
    result: null;
  };
  /** Protects the profile by another passphrase, by one for the first time, or by none. Everything is encrypted anew, some seconds for each gigabyte; other calls wait so long. */
  change_passphrase: {
    params: {
      /** The new one; `null`: none from now on. */
      new?: Secret | null;
      /** The present one, if there is one. */
      present?: Secret | null;
    };
    result: null;
  };
  /** The recovery phrase. Whoever sees it has the account, so the passphrase is asked for once more. */
  recovery_phrase: {
    params: {
      /** The profile's passphrase, if it has one. */
      passphrase?: Secret | null;
    };
    result: RecoveryWords;
  };
}

/** Every screen, by the name it is opened with: its state. */
export interface ViewStates {
  chats: Chats;
  composer: Composer;
  contacts: Contacts;
  network: NetworkScreen;
  requests: Requests;
  settings: SettingsScreen;
  timeline: Timeline;
}
