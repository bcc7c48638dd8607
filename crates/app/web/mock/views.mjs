// What the mock's views show: the states of the contract, made anew after every change and compared with what was sent.
import { kindOf, LARGEST, MOST } from './files.mjs';
import { ME, standsAt } from './people.mjs';

const WINDOW = 300;
const STEP = 120;
const GROUP_MS = 5 * 60_000;
const EDIT_MS = 24 * 3_600_000;

const personOf = (world, id) => (id === ME ? { id, name: world.account.name } : { id, name: world.chats.get(id)?.nickname ?? world.chats.get(id)?.name ?? null });

function row(chat) {
  const last = chat.last();
  return {
    key: chat.chat, chat: chat.chat, name: chat.name, nickname: chat.nickname, is_self: chat.is_self, pinned: chat.pinned,
    muted: chat.muted_until !== null && chat.muted_until > Date.now(), blocked: chat.blocked, unread: chat.unread, marked_unread: chat.marked_unread, draft: chat.draft, typing: chat.typing,
    last: last ? { id: last.id, kind: last.kind ?? 'text', text: last.text.replace(/\s+/g, ' ').slice(0, 200), file: last.attachments[0] ? kindOf(last.attachments[0].content_type, last.attachments[0].voice) : null, outgoing: last.from === ME, state: last.state ?? null, stands_at: standsAt(last) } : null,
    timer: chat.timer,
  };
}

function chats(world) {
  const list = world.list;
  return { loaded: true, rows: list.map(row), requests: world.requests.length, unread: list.reduce((sum, chat) => sum + (chat.muted_until ? 0 : chat.unread), 0) };
}

function dayOf(at, offset) {
  return new Date(at + offset * 60_000).toISOString().slice(0, 10);
}

function timeline(world, view) {
  const { chat } = view;
  const end = Math.min(chat.count, view.end ?? chat.count);
  const start = Math.max(0, view.start);
  const rows = [];
  let day = null;
  let previous = null;
  for (let n = start; n < end; n++) {
    const message = chat.at(n);
    if (!message) continue;
    const on = dayOf(standsAt(message), view.offset);
    if (on !== day) {
      rows.push({ key: `day-${on}`, item: 'day', day: on });
      day = on;
      previous = null;
    }
    if (view.unreadFrom !== null && n === view.unreadFrom) {
      rows.push({ key: 'unread', item: 'unread', count: view.unreadCount });
      previous = null;
    }
    const kind = message.kind ?? 'text';
    const outgoing = message.from === ME;
    const joins = previous && previous.message.from === message.from && kind === 'text' && (previous.message.kind ?? 'text') === 'text' && standsAt(message) - standsAt(previous.message) < GROUP_MS;
    if (previous && !joins) previous.ends_group = true;
    const quoted = message.reply_to ? (message.reply_to.id === 'f'.repeat(32) ? null : chat.at(chat.indexOf(message.reply_to.id))) : undefined;
    const said = {
      key: message.id, item: 'message', message, outgoing, author: personOf(world, message.from), begins_group: !joins, ends_group: false,
      quote: quoted === undefined ? null : { id: message.reply_to.id, author: personOf(world, message.reply_to.from), text: quoted ? quoted.text : null },
      ...(world.info.get(message.id) ?? { signed: outgoing && message.state ? 5 : null, swarm: outgoing && message.state ? 5 : null, reason: null }),
      files: message.attachments.map((file, place) => ({
        kind: kindOf(file.content_type, file.voice), moved: world.moved.get(`${message.id} ${place}`) ?? null,
        unasked: !chat.request && file.state === 'remote' && !file.old && file.size <= 10_000_000 && ['picture', 'voice', 'audio'].includes(kindOf(file.content_type, file.voice)), expired: !!file.old,
      })),
      can: {
        edit: outgoing && kind === 'text' && Date.now() - message.sent_at < EDIT_MS && message.state !== 'failed',
        delete_everywhere: outgoing && kind === 'text', react: kind === 'text' && !chat.request, reply: kind === 'text' && !chat.request,
      },
    };
    rows.push(said);
    previous = said;
  }
  if (previous) previous.ends_group = true;
  return {
    loaded: true, chat: chat.chat, name: chat.name, nickname: chat.nickname, is_self: chat.is_self, request: chat.request, blocked: chat.blocked, approved_me: chat.approved_me,
    timer: chat.timer, typing: chat.typing, muted_until: chat.muted_until, pinned: chat.pinned, has_older: start > 0, has_newer: end < chat.count, rows,
  };
}

