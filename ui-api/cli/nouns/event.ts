/** `croft event`: what happened, and what happens. */
import type { Command } from 'commander';
import { isAbort } from '../../client/problem.ts';
import type { ApiEvent, Page } from '../../client/types.ts';
import { listOptions, outputOption } from '../options.ts';
import { eventColumns } from '../output/columns.ts';
import { onAction, type Session, type Shell } from '../session.ts';

export function register(program: Command, shell: Shell): void {
  const event = program.command('event').description('what happened');

  const list = listOptions(event.command('list').alias('ls').description('list the latest events'));
  onAction(list, shell, async ({ options, session }) => {
    if (options.watch) return tail(session);
    const { body } = await session.client.request<Page<ApiEvent>>('GET', '/v1/events', { query: { list: true } });
    session.printList(body.items, eventColumns);
  });

  const follow = outputOption(event.command('tail').description('print events as they happen, until Ctrl-C'));
  onAction(follow, shell, async ({ session }) => tail(session));
}

/** One event a line; after an ended connection it goes on where it was. */
async function tail(session: Session): Promise<void> {
  session.setHeaders(false);
  let lastEventId: string | undefined;
  for (;;) {
    try {
      for await (const { event, id, data } of session.client.events({ types: 'event', lastEventId }, session.io.signal)) {
        lastEventId = id ?? lastEventId;
        if (event === 'reset') {
          session.say('Some events were missed.');
          continue;
        }
        session.printList([JSON.parse(data) as ApiEvent], eventColumns);
      }
    } catch (error) {
      // Never connected: that is the failure to tell. Later ones are gaps, closed by resuming.
      if (isAbort(error) || lastEventId === undefined) throw error;
    }
    session.io.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
