/** POST /v1/vms/{name}/{action}: start, stop and restart change the wish; pause, reset and the like go to the box. */
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import type { GuestAction } from '../../../appliance/ports.ts';
import { editObject, editStatus } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import {
  actionStates,
  isAllowed,
  requestRestart,
  requestStart,
  requestStop,
  stateOf,
  type VmAction,
} from '../../../appliance/vm/lifecycle.ts';
import { ChangeQuery, NameParams, strict } from '../../schemas/common.ts';
import { EmptyBody, StopBody, Vm } from '../../schemas/vm.ts';
import type { AppContext, Server } from '../context.ts';
import { defaultProject, keyOf, mustFind } from '../lookup.ts';
import { tag } from '../preconditions.ts';
import { printableStatusOf } from '../projections/vm.ts';
import { viewVm } from '../views.ts';

/** @throws CroftError `invalid-state` naming the present state and the ones that would do */
export function mustAllow(vm: VirtualMachine, action: VmAction): void {
  const state = printableStatusOf(vm);
  if (isAllowed(action, state)) return;
  const allowed = actionStates[action].map(stateOf).join(', ');
  throw new CroftError(
    'invalid-state',
    `VM ${vm.metadata.name} is ${stateOf(state)}; ${action} is possible when it is ${allowed}.`,
  );
}

/** Edits the half of the VM that `change` touches: a run strategy is spec, a request stands in the status. */
async function editHalf(
  store: ResourceStore,
  vm: VirtualMachine,
  change: (draft: VirtualMachine) => 'spec' | 'status',
): Promise<void> {
  const half = change(structuredClone(vm));
  const edit = half === 'spec' ? editObject : editStatus;
  await edit(store, virtualMachine, keyOf(vm), (draft) => void change(draft));
}

/** Shortens the grace of the running instance: `force` leaves none. */
async function shortenGrace(store: ResourceStore, vm: VirtualMachine, seconds: number): Promise<void> {
  await editObject(store, virtualMachineInstance, keyOf(vm), (draft) => {
    draft.spec.terminationGracePeriodSeconds = seconds;
  });
}

export async function start(store: ResourceStore, vm: VirtualMachine): Promise<void> {
  mustAllow(vm, 'start');
  await editHalf(store, vm, requestStart);
}

export async function stop(
  store: ResourceStore,
  vm: VirtualMachine,
  wish: { gracePeriodSeconds?: number; force?: boolean },
): Promise<void> {
  mustAllow(vm, 'stop');
  const instance = await store.get(virtualMachineInstance, vm.metadata.name, vm.metadata.namespace);
  const grace = wish.force ? 0 : wish.gracePeriodSeconds;
  if (grace !== undefined && instance) await shortenGrace(store, vm, grace);
  await editHalf(store, vm, (draft) => requestStop(draft, instance?.metadata.uid));
}

export async function restart(
  store: ResourceStore,
  vm: VirtualMachine,
  wish: { gracePeriodSeconds?: number; force?: boolean },
): Promise<void> {
  mustAllow(vm, 'restart');
  const instance = await store.get(virtualMachineInstance, vm.metadata.name, vm.metadata.namespace);
  const grace = wish.force ? 0 : wish.gracePeriodSeconds;
  if (grace !== undefined && instance) await shortenGrace(store, vm, grace);
  await editStatus(store, virtualMachine, keyOf(vm), (draft) => requestRestart(draft, instance?.metadata.uid));
}

/** Freezing is for programs that speak Kubernetes: people take a snapshot. */
const guestActions: readonly GuestAction[] = ['pause', 'unpause', 'reset', 'soft-reboot'];

export function vmActionRoutes(app: Server, { port }: AppContext): void {
  const querystring = Type.Object({ ...ChangeQuery }, strict);
  const config = { permission: 'operator' } as const;

  const desired = { start, stop, restart };
  for (const action of ['start', 'stop', 'restart'] as const) {
    app.post(`/v1/vms/:name/${action}`, {
      config,
      schema: {
        summary: `${action[0]?.toUpperCase()}${action.slice(1)} a VM`,
        params: NameParams,
        querystring,
        body: action === 'start' ? EmptyBody : StopBody,
        response: { 202: Vm },
      },
      handler: async ({ store, params, query, body }, reply) => {
        const vm = await mustFind(store, virtualMachine, params.name, query.project);
        await desired[action](store, vm, body);
        return await answer(store, vm, reply);
      },
    });
  }

  for (const action of guestActions) {
    app.post(`/v1/vms/:name/${action}`, {
      config,
      schema: { summary: `${action} a running VM`, params: NameParams, querystring, body: EmptyBody, response: { 202: Vm } },
      handler: async ({ store, params, query, plan }, reply) => {
        const vm = await mustFind(store, virtualMachine, params.name, query.project);
        mustAllow(vm, action);
        const key = { name: vm.metadata.name, namespace: vm.metadata.namespace ?? defaultProject };
        if (plan) plan.push({ verb: action, kind: 'VirtualMachine', name: key.name, project: key.namespace, changes: [] });
        else await port.act(key, action);
        return await answer(store, vm, reply);
      },
    });
  }

  async function answer(store: ResourceStore, vm: VirtualMachine, reply: Parameters<typeof tag>[0]) {
    const present = (await store.get(virtualMachine, vm.metadata.name, vm.metadata.namespace)) ?? vm;
    tag(reply, present).code(202);
    return await viewVm(store, present);
  }
}
