// Made-up people and what they say: long names, other scripts, and texts that try to be more than text.
import { createHash } from 'node:crypto';

export const idOf = (name) => `05${createHash('sha256').update(`mock ${name}`).digest('hex')}`;
export const messageId = (chat, n) => createHash('sha256').update(`${chat} ${n}`).digest('hex').slice(0, 32);

export const ME = idOf('me');

/** The time by which a message stands in its conversation. */
export const standsAt = (message) => message.arrived_at ?? message.sent_at;

export const PEOPLE = [
  { key: 'mara', name: 'Mara Lindqvist', kind: 'friend' },
  { key: 'book', name: 'Reading group (Wednesdays)', kind: 'long' },
  { key: 'yusuf', name: 'يوسف الحداد', kind: 'arabic' },
  { key: 'chen', name: '陳小雨', kind: 'chinese' },
  { key: 'noam', name: 'נעם', kind: 'hebrew' },
  { key: 'dad', name: 'Dad', nickname: 'Papa 🎣', kind: 'family' },
  { key: 'anon', name: null, kind: 'quiet' },
  { key: 'very', name: 'Dr. Maximiliane-Friederike von Hohenstauffen-Wolkenstein zu Oberammergau', kind: 'quiet' },
  { key: 'oz', name: 'Oz', kind: 'waiting' },
  { key: 'mallory', name: 'Mallory <b>bold</b>', kind: 'hostile' },
  { key: 'pia', name: 'Pia', kind: 'timer' },
  { key: 'tomasz', name: 'Tomasz', kind: 'blocked' },
  { key: 'ines', name: 'Inês Carvalho', kind: 'quiet' },
  { key: 'kofi', name: 'Kofi Mensah', kind: 'quiet' },
  { key: 'lena', name: 'Lena', kind: 'quiet' },
];

export const STRANGERS = [
  { key: 'stranger1', name: 'Robin', text: 'Hi! We met at the library workshop, you gave me your id on a sticky note.', attachments: [{ name: 'workshop.jpg', path: null, size: 1_204_000, content_type: 'image/jpeg', width: 1600, height: 1000, state: 'remote' }] },
  { key: 'stranger2', name: null, text: 'Earn 5000 a week from home, ask me how: http://totally-real.example/offer' },
];

export const CHATTER = [
  'Are you still up for Saturday?',
  'Yes! I thought we could take the early train and walk back along the river.',
  'The forecast says rain after four.',
  'Then we turn around at the mill and have soup there.',
  'Perfect 🙌',
  'I found the map, the old one with the ferry on it.',
  'You keep everything, don’t you.',
  'Somebody has to.',
  'Did the parcel arrive?',
  'Not yet. The tracking page has said “out for delivery” for three days now, which I am starting to read as philosophy.',
  '😂',
  'Ok, I called them. It is at the corner shop.',
  'Thanks. I’ll get it on the way.',
  'Can you send me the recipe again? The one with the roasted lemons.',
  'Slice two lemons thin, roast them with olive oil and salt until the edges go dark, then toss with the chickpeas while both are warm. The warm part matters.',
  'It really does',
  'Running ten minutes late',
  'No hurry',
  'Here’s the page I meant: https://en.wikipedia.org/wiki/Conclave_(disambiguation), second from the top.',
  'Good night',
  'Good night 🌙',
];

export const ARABIC = ['صباح الخير، هل وصلت؟', 'نعم، وصلت قبل قليل 🙂', 'ممتاز. نلتقي في المقهى الساعة 5:30؟', 'رابط المكان: https://example.org/مقهى', 'تمام، إلى اللقاء'];
export const CHINESE = ['明天一起去看展览吗?', '好啊,几点?', '下午两点,在美术馆门口见。', '没问题,我会早一点到。', '记得带伞 ☔'];
export const HEBREW = ['מה שלומך?', 'הכול טוב, ואצלך?', 'גם. נדבר מחר ב-9', 'סגור'];

export const HOSTILE = [
  '<img src=x onerror="alert(1)"> <script>alert(document.domain)</script>',
  '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><circle r="40"/></svg>',
  'javascript:alert(1) and data:text/html,<b>x</b> and vbscript:x are no links',
  `Invoice ${String.fromCharCode(0x202e)}fdp.exe${String.fromCharCode(0x202c)} attached`,
  'Log in at https://www.аррӏе.com/account please', // Cyrillic letters that look like Latin ones
  'Your bank: https://bank.example@evil.example/login and http://evil.example/?q=https://bank.example',
  `zero${String.fromCharCode(0x200b)}width and a bell ${String.fromCharCode(7)} and null ${String.fromCharCode(0)} end`,
  '{{constructor.constructor("alert(1)")()}} ${alert(1)} %s %n',
  `Z${'̶͎̊a̷̭͝l̸̟̚g̵̞̏o̶'.repeat(12)}`,
  'a'.repeat(300),
];
