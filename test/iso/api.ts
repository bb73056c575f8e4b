/** The API of a machine under test, over HTTPS on loopback. Its certificate is its own and is not what is tested. */
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';

export type Answer = { status: number; body: Record<string, unknown>; cookie: string | undefined };

/** A port of loopback that was free a moment ago. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

export class Api {
  readonly #port: number;
  #cookie: string | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  send(method: string, path: string, body?: unknown, seconds = 60): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      'x-croft-csrf': '1',
      ...(this.#cookie === undefined ? {} : { cookie: this.#cookie }),
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
    };
    return new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: this.#port,
        method,
        path,
        headers,
        rejectUnauthorized: false,
        agent: false,
      } as const;
      const sent = request(options, (response) => {
        let answer = '';
        response.on('data', (chunk) => (answer += String(chunk)));
        response.on('error', reject);
        response.on('end', () => {
          const json = answer.startsWith('{') ? (JSON.parse(answer) as Record<string, unknown>) : { text: answer };
          resolve({ status: response.statusCode ?? 0, body: json, cookie: response.headers['set-cookie']?.[0]?.split(';')[0] });
        });
      });
      sent.setTimeout(seconds * 1000, () => sent.destroy(new Error(`${method} ${path}: no answer within ${seconds} s`)));
      sent.once('error', reject);
      sent.end(text);
    });
  }

  /** @throws Error with the answer when it is refused */
  async signIn(user: string, password: string): Promise<void> {
    const answer = await this.send('POST', '/v1/session', { user, password }, 300);
    if (answer.status !== 201) throw new Error(`sign-in: ${answer.status} ${JSON.stringify(answer.body)}`);
    this.#cookie = answer.cookie;
  }

  /** @throws Error with the answer unless it has this status */
  async must(status: number, method: string, path: string, body?: unknown, seconds?: number): Promise<Record<string, unknown>> {
    const answer = await this.send(method, path, body, seconds);
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
}
