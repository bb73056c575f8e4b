/** `croft node maintenance`: empties a box, and says when it can be switched off. `croft node balance`: what would even them out; `croft node losses`: what if one died. */
import type { Command } from 'commander';
import type { Balance, Losses, Maintenance, Node } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { dryRunOption, waitOptions } from '../options.ts';
import { onAction, type Shell } from '../session.ts';
import { waitUntil } from '../wait.ts';

export function addMaintenance(parent: Command, shell: Shell): void {
  const maintenance = parent
    .command('maintenance <on|off> <box>')
    .description('let a box’s VMs go to others, so that it can be switched off; or let it take VMs again');
  waitOptions(dryRunOption(maintenance));
  onAction(maintenance, shell, async ({ args: [wish = '', name = ''], options, session }) => {
    if (wish !== 'on' && wish !== 'off') throw usageError(`${wish} is neither on nor off.`, `croft node maintenance on ${name}`);
    const on = wish === 'on';
    const path = `/v1/nodes/${encodeURIComponent(name)}/maintenance`;
    const ask = (dryRun: boolean) =>
      session.client.request<{ result?: Maintenance } & Maintenance>('POST', path, {
        body: { on },
        ...(dryRun ? { query: { dryRun: true } } : {}),
      });
    const { body } = await ask(session.options.dryRun === true);
    for (const { vm, project, to, stays } of (body.result ?? body).departures) {
      session.say(to === undefined ? `${project}/${vm} stays: ${stays}` : `${project}/${vm} goes to ${to}.`);
    }
    if (session.options.dryRun) return;
    if (!on) return session.say(`${name} takes VMs again.`);
    if (options.wait === false) return session.say(`${name} is being emptied: croft node list.`);
    const message = (found: Node | undefined) => found?.conditions?.find(({ type }) => type === 'Maintenance')?.message;
    await waitUntil<Node>(session, {
      what: `Box ${name}`,
      goal: 'safe to power off',
      look: async () => {
        const { body: all } = await session.client.request<{ items: Node[] }>('GET', '/v1/nodes');
        return all.items.find((one) => one.name === name);
      },
      reached: (found) => found?.state === 'maintenance',
      describe: (found) => message(found) ?? 'being emptied',
      hopeless: (found) => (found?.state === 'blocked' ? message(found) : undefined),
      resume: `croft node maintenance on ${name}`,
    });
  });
}

export function addBalance(parent: Command, shell: Shell): void {
  const balance = parent
    .command('balance')
    .description('which VMs would move so that no box carries much more than another; moves none');
  onAction(balance, shell, async ({ session }) => {
    const { body } = await session.client.request<Balance>('GET', '/v1/nodes/balance');
    session.say(body.boxes.map(({ box, pressure }) => `${box}: ${Math.round(pressure * 100)} %`).join(', '));
    if (body.moves.length === 0) session.say('They are even enough: nothing would move.');
    for (const { vm, project, to, why } of body.moves)
      session.print(`croft vm migrate ${vm} --project ${project} --node ${to}   # ${why}\n`);
  });
}

export function addLosses(parent: Command, shell: Shell): void {
  const losses = parent.command('losses').description('for each box: where its VMs would start if it died now');
  onAction(losses, shell, async ({ session }) => {
    const { body } = await session.client.request<Losses>('GET', '/v1/nodes/losses');
    if (body.manual !== undefined) session.say(body.manual);
    for (const { box, survived, departures } of body.boxes) {
      const going = departures.filter(({ to }) => to !== undefined).length;
      session.print(`${box}: ${survived ? 'survived' : 'not survived'}; ${going} of ${departures.length} VMs start elsewhere\n`);
      for (const { vm, project, stays } of departures) if (stays !== undefined) session.print(`  ${project}/${vm}: ${stays}\n`);
    }
  });
}
