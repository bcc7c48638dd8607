// The made-up profile: chats with their messages, made from their number when they are asked for, so that a chat can
// have a hundred thousand without memory for them. What is changed or added lies over it.
import { ARABIC, CHATTER, CHINESE, HEBREW, HOSTILE, idOf, ME, messageId, PEOPLE, STRANGERS, standsAt } from './people.mjs';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const OFF = { mode: 'off' };

/** Whole, repeatable, unremarkable: a number in 0..1 for any two. */
function chance(a, b) {
  let x = (a * 374761393 + b * 668265263) | 0;
  x = Math.imul(x ^ (x >>> 13), 1274126177);
  return ((x ^ (x >>> 16)) >>> 0) / 4294967296;
}

export class Chat {
  constructor(world, person, options = {}) {
    Object.assign(this, {
      world, chat: person.id ?? idOf(person.key), name: person.name, nickname: person.nickname ?? null, kind: person.kind,
      is_self: false, pinned: false, muted_until: null, blocked: false, unread: 0, marked_unread: false, draft: null, draft_reply: null,
      typing: false, timer: OFF, request: false, approved: true, approved_me: true, base: 0, made: null, extra: [], changed: new Map(), gone: new Set(), readTo: null,
    }, options);
    this.salt = parseInt(this.chat.slice(2, 9), 16);
  }

  get count() {
    return this.base + this.extra.length;
  }

  id(n) {
    return n < this.base ? messageId(this.chat, n) : this.extra[n - this.base].id;
  }

  /** The number of a message, or -1. Made-up ids are found by looking: newest first. */
  indexOf(id) {
    const late = this.extra.findIndex((message) => message.id === id);
    if (late >= 0) return this.base + late;
    this.index ??= new Map();
    if (this.index.size === 0) for (let n = 0; n < this.base; n++) this.index.set(messageId(this.chat, n), n);
    return this.index.get(id) ?? -1;
  }

  at(n) {
    const id = this.id(n);
    if (this.gone.has(id)) return null;
    const message = n < this.base ? this.make(n, id) : this.extra[n - this.base];
    const changed = this.changed.get(id);
    return changed ? { ...message, ...changed } : message;
  }

  time(n) {
    // Bursts of a few minutes, with hours and nights between them.
    const back = this.base - 1 - n;
    return this.world.began - 7 * MINUTE - Math.floor(back / 6) * 5 * HOUR - (back % 6) * 2 * MINUTE - Math.floor(chance(this.salt, n) * MINUTE);
  }

  make(n, id) {
    if (this.made) return { id, chat: this.chat, attachments: [], ...this.made(n, id, this) };
    const texts = { arabic: ARABIC, chinese: CHINESE, hebrew: HEBREW }[this.kind] ?? CHATTER;
    const out = this.is_self || chance(this.salt, n) < 0.45;
    const long = this.kind === 'long';
    const message = {
      event: 'message', id, chat: this.chat, from: out ? ME : this.chat, sent_at: this.time(n), attachments: [],
      text: long ? `${texts[(n * 7 + Math.floor(n / 5)) % texts.length]} (${n + 1})` : texts[n % texts.length],
      ...(out ? { state: 'read' } : { from_name: this.name ?? undefined }),
    };
    if (long) {
      if (n % 17 === 3) message.reactions = [{ emoji: '👍', from: [this.chat] }];
      if (n % 23 === 5) message.reply_to = { id: messageId(this.chat, n - 4), from: this.at(n - 4)?.from ?? this.chat };
      if (n % 31 === 8) message.text = `${message.text} `.repeat(6);
      if (n % 41 === 9) message.edited_at = message.sent_at + 3 * MINUTE;
    }
    return message;
  }

  last() {
    for (let n = this.count - 1; n >= 0; n--) {
      const message = this.at(n);
      if (message) return message;
    }
    return null;
  }
}

