/**
 * Files on their way into the tray of a conversation. They go one after the other, also when another conversation is looked at
 * meanwhile.
 */

import { kindOf as kindOfError, CallError } from './connection';
import type { FileKind } from './contract';
import { kindOf, newId, upload } from './files';

/** The tray has told of a file by then. */
const SEEN_MS = 1_000;

export class Upload {
  part = $state(0);
  /** Why it did not work; the kind of the error. */
  failed = $state.raw<unknown>(null);
  /** It is in the tray, or will be in a moment. */
  done = $state(false);
  /** Its name in the tray. */
  id = newId();
  cancel: () => void = () => {};
  readonly key: number;
  readonly kind: FileKind;

  constructor(
    readonly chat: string,
    readonly file: File,
    key: number,
  ) {
    this.key = key;
    this.kind = kindOf(file.type, false);
  }
}

class Uploads {
  list = $state.raw<Upload[]>([]);
  #next = 1;
  #line: Promise<void> = Promise.resolve();

  of(chat: string): Upload[] {
    return this.list.filter((one) => one.chat === chat);
  }

  add(chat: string, files: File[]): void {
    const added = files.map((file) => new Upload(chat, file, this.#next++));
    this.list = [...this.list, ...added];
    for (const one of added) this.#enqueue(one);
  }

  again(one: Upload): void {
    one.failed = null;
    one.part = 0;
    one.id = newId();
    this.#enqueue(one);
  }

  remove(one: Upload): void {
    this.list = this.list.filter((other) => other !== one);
    one.cancel();
  }

  /** Another profile, or a lost wire: what was on its way is nobody's. */
  clear(): void {
    const all = this.list;
    this.list = [];
    for (const one of all) one.cancel();
  }

  #enqueue(one: Upload): void {
    this.#line = this.#line.then(() => this.#work(one));
  }

  async #work(one: Upload): Promise<void> {
    if (!this.list.includes(one)) return;
    const going = upload(one.file, one.chat, false, (part) => (one.part = part), one.id);
    one.cancel = going.cancel;
    try {
      await going.done;
      one.part = 1;
      one.done = true;
      // Shown until the tray shows it, which is at once.
      setTimeout(() => (this.list = this.list.filter((other) => other !== one)), SEEN_MS);
    } catch (error) {
      if (kindOfError(error) === 'cancelled') this.list = this.list.filter((other) => other !== one);
      else one.failed = error instanceof CallError ? error : new CallError('upload_broken', '');
    } finally {
      one.cancel = () => {};
    }
  }
}

export const uploads = new Uploads();
