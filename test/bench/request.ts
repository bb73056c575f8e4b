/** One request over the box's unix socket, as local root. */
import { request as httpRequest } from 'node:http';

/** @returns the answer's body. @throws Error with status and body unless it is 2xx */
export function request<T>(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  more: Record<string, string> = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const headers = { ...more, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const sent = httpRequest({ socketPath, method, path, headers, timeout: 30_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        if (status < 200 || status > 299) reject(new Error(`${method} ${path}: ${status} ${text.slice(0, 500)}`));
        else resolve((text === '' ? undefined : JSON.parse(text)) as T);
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within 30 s`)));
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
