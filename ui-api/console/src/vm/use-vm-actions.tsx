/** The actions on a VM, each with its refusal, and the dialogs that some need first. */
import { Checkbox } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import type { VmAction } from '../../../../appliance/vm/lifecycle.ts';
import type { Pool, Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { nodesQuery, poolsQuery } from '../api/queries.ts';
import { MigrateVm } from '../forms/migrate-vm.tsx';
import { formatBytes } from '../format.ts';
import { useRefusal } from '../hooks/use-role.ts';
import { text } from '../i18n/text.ts';
import type { Action } from '../ui/action-menu.tsx';
import { useConfirm } from '../ui/confirm.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { notifyProblem } from '../ui/toasts.tsx';
import { can, stateRefusal, vmPath } from './state.ts';

const act = (vm: Vm, action: string, body?: unknown) => client.vms.act(vm.name, action, body, { project: vm.project });

/** Runs an action that needs no question; its effect shows by itself. */
export function runVmAction(vm: Vm, action: VmAction, body?: unknown): void {
  act(vm, action, body).catch((error: unknown) => notifyProblem(text.vmActions.failed(text.vmActions[action], vm.name), error));
}

export function useVmActions(): { actionsOf: (vm: Vm) => Action[]; askDelete: (vms: readonly Vm[]) => void; dialogs: ReactNode } {
  const { ask, question } = useConfirm();
  const [deleting, setDeleting] = useState<readonly Vm[]>([]);
  const [migrating, setMigrating] = useState<Vm>();
  const { data: nodes = [] } = useQuery(nodesQuery);
  const { data: pools = [] } = useQuery(poolsQuery);
  const refuse = useRefusal();
  const navigate = useNavigate();

  function actionsOf(vm: Vm): Action[] {
    const refusal = refuse('operator');
    const plain = (action: VmAction): Action => ({
      id: action,
      label: text.vmActions[action],
      refusal: refusal ?? stateRefusal(action, vm),
      run: () => runVmAction(vm, action),
    });
    const asked = (
      id: 'force-stop' | 'reset',
      of: VmAction,
      title: string,
      body: string,
      run: () => Promise<unknown>,
    ): Action => ({
      id,
      label: text.vmActions[id],
      refusal: refusal ?? stateRefusal(of, vm),
      isDanger: true,
      run: () => ask({ title, body, submit: text.vmActions[id], run }),
    });
    return [
      {
        id: 'console',
        label: text.vmActions.console,
        refusal: refusal ?? stateRefusal('console', vm),
        run: () => void navigate(vmPath(vm, 'console')),
      },
      plain('start'),
      plain('stop'),
      plain('restart'),
      can('unpause', vm) ? plain('unpause') : plain('pause'),
      asked('force-stop', 'stop', text.vmActions.powerOffTitle(vm.name), text.vmActions.powerOffBody, () =>
        act(vm, 'stop', { force: true }),
      ),
      asked('reset', 'reset', text.vmActions.resetTitle(vm.name), text.vmActions.resetBody, () => act(vm, 'reset')),
      // A box alone has nowhere to go to; in a cluster the action is there, with the reason where it can't be done.
      ...(nodes.length > 1
        ? [
            {
              id: 'migrate',
              label: text.vmActions.migrate,
              refusal: refusal ?? stateRefusal('migrate', vm) ?? localDisk(vm, pools),
              run: () => setMigrating(vm),
            },
          ]
        : []),
      { id: 'delete', label: text.vmActions.delete, refusal, isDanger: true, run: () => setDeleting([vm]) },
    ];
  }

  const dialogs = (
    <>
      {question}
      {migrating && <MigrateVm vm={migrating} onClose={() => setMigrating(undefined)} />}
      {deleting.length > 0 && <DeleteVms vms={deleting} onClose={() => setDeleting([])} />}
    </>
  );
  return { actionsOf, askDelete: setDeleting, dialogs };
}

/** A disk that other boxes don't reach keeps its machine here. */
function localDisk(vm: Vm, pools: readonly Pool[]): string | undefined {
  const local = vm.disks.find(({ pool }) => pools.some(({ name, driver }) => name === pool && driver !== 'rbd'));
  return local && text.migrate.localDisk(local.name, local.pool ?? '');
}

/** Says in numbers what will be lost. */
function DeleteVms({ vms, onClose }: { vms: readonly Vm[]; onClose: () => void }) {
  const [keepDisks, setKeepDisks] = useState(false);
  const disks = vms.flatMap((vm) => vm.disks);
  const size = formatBytes(disks.reduce((sum, disk) => sum + (disk.size ?? 0), 0));
  const title = vms.length === 1 ? text.vmActions.deleteTitle(vms[0]?.name ?? '') : text.vmActions.deleteManyTitle(vms.length);
  const remove = () =>
    Promise.all(
      vms.map(({ name, project }) => client.vms.remove(name, { project, ...(keepDisks ? { deleteDisks: false } : {}) })),
    );
  return (
    <Dialog title={title} submit={text.vmActions.delete} isDanger onSubmit={remove} onClose={onClose}>
      <p>{keepDisks ? text.vmActions.deleteKeeps(disks.length) : text.vmActions.deleteBody(disks.length, size)}</p>
      {vms.some((vm) => can('pause', vm)) && <p>{text.vmActions.deleteRunning}</p>}
      <Checkbox
        id="keep-disks"
        label={text.vmActions.keepDisks}
        isChecked={keepDisks}
        onChange={(_event, on) => setKeepDisks(on)}
      />
    </Dialog>
  );
}
