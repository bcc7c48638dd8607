/**
 * Files at this door: where their content is, and how they are handed over. The page names none by path, and holds none: what is
 * shown comes from an address that is good as long as this page is connected.
 */

import { app } from './app.svelte';
import { CallError } from './connection';
import type { FileKind, Message } from './contract';
import { secret } from './door';

/** How large small pictures are asked for, in pixels a side: sharp on dense screens. */
export const SMALL = 800;
/** And those that fill the screen. */
export const LARGE = 2_048;
/** Of a tray, or a gallery. */
export const TINY = 256;

export type Form = 'save' | 'play' | 'sound' | { preview: number };

/** Where the content of a file of a message is. */
export function addressOf(message: string, place: number, form: Form): string {
  const query = typeof form === 'string' ? form : `preview=${form.preview}`;
  return `${app.files ?? ''}/${message}/${place}?${query}`;
}

/** Where a picture of a file in the tray is. */
export function trayAddress(id: string): string {
  return `${app.files ?? ''}/tray/${id}?preview=${TINY}`;
}

/** Where the profile picture of somebody is, by the mark of it. */
export function faceAddress(account: string, mark: string, size: number): string {
  // Sharp on dense screens.
  return `${app.files ?? ''}/face/${account}-${mark}?preview=${Math.min(600, Math.ceil(size * 2))}`;
}

/** What a file is shown as, by what its sender says: as the program decides it for a timeline. */
export function kindOf(contentType: string | undefined, voice: boolean | undefined): FileKind {
  const [kind, sub] = (contentType ?? '').toLowerCase().split('/');
  if (voice) return 'voice';
  if (kind === 'image' && sub !== undefined && !sub.startsWith('svg')) return 'picture';
  if (kind === 'video' && sub !== undefined) return 'video';
  if (kind === 'audio' && sub !== undefined) return 'audio';
  return 'file';
}

/** A file of a message, for a gallery or the viewer. */
export interface Shown {
  message: Message;
  place: number;
  kind: FileKind;
}

/** The name of a file of a message, among all of them. */
export function keyOf(message: string, place: number): string {
  return `${message} ${place}`;
}

/** The files of a message. */
export function filesOf(message: Message): Shown[] {
  return message.attachments.map((file, place) => ({ message, place, kind: kindOf(file.content_type, file.voice) }));
}

/** Has the browser keep the content, as any download. */
export function save(message: string, place: number): void {
  const link = document.createElement('a');
  link.href = addressOf(message, place, 'save');
  link.download = '';
  document.body.append(link);
  link.click();
  link.remove();
}

/** Fetches a file, or tries again what failed. */
export function fetchFile(id: string, place: number): void {
  cancelled.delete(keyOf(id, place));
  void app.attempt(app.call('fetch_file', { id, place }));
}

/** Fetches it no more. */
export function cancelFile(id: string, place: number): void {
  cancelled.add(keyOf(id, place));
  void app.attempt(app.call('cancel_file', { id, place }));
}

/** What its reader stopped is not begun again unasked. */
const cancelled = new Set<string>();
const begun = new Set<string>();

/** Fetches what may be fetched unasked and is looked at; once. */
export function fetchUnasked(id: string, place: number): void {
  const key = keyOf(id, place);
  if (cancelled.has(key) || begun.has(key)) return;
  begun.add(key);
  // What does not work shows in the message, with a way to try again.
  app.call('fetch_file', { id, place }).catch(() => begun.delete(key));
}

interface Answer {
  id?: string;
  kind?: string;
  error?: string;
}

export interface Upload<T> {
  /** What the door says when it has all of it. */
  done: Promise<T>;
  cancel: () => void;
}

/** A name for a file in the tray. */
export function newId(): string {
  return crypto.randomUUID().replaceAll('-', '');
}

/** Hands a file over, for the next message of a conversation. Gives the name the file has in the tray. */
export function upload(file: File, chat: string, voice: boolean, progress: (part: number) => void, id = newId()): Upload<string> {
  const query = new URLSearchParams({ chat, id, name: file.name, ...(voice ? { voice: '1' } : {}) });
  // A blank is `+` in forms only.
  const { done, cancel } = post(`upload?${query.toString().replaceAll('+', '%20')}`, file, progress);
  return { done: done.then((said) => said.id ?? Promise.reject(new CallError('upload_broken', ''))), cancel };
}

/** Makes a picture the account's own. It is where contacts can fetch it when this is done. */
export function choosePicture(file: File): Promise<unknown> {
  return post('picture', file, () => {}).done;
}

function post(to: string, file: File, progress: (part: number) => void): Upload<Answer> {
  const request = new XMLHttpRequest();
  request.open('POST', `${app.files ?? ''}/${to}`);
  request.setRequestHeader('authorization', `Bearer ${secret() ?? ''}`);
  if (file.type) request.setRequestHeader('content-type', file.type);
  const done = new Promise<Answer>((resolve, reject) => {
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / Math.max(1, event.total));
    request.onabort = () => reject(new CallError('cancelled', ''));
    request.onerror = () => reject(new CallError('upload_broken', ''));
    request.onload = () => {
      let said: Answer = {};
      try {
        said = JSON.parse(request.responseText) as Answer;
      } catch {
        // Whatever else answers is no answer.
      }
      if (request.status === 200) resolve(said);
      else reject(new CallError(said.kind ?? 'upload_broken', said.error ?? ''));
    };
  });
  request.send(file);
  return { done, cancel: () => request.abort() };
}
