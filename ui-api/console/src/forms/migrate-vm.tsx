/** A running VM to another box: who can take it, and why others can't. Its progress is a task's, with the way to cancel. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Node, Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { nodesQuery } from '../api/queries.ts';
import { formatBytes } from '../format.ts';
import { text } from '../i18n/text.ts';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { stateWord } from '../ui/state-label.tsx';

const best = '';

/** Why a box can't take the VM; undefined: it can, as far as the API tells. */
export function refusalOf(node: Node, vm: Pick<Vm, 'node'>): string | undefined {
  if (node.name === vm.node) return text.migrate.here;
  if (node.witness) return text.migrate.witness;
  return node.state === 'ready' ? undefined : text.migrate.notReady(stateWord(node.state));
}

export function MigrateVm({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const { data: nodes = [] } = useQuery(nodesQuery);
  const [target, setTarget] = useState(best);
  const others = nodes.filter(({ name }) => name !== vm.node);
  const isPossible = others.some((node) => refusalOf(node, vm) === undefined);
  const migrate = () => client.vms.act(vm.name, 'migrate', target === best ? {} : { node: target }, { project: vm.project });
  return (
    <Dialog
      title={text.migrate.title(vm.name)}
      description={text.migrate.help}
      submit={text.migrate.submit}
      width="medium"
      isDisabled={!isPossible}
      onSubmit={migrate}
      onClose={onClose}
    >
      <ChoiceTiles
        legend={text.migrate.where}
        value={target}
        onChange={setTarget}
        help={isPossible ? undefined : text.migrate.none}
        choices={[
          { value: best, title: text.migrate.best, detail: text.migrate.bestDetail },
          ...others.map((node) => {
            const refusal = refusalOf(node, vm);
            return {
              value: node.name,
              title: node.name,
              detail: refusal ?? text.migrate.detail(text.overview.cpus(node.cpus ?? 0), formatBytes(node.memory)),
              isDisabled: refusal !== undefined,
            };
          }),
        ]}
      />
    </Dialog>
  );
}
