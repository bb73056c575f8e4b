/**
 * Serves a directory over HTTP, with ranges: `node test/helpers/file-server.ts DIRECTORY ADDRESS PORT`, for a network
 * namespace of its own. Every third answer is cut off in its middle, as a bad line would: downloads have to resume.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';

const [directory = '.', address = '127.0.0.1', port = '0'] = process.argv.slice(2);
let answers = 0;

createServer((request, response) => {
  const file = join(directory, basename(request.url ?? ''));
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile()) return void response.writeHead(404).end();
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const headers = { etag: `"${stats.mtimeMs}"`, 'content-length': stats.size - start, 'accept-ranges': 'bytes' };
  if (start > 0) response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${stats.size - 1}/${stats.size}` });
  else response.writeHead(200, headers);
  const cut = ++answers % 3 === 1 && stats.size - start > 2 ** 20;
  const end = cut ? start + Math.floor((stats.size - start) / 2) : stats.size - 1;
  createReadStream(file, { start, end })
    .on('end', () => (cut ? response.destroy() : response.end()))
    .pipe(response, { end: false });
}).listen(Number(port), address, () => console.log('serving'));
