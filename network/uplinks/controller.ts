/** The controller of Uplinks: undoes what was not confirmed, brings NICs and switch to the wish, says what it sees. */
import type { Logger } from '../../appliance/host/logger.ts';
import { startController, watching, type Controller } from '../../appliance/reconcile/controller.ts';
import type { Events } from '../../appliance/reconcile/events.ts';
import { startInformer } from '../../appliance/reconcile/informer.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { setCondition } from '../../appliance/resources/meta.ts';
import { uplink as uplinkKind, type Uplink } from '../../appliance/resources/uplink.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import type { ResourceStore } from '../../appliance/store/store.ts';
import type { ObservedMember } from '../driver.ts';
import type { Nic } from './admit.ts';
import { planRollback, settled } from './confirm.ts';
import { membersOf, uplinkConditions } from './status.ts';

export type UplinkControllerOptions = {
  store: ResourceStore;
  events: Events;
  logger: Logger;
  /** Brings the whole network to the wish of now. Resolves with why this uplink isn't, if so. */
  bring: (name: string) => Promise<{ reason: string; message: string } | undefined>;
  membersOf: (name: string) => Promise<readonly ObservedMember[]>;
  nics: () => Promise<readonly Nic[]>;
};

/** ms until an uplink that isn't well is looked at again; links that come and go are told by the switch. */
const lookAgain = 5_000;

export function startUplinks(
  options: UplinkControllerOptions,
): Pick<Controller, 'idle'> & { refresh(): void; stop(): Promise<void> } {
  const { store, events, logger } = options;
  const informer = startInformer(store, uplinkKind, { logger });
  const controller = startController({
    name: 'uplink',
    logger,
    watches: [watching(informer)],
    reconcile: (name) => reconcileUplink(options, name),
    concurrency: 1,
  });
  return {
    idle: () => controller.idle(),
    refresh: () => {
      for (const { metadata } of informer.list()) controller.enqueue(metadata.name);
    },
    stop: async () => {
      await controller.stop();
      await informer.stop();
    },
  };

  async function reconcileUplink({ bring, ...see }: UplinkControllerOptions, name: string): Promise<{ requeueAfter?: number }> {
    const found = await settleOrUndo(name);
    const problem = await bring(name);
    if (!found || found.metadata.deletionTimestamp) return {};
    const members = membersOf(found.spec, await see.membersOf(name), await see.nics());
    const conditions = uplinkConditions(found.spec, members, problem);
    await editStatus(store, uplinkKind, { name }, (draft) => {
      draft.status = {
        ...draft.status,
        members,
        conditions: conditions.reduce((all, each) => setCondition(all, each), draft.status?.conditions ?? []),
      };
    });
    tell(found, conditions[0]?.status === 'False' ? conditions[0] : conditions[1]?.status === 'True' ? conditions[1] : undefined);
    const waiting = planRollback(found, Date.now());
    const well = problem === undefined && members.every((member) => member.state === 'up');
    const again = [...(waiting.do === 'wait' ? [waiting.ms] : []), ...(well ? [] : [lookAgain])];
    return again.length === 0 ? {} : { requeueAfter: Math.min(...again) };
  }

  /** Gives it its id, and undoes a change nobody confirmed. Undefined: there is none (any more). */
  async function settleOrUndo(name: string): Promise<Uplink | undefined> {
    const found = await store.get(uplinkKind, name);
    if (!found) return undefined;
    const plan = planRollback(found, Date.now());
    if (plan.do === 'delete') {
      await store.delete(uplinkKind, name);
      record(found, 'RolledBack', 'It was taken away again: nobody confirmed it in time.');
      return undefined;
    }
    return editObject(store, uplinkKind, { name }, (draft) => {
      draft.metadata.labels = { [idLabel]: newId(), ...draft.metadata.labels };
      // Judged on what is being written: a confirmation that came meanwhile counts.
      const now = planRollback(draft, Date.now());
      if (now.do !== 'put-back') return;
      draft.spec = now.spec;
      draft.metadata.annotations = settled(draft.metadata.annotations);
      record(found, 'RolledBack', 'Its former settings were put back: nobody confirmed the change in time.');
    });
  }

  function tell(before: Uplink, trouble: { reason?: string; message?: string } | undefined): void {
    const known = before.status?.conditions?.some((condition) => condition.message === trouble?.message);
    if (trouble?.message && !known) record(before, trouble.reason ?? 'NotReady', trouble.message);
  }

  function record({ metadata }: Uplink, reason: string, message: string): void {
    const id = metadata.labels?.[idLabel];
    events.record({ type: 'Warning', reason, message, about: { kind: 'Uplink', name: metadata.name, ...(id ? { id } : {}) } });
  }
}