function composer(world, view) {
  const { chat } = view;
  const text = view.editing ? view.text : (chat.draft ?? '');
  const characters = [...text.trim()].length;
  const quoted = view.reply ? chat.at(chat.indexOf(view.reply)) : null;
  const edited = view.editing ? chat.at(chat.indexOf(view.editing)) : null;
  if (view.preview && !text.includes(view.preview.url)) view.preview = null;
  const url = view.editing || view.preview ? undefined : /https:\/\/[^\s]+[^\s.,;:!?)\]}>"']/.exec(text)?.[0];
  const why_not = chat.blocked ? 'blocked' : characters === 0 && view.files.length === 0 ? 'empty' : characters > 2_000 ? 'too_long' : null;
  return {
    chat: chat.chat, text, reply_to: quoted ? { id: quoted.id, author: personOf(world, quoted.from), text: quoted.text } : null,
    editing: edited ? { id: edited.id, text: edited.text } : null, link: url ? { url, host: new URL(url).host } : null, preview: view.preview ?? null, files: view.editing ? [] : view.files.filter((file) => !file.voice).map(({ id, name, size, content_type, kind, going = false, failed = null, as_file = false }) => ({ id, name, size, content_type, kind, going, failed, as_file })), most_files: MOST, largest_file: world.largestFile ?? LARGEST, characters, limit: 2_000, may_send: why_not === null, why_not,
  };
}

const STATES = {
  chats,
  requests: (world) => ({ loaded: true, rows: world.requests.map(row) }),
  timeline,
  composer,
  contacts: (world) => ({
    loaded: true,
    rows: [...world.chats.values()].filter((chat) => !chat.is_self && !chat.request && !chat.unlisted).map((chat) => ({
      key: chat.chat, event: 'contact', account_id: chat.chat, name: chat.name, nickname: chat.nickname, approved: chat.approved, approved_me: chat.approved_me, blocked: chat.blocked,
    })),
  }),
  settings: (world) => ({ account: world.account, settings: world.settings, has_passphrase: world.passphrase !== null }),
  network: (world) => ({ status: { ...world.status, queued: world.status.queued }, nodes: [] }),
};

export class View {
  constructor(world, params, trays = new Map()) {
    this.world = world;
    this.trays = trays;
    this.id = params.id;
    this.name = params.view;
    if (!STATES[this.name]) throw { kind: 'bad_params', message: `no view ${this.name}` };
    if (this.name === 'timeline' || this.name === 'composer') {
      this.chat = world.chat(params.chat);
      if (!this.chat) throw { kind: 'bad_account_id', message: 'not an account id' };
    }
    if (this.name === 'timeline') {
      this.offset = params.utc_offset_minutes ?? 0;
      this.unreadFrom = this.chat.unread > 0 ? this.chat.count - this.chat.unread : null;
      this.unreadCount = this.chat.unread;
      const around = params.around ? this.chat.indexOf(params.around) : -1;
      if (around >= 0) this.around(around);
      else this.newest();
    }
    this.reply = null;
    this.preview = null;
    this.editing = null;
    this.text = '';
  }

  /** What waits to be sent. */
  get files() {
    return this.trays.get(this.chat.chat) ?? [];
  }

  newest() {
    this.end = null;
    this.start = Math.max(0, this.chat.count - WINDOW / 2);
  }

  around(n) {
    this.start = Math.max(0, n - WINDOW / 2);
    this.end = n + WINDOW / 2 >= this.chat.count ? null : n + WINDOW / 2;
  }

  older() {
    const end = this.end ?? this.chat.count;
    this.start = Math.max(0, this.start - STEP);
    if (end - this.start > WINDOW + STEP) this.end = this.start + WINDOW + STEP;
  }

  newer() {
    if (this.end === null) return;
    this.end += STEP;
    if (this.end >= this.chat.count) this.end = null;
    const end = this.end ?? this.chat.count;
    if (end - this.start > WINDOW + STEP) this.start = end - WINDOW - STEP;
  }

  /** The first state, remembered as sent. */
  first() {
    this.sent = STATES[this.name](this.world, this);
    return this.sent;
  }

  /** What is different from what was sent; `null` if nothing is. */
  patch() {
    const now = STATES[this.name](this.world, this);
    const patch = {};
    for (const [field, value] of Object.entries(now)) {
      if (field === 'rows') {
        const before = new Map(this.sent.rows.map((r) => [r.key, JSON.stringify(r)]));
        const upsert = value.filter((r) => before.get(r.key) !== JSON.stringify(r));
        const order = value.map((r) => r.key);
        const moved = order.length !== this.sent.rows.length || order.some((key, i) => key !== this.sent.rows[i].key);
        if (upsert.length > 0 || moved) patch.rows = { ...(upsert.length > 0 ? { upsert } : {}), ...(moved ? { order } : {}) };
      } else if (JSON.stringify(value) !== JSON.stringify(this.sent[field])) patch[field] = value;
    }
    this.sent = now;
    return Object.keys(patch).length > 0 ? patch : null;
  }
}
