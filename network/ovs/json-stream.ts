/**
 * Splits a byte stream into JSON objects. OVSDB's JSON-RPC (RFC 7047 §4) puts messages one after the other
 * with nothing between them, so their ends are found by counting brackets outside strings.
 */
import { StringDecoder } from 'node:string_decoder';

export class JsonStream {
  readonly #decoder = new StringDecoder('utf8');
  readonly #maxLength: number;
  #text = '';
  #scanned = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** @param maxLength longest message in characters; a longer one throws. */
  constructor(maxLength = 64 * 1024 * 1024) {
    this.#maxLength = maxLength;
  }

  /** Takes bytes, returns the messages that are complete by now. @throws SyntaxError on anything that is no JSON */
  push(chunk: Uint8Array): unknown[] {
    this.#text += this.#decoder.write(chunk as Buffer);
    const messages: unknown[] = [];
    let start = 0;
    for (let i = this.#scanned; i < this.#text.length; i++) {
      if (this.#endsAt(this.#text.charCodeAt(i))) {
        messages.push(JSON.parse(this.#text.slice(start, i + 1)));
        start = i + 1;
      }
    }
    this.#text = this.#text.slice(start);
    this.#scanned = this.#text.length;
    if (this.#text.length > this.#maxLength) throw new SyntaxError(`a message is longer than ${this.#maxLength} characters`);
    return messages;
  }

  #endsAt(code: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (code === 0x5c) this.#escaped = true;
      else if (code === 0x22) this.#inString = false;
      return false;
    }
    if (code === 0x22) this.#inString = true;
    else if (code === 0x7b || code === 0x5b) this.#depth++;
    else if (code === 0x7d || code === 0x5d) return --this.#depth === 0;
    return false;
  }
}
