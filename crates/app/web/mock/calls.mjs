// What the mock does when it is asked: the calls of the SDK and of `app`, on the made-up profile.
import { createHash } from 'node:crypto';
import { idOf, ME, messageId, standsAt } from './people.mjs';
import { kindOf } from './files.mjs';
import { World } from './world.mjs';

export const WORDS = 'pebble oyster lantern tulip vortex saxophone ribbon meadow fossil gather anvil hobby pebble';

export class Fault extends Error {
  constructor(kind, message = kind, hint = '') {
    super(message);
    this.kind = kind;
    this.hint = hint;
  }
}

function message(world, id) {
  const found = world.find(id);
  if (!found?.message) throw new Fault('unknown_message', `no message has the id ${id}`);
  return found;
}

function chat(world, id) {
  const found = world.chat(id === 'me' ? ME : id);
  if (!found) throw new Fault('bad_account_id', 'not an account id');
  return found;
}

/** Puts a message of one's own into a chat and lets it come further, as a network would. */
export function say(server, target, text, replyTo, preview, files = []) {
  const { world } = server;
  const sent_at = Date.now();
  const id = messageId(target.chat, `out ${sent_at} ${Math.random()}`);
  const said = { event: 'message', id, chat: target.chat, from: ME, text, sent_at, attachments: files.map(({ name, size, content_type, voice }) => ({ name, path: null, size, content_type: content_type ?? undefined, voice, state: 'sending' })), state: 'queued' };
  if (replyTo) said.reply_to = { id: replyTo, from: target.at(target.indexOf(replyTo))?.from ?? target.chat };
  if (preview) said.preview = preview;
  if (target.timer.mode !== 'off') said.timer = target.timer;
  target.extra.push(said);
  target.unlisted = false;
  target.approved = true;
  world.info.set(id, { signed: 0, swarm: 5, reason: null });
  const steps = [['stored_weakly', 2], ['stored', 4], ...(target.is_self || !target.approved_me ? [] : [['delivered', 5], ['read', 5]])];
  files.forEach((file, place) => {
    world.contents.set(`${id} ${place}`, file.bytes);
    [0.3, 0.7].forEach((part, i) => server.later(100 + i * 100, () => moved(world, id, place, part)));
    server.later(300, () => fileState(world, id, place, { state: 'here' }));
  });
  steps.forEach(([state, signed], i) => {
    server.later(350 + i * 350, () => {
      if (target.gone.has(id)) return;
      target.changed.set(id, { ...target.changed.get(id), state });
      world.info.set(id, { signed, swarm: 5, reason: null });
    });
  });
  if (text.startsWith('echo ')) {
    server.later(700, () => (target.typing = true));
    server.later(1_500, () => world.receive(target.chat, text.slice(5)));
  }
  return said;
}

/** A file came further. */
function moved(world, id, place, part) {
  const { message: m } = message(world, id);
  const total = Math.round((m.attachments[place]?.size ?? 0) * 1.03);
  world.moved.set(`${id} ${place}`, { done: Math.round(total * part), total });
}

/** A file is somewhere else. */
function fileState(world, id, place, change) {
  const found = world.find(id);
  if (!found?.message) return;
  const attachments = found.message.attachments.map((file, i) => (i === place ? { ...file, reason: undefined, ...change } : file));
  found.chat.changed.set(id, { ...found.chat.changed.get(id), attachments });
  if (change.state !== 'fetching') world.moved.delete(`${id} ${place}`);
}

function search(world, { text = '', chat: where, author, kind, from, to, after, limit }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = [];
  const skip = Number(after ?? 0);
  const most = Math.min(limit || 50, 1_000);
  const all = [...world.chats.values()].filter((c) => !where || c.chat === (where === 'me' ? ME : where));
  const found = [];
  for (const c of all) {
    for (let n = c.count - 1; n >= 0 && n > c.count - 5_000; n--) {
      const m = c.at(n);
      if (!m || (m.kind ?? 'text') !== 'text') continue;
      if (author && m.from !== (author === 'me' ? ME : author)) continue;
      if ((from && standsAt(m) < from) || (to && standsAt(m) > to)) continue;
      const is = { link: /https?:/.test(m.text), file: m.attachments.some((a) => !a.voice), voice: m.attachments.some((a) => a.voice), picture: m.attachments.some((a) => kindOf(a.content_type, a.voice) === 'picture'), video: m.attachments.some((a) => kindOf(a.content_type, a.voice) === 'video'), invitation: !!m.invitation, text: m.text !== '' };
      if (kind && !is[kind]) continue;
      const low = m.text.toLowerCase();
      if (!words.every((word) => low.includes(word))) continue;
      found.push(m);
      if (found.length > 3_000) break;
    }
  }
  found.sort((a, b) => standsAt(b) - standsAt(a));
  for (const m of found.slice(skip, skip + most)) {
    const low = m.text.toLowerCase();
    const marks = words.map((word) => {
      const begin = Buffer.byteLength(m.text.slice(0, low.indexOf(word)));
      return [begin, begin + Buffer.byteLength(word)];
    });
    hits.push({ message: m, marks: marks.sort((a, b) => a[0] - b[0]) });
  }
  return { hits, next: skip + most < found.length ? String(skip + most) : null, incomplete: false };
}