/** A scripted chat: an array of what `at` gives, oldest first. */
function script(world, lines) {
  const times = [];
  let at = world.began - 4 * MINUTE;
  for (let i = lines.length - 1; i >= 0; i--) {
    times[i] = at;
    at -= lines[i].gap ?? 3 * MINUTE;
  }
  return (n, id, chat) => {
    const { gap, out, reply, ...rest } = lines[n];
    return {
      event: 'message', from: out ? ME : chat.chat, text: '', sent_at: times[n],
      ...(out && (rest.kind ?? 'text') === 'text' ? { state: 'read' } : {}),
      ...(reply === undefined ? {} : { reply_to: { id: reply < 0 ? 'f'.repeat(32) : messageId(chat.chat, reply), from: reply >= 0 && lines[reply].out ? ME : chat.chat } }),
      ...rest,
    };
  };
}

export class World {
  constructor(scene) {
    this.scene = scene;
    this.began = Date.now();
    this.account = { account_id: ME, name: 'Aino', profile: 'default', network_id: 'conclave-local' };
    this.settings = { read_receipts: true, typing: true, delivery_receipts: true, auto_lock: null, preview_proxy: null };
    this.status = {
      event: 'status', network_id: 'conclave-local', nodes: 12, guard: idOf('guard').slice(2),
      paths: [[idOf('guard').slice(2), idOf('relay').slice(2), idOf('exit').slice(2)], [idOf('guard').slice(2), idOf('relay2').slice(2), idOf('exit2').slice(2)]],
      clock_offset_ms: -38, queued: 1, last_contact: this.began - 1_200, bytes_sent: 482_113, bytes_received: 3_904_870, largest_file: 1_073_741_824,
    };
    this.chats = new Map();
    this.contents = new Map(); // message id and place → what was handed over
    this.moved = new Map(); // message id and place → { done, total }
    this.info = new Map(); // message id → { signed, swarm, reason }
    if (!['fresh', 'empty'].includes(scene)) this.populate();
  }

  add(person, options) {
    const chat = new Chat(this, person, options);
    this.chats.set(chat.chat, chat);
    return chat;
  }

  populate() {
    const by = Object.fromEntries(PEOPLE.map((person) => [person.key, person]));
    const mara = this.scripted(by.mara, this.maraLines(), { pinned: true, unread: 2 });
    mara.readTo = mara.base - 3;
    this.add({ id: ME, name: null, kind: 'self' }, { is_self: true, base: 24, pinned: true });
    this.add(by.book, { base: 100_000, unread: 0 });
    this.add(by.yusuf, { base: 25, unread: 3, readTo: 21 });
    this.add(by.chen, { base: 45, muted_until: Date.UTC(2100, 0, 1), unread: 12, readTo: 32 });
    this.add(by.noam, { base: 12, draft: 'אני חושב שנוכל להיפגש' });
    this.add(by.dad, { base: 310, typing: true });
    this.add(by.anon, { base: 3, approved_me: true, marked_unread: true });
    this.add(by.very, { base: 9, draft: 'Dear Dr. von Hohenstauffen-Wolkenstein, thank you for' });
    this.scripted(by.oz, [{ out: true, text: 'Hey Oz, it’s Aino. This is my id.', state: 'stored' }], { approved_me: false });
    this.scripted(by.mallory, HOSTILE.map((text) => ({ text })).concat([
      { text: 'look', preview: { url: 'https://xn--80ak6aa92e.com/', title: '<b>Apple</b> — official site' } },
      { text: '', attachments: [{ name: `../../../etc/pass${String.fromCharCode(0x202e)}gpj.exe`, path: null, size: 10, content_type: 'image/png', state: 'here', fake: true }] },
      { text: 'click javascript', preview: { url: 'javascript:alert(1)', title: 'a preview that is no link' } },
    ]));
    this.scripted(by.pia, [
      { kind: 'timer_changed', timer: { mode: 'after_send', seconds: 3_600 }, out: true, gap: HOUR },
      { text: 'This one goes in a while', expires_at: this.began + 31 * MINUTE, timer: { mode: 'after_send', seconds: 3_600 } },
      { out: true, text: 'And mine too', expires_at: this.began + 45 * MINUTE, timer: { mode: 'after_send', seconds: 3_600 }, state: 'delivered' },
      { out: true, text: 'Soon', expires_at: this.began + 50_000, timer: { mode: 'after_send', seconds: 3_600 }, state: 'delivered' },
    ], { timer: { mode: 'after_send', seconds: 3_600 } });
    this.add(by.tomasz, { base: 4, blocked: true });
    this.scripted(by.ines, this.inesLines());
    for (const [n, place, part] of [[5, 0, 0.42], [9, 0, 0.6]]) this.moved.set(`${messageId(idOf('ines'), n)} ${place}`, { done: Math.round(10_000_000 * part), total: 10_000_000 });
    this.add(by.kofi, { base: 8 });
    this.add(by.lena, { base: 2 });
    for (const stranger of STRANGERS) {
      const chat = this.scripted({ ...stranger, kind: 'request' }, [{ text: stranger.text, from_name: stranger.name ?? undefined, request: true, attachments: stranger.attachments ?? [] }], { request: true, approved: false, unread: 1 });
      chat.readTo = 0;
    }
  }

