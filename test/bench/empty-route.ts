/** What an API request is compared with: fastify with one empty route. Prints its port; ends with its standard input. */
import fastify from 'fastify';

const app = fastify();
app.get('/', async () => ({}));
process.stdin.resume().on('end', () => process.exit(0));
await app.listen({ host: '127.0.0.1', port: 8441 });
process.stdout.write('listening\n');