export const CALLS = {
  account: ({ world }) => world.account,
  settings: ({ world }) => world.settings,
  set_settings: ({ world }, change) => {
    // As the SDK has it: what is not named stays; 0 is never, and empty is none.
    const named = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== null));
    const settings = { ...world.settings, ...named };
    world.settings = { ...settings, auto_lock: settings.auto_lock || null, preview_proxy: settings.preview_proxy || null };
  },
  change_passphrase: (server, { present = null, new: fresh = null }) => {
    const profile = server.profiles.find((one) => one.name === server.profile);
    if (profile.passphrase !== null && present === null) throw new Fault('passphrase_needed', 'the profile needs its passphrase');
    if (profile.passphrase !== present) throw new Fault('wrong_passphrase', 'wrong passphrase');
    if (fresh === '') throw new Fault('bad_passphrase', 'an empty passphrase');
    profile.passphrase = server.world.passphrase = fresh;
    if (fresh === null) server.world.settings = { ...server.world.settings, auto_lock: null };
  },
  look_up_preview: (_, { text }) => {
    const url = /https:\/\/\S+/.exec(text)?.[0];
    if (!url || url.includes('nowhere')) throw new Fault('no_preview', 'the link’s page has no title');
    return { url, title: `All about ${new URL(url).pathname.slice(1) || new URL(url).host}` };
  },
  send_again: (server, { id }) => {
    const { chat: c, message: m } = message(server.world, id);
    if (m.state !== 'failed') throw new Fault('not_allowed', 'only messages that failed are sent again');
    const sent = say(server, c, m.text, m.reply_to?.id, m.preview);
    c.gone.add(id);
    return sent;
  },
  status: ({ world }) => world.status,
  set_display_name: ({ world }, { name }) => {
    if (!name || Buffer.byteLength(name) > 100) throw new Fault('bad_name');
    world.account = { ...world.account, name };
  },
  remove_picture: ({ world }) => {
    world.account = { ...world.account, picture: null };
  },
  subscribe: () => null,
  contacts: ({ world }) => [...world.chats.values()].map((c) => ({ account_id: c.chat, name: c.name })),
  search: ({ world }, params) => search(world, params),
  mark_read: ({ world }, { id }) => {
    const { chat: c, n } = message(world, id);
    c.unread = Math.min(c.unread, c.count - 1 - n);
    c.marked_unread = false;
  },
  set_unread: ({ world }, { chat: id, unread }) => {
    chat(world, id).marked_unread = unread;
    if (!unread) chat(world, id).unread = 0;
  },
  set_typing: () => null,
  set_priority: ({ world }, { chat: id, priority }) => void (chat(world, id).pinned = priority > 0),
  set_muted: ({ world }, { chat: id, until }) => void (chat(world, id).muted_until = until),
  set_nickname: ({ world }, { chat: id, nickname }) => void (chat(world, id).nickname = nickname),
  set_blocked: ({ world }, { chat: id, blocked }) => void (chat(world, id).blocked = blocked),
  remove_contact: ({ world }, { chat: id }) => void world.chats.delete(id),
  accept: ({ world }, { chat: id }) => {
    const c = chat(world, id);
    Object.assign(c, { request: false, approved: true, approved_me: true, unread: 0 });
  },
  set_timer: (server, { chat: id, timer }) => {
    const c = chat(server.world, id);
    c.timer = timer;
    const sent_at = Date.now();
    c.extra.push({ event: 'message', id: messageId(id, `timer ${sent_at}`), chat: id, from: ME, text: '', kind: 'timer_changed', timer, sent_at, attachments: [] });
  },
  react: ({ world }, { id, emoji, remove }) => {
    const { chat: c, message: m } = message(world, id);
    const list = (m.reactions ?? []).map((r) => ({ emoji: r.emoji, from: r.from.filter((who) => who !== ME || r.emoji !== emoji) }));
    if (!remove) {
      const one = list.find((r) => r.emoji === emoji);
      if (one) one.from = [...one.from, ME];
      else list.push({ emoji, from: [ME] });
    }
    c.changed.set(id, { ...c.changed.get(id), reactions: list.filter((r) => r.from.length > 0) });
  },
  edit: ({ world }, { id, text }) => {
    const { chat: c } = message(world, id);
    c.changed.set(id, { ...c.changed.get(id), text, edited_at: Date.now() });
  },
  delete: ({ world }, { id, from }) => {
    const { chat: c } = message(world, id);
    if (from === 'everywhere') c.changed.set(id, { kind: 'deleted', text: '', reactions: [], attachments: [], reply_to: undefined, preview: undefined });
    else c.gone.add(id);
  },
  fetch_file: (server, { id, place = 0 }) => {
    const { world } = server;
    fileState(world, id, place, { state: 'fetching' });
    if (world.holdFiles) return;
    [0.2, 0.5, 0.9].forEach((part, i) => server.later(80 + i * 120, () => message(world, id).message.attachments[place].state === 'fetching' && moved(world, id, place, part)));
    server.later(500, () => {
      if (message(world, id).message.attachments[place].state === 'fetching') fileState(world, id, place, { state: 'here' });
    });
  },
  cancel_file: ({ world }, { id, place = 0 }) => fileState(world, id, place, { state: 'remote' }),
  take_back: ({ world }, { id }) => void message(world, id).chat.gone.add(id),
  send: (server, { to, text, reply_to }) => {
    say(server, chat(server.world, to), text, reply_to);
    return null;
  },
};