  scripted(person, lines, options) {
    const chat = this.add(person, { base: lines.length, ...options });
    chat.made = script(this, lines);
    return chat;
  }

  /** Files of all kinds, as far as they have come. */
  inesLines() {
    const picture = (name, width, height, more = {}) => ({ name, path: null, size: 2_310_440, content_type: 'image/jpeg', width, height, state: 'here', ...more });
    const file = (name, content_type, more = {}) => ({ name, path: null, size: 3_412_881, content_type, state: 'here', ...more });
    return [
      { text: 'From the ferry', attachments: [picture('IMG_2041.jpg', 1600, 1200)], gap: HOUR },
      { text: '', attachments: [picture('tall.jpg', 900, 1600)] },
      { out: true, text: 'All of them!', attachments: [1, 2, 3, 4].map((n) => picture(`harbour-${n}.jpg`, 1600, 1000 + n * 100)) },
      { text: '', attachments: Array.from({ length: 9 }, (_, n) => picture(`walk-${n + 1}.jpg`, 1200, 1200)), gap: 30 * MINUTE },
      { text: 'The long film', attachments: [file('crossing.mp4', 'video/mp4', { size: 84_000_000, state: 'remote' })] },
      { text: '', attachments: [file('tickets.zip', 'application/zip', { state: 'fetching', size: 9_700_000 })] },
      { text: '', attachments: [file('timetable-of-the-whole-winter-with-all-the-exceptions-and-holidays.pdf', 'application/pdf')] },
      { text: '', attachments: [file('notes.txt', 'text/plain', { state: 'failed', reason: 'the file is larger than its message says: 4,000,000 bytes instead of 3,412,881' })] },
      { text: '', attachments: [picture('last-year.jpg', 1600, 1200, { state: 'remote', old: true })] },
      { out: true, text: 'On its way', state: 'queued', attachments: [picture('mine.jpg', 1600, 1200, { state: 'sending' })] },
      { text: '', attachments: [{ name: null, path: null, size: 128_044, content_type: 'audio/wav', voice: true, state: 'here' }] },
      { out: true, text: '', attachments: [{ name: 'a-song.ogg', path: null, size: 4_128_044, content_type: 'audio/ogg', state: 'here' }] },
      { text: '', attachments: [file('clip.mp4', 'video/mp4', { size: 5_000_000 })] },
      { text: 'no picture at all', attachments: [picture(`invoice${String.fromCharCode(0x202e)}gpj.exe`, 1600, 1200, { fake: true })] },
    ];
  }