export const APP = {
  'app.profiles': (server) => ({
    profiles: server.profiles.map((p) => ({ name: p.name, account_id: p.locked ? null : p.account_id, display_name: p.locked ? null : p.display_name, locked: p.locked, needs_passphrase: p.passphrase !== null, open: !p.locked })),
    network_id: 'conclave-local', version: '0.1.0-mock',
  }),
  'app.open': (server, { profile, passphrase }) => {
    const p = server.profiles.find((one) => one.name === profile);
    if (!p) throw new Fault('profile_not_found');
    if (p.locked) {
      if (passphrase === undefined) throw new Fault('passphrase_needed', 'the profile needs its passphrase');
      if (passphrase !== p.passphrase) throw new Fault('wrong_passphrase', 'wrong passphrase');
      p.locked = false;
    }
    server.use(p);
    return server.world.account;
  },
  'app.create': (server, { profile = 'default', name, passphrase = null }) => {
    if (!name) throw new Fault('bad_name');
    const p = { name: server.profiles.some((one) => one.name === profile) ? `profile-${server.profiles.length + 1}` : profile, account_id: ME, display_name: name, locked: false, passphrase, scene: 'empty' };
    server.profiles.push(p);
    server.use(p);
    server.world.account = { ...server.world.account, name, profile: p.name };
    return { account: server.world.account };
  },
  'app.restore': (server, { phrase, ...rest }) => {
    if (phrase.split(' ').length !== 13 || createHash('sha1').update(phrase).digest('hex') !== createHash('sha1').update(WORDS).digest('hex')) throw new Fault('wrong_phrase', 'the last word does not fit the others');
    return APP['app.create'](server, { name: 'Aino', ...rest });
  },
  'app.phrase': (server, { passphrase }) => {
    const p = server.profiles.find((one) => one.name === server.profile);
    if (p?.passphrase && passphrase === undefined) throw new Fault('passphrase_needed');
    if (p?.passphrase && passphrase !== p.passphrase) throw new Fault('wrong_passphrase');
    return { words: WORDS };
  },
};

/** The profiles of a scene, and what is in them. */
export function profilesOf(scene) {
  const one = { name: 'default', account_id: ME, display_name: 'Aino', locked: false, passphrase: null, scene };
  if (scene === 'fresh') return [];
  if (scene === 'locked') return [{ ...one, locked: true, passphrase: 'open sesame' }];
  if (scene === 'several') return [{ ...one, name: 'alice', display_name: 'Aino' }, { ...one, name: 'bob', display_name: 'Bob', account_id: idOf('bob'), scene: 'empty' }, { ...one, name: 'work', locked: true, passphrase: 'open sesame' }];
  return [one];
}

export function worldOf(profile) {
  const world = new World(profile.scene);
  world.passphrase = profile.passphrase;
  world.account = { ...world.account, name: profile.display_name, profile: profile.name };
  return world;
}