  maraLines() {
    const him = idOf('mara');
    const lines = [
      { kind: 'accepted', gap: DAY, out: false },
      { text: 'There you are! 🎉', gap: 2 * MINUTE },
      { out: true, text: 'Finally. So this is it: no phone number, and it tells me what it knows and what it does not.' },
      { text: 'I like that part most.', reactions: [{ emoji: '❤️', from: [ME, him] }], gap: 20 * HOUR },
      { kind: 'missed_call', gap: 30 * MINUTE },
      { out: true, text: 'Sorry, was on the bike. What’s up?', reply: 4 },
      { text: 'Nothing urgent: did you see the talk about mix networks? The slides are here.\nhttps://example.org/talks/2026/mix-networks', preview: { url: 'https://example.org/talks/2026/mix-networks', title: 'Mix networks for people who are late for dinner' } },
      { out: true, text: 'Half of it. The part with the three hops is the clearest I have seen, and I have tried to explain it to Dad twice.', state: 'read', edited_at: this.began - 2 * HOUR, reactions: [{ emoji: '😂', from: [him] }, { emoji: '👍', from: [him] }] },
      { text: 'Draw it on a napkin next time', reply: 7 },
      { out: true, text: 'I will', gap: 5 * HOUR },
      { out: true, text: '👋😄', gap: 40 * MINUTE },
      { kind: 'deleted', text: '' },
      { kind: 'timer_changed', timer: { mode: 'after_read', seconds: 604_800 }, gap: 3 * MINUTE },
      { out: true, kind: 'timer_changed', timer: { mode: 'off' } },
      { text: '', attachments: [{ name: 'ferry-map-1962.pdf', path: null, size: 3_412_881, content_type: 'application/pdf', state: 'here' }] },
      { text: 'And one for the ears', attachments: [{ name: null, path: null, size: 84_112, content_type: 'audio/ogg', voice: true, state: 'here' }] },
      { text: '', invitation: { url: 'https://community.example.org/river-walks?public_key=0123456789abcdef', name: 'River walks' } },
      { out: true, kind: 'screenshot', gap: 10 * MINUTE },
      { kind: 'media_saved' },
      { out: true, text: 'Wonderful, the ferry! Let’s print it.', state: 'read', reply: 14 },
      { out: true, text: 'I’ll bring tape', state: 'delivered' },
      { out: true, text: 'and the thermos', state: 'stored' },
      { out: true, text: 'Shall I ask Pia as well?', state: 'stored_weakly' },
      { out: true, text: 'She has the big umbrella', state: 'queued' },
      { out: true, text: 'https://example.org/umbrella', state: 'failed' },
      { text: 'Yes please, ask her!' },
      { text: 'The answer to an older question, by the way, is that the mill is open on Saturdays until six, and they take orders for soup until five. I called.', reply: -1 },
    ];
    lines.forEach((line, n) => {
      if (!line.out || !line.state) return;
      const signed = { read: 5, delivered: 5, stored: 4, stored_weakly: 2, queued: 0 }[line.state];
      this.info.set(messageId(him, n), line.state === 'failed' ? { signed: null, swarm: 5, reason: 'every member of the swarm refused it: the message is too old' } : { signed, swarm: 5, reason: null });
    });
    return lines;
  }

  find(id) {
    for (const chat of this.chats.values()) {
      const n = chat.extra.some((message) => message.id === id) || chat.base < 1_000 || chat.index ? chat.indexOf(id) : -1;
      if (n >= 0) return { chat, n, message: chat.at(n) };
    }
    for (const chat of this.chats.values()) {
      const n = chat.indexOf(id);
      if (n >= 0) return { chat, n, message: chat.at(n) };
    }
    return null;
  }

  /** A chat with this account; made when somebody is written to for the first time. */
  chat(id) {
    if (!/^05[0-9a-f]{64}$/.test(id)) return null;
    return this.chats.get(id) ?? this.add({ id, name: null, kind: 'new' }, { is_self: id === ME, approved: id === ME, approved_me: id === ME, unlisted: true });
  }

  get list() {
    const shown = [...this.chats.values()].filter((chat) => !chat.request && !chat.unlisted);
    return shown
      .map((chat) => ({ chat, at: chat.last() ? standsAt(chat.last()) : 0 }))
      .sort((a, b) => Number(b.chat.pinned) - Number(a.chat.pinned) || b.at - a.at)
      .map(({ chat }) => chat);
  }

  get requests() {
    return [...this.chats.values()].filter((chat) => chat.request && !chat.blocked);
  }

  receive(chatId, text, more = {}) {
    const chat = this.chat(chatId);
    const sent_at = Date.now();
    const message = { event: 'message', id: messageId(chatId, `in ${sent_at} ${Math.random()}`), chat: chatId, from: chatId, text, sent_at, attachments: [], ...more };
    chat.extra.push(message);
    chat.unlisted = false;
    chat.typing = false;
    chat.unread++;
    return message;
  }
}
