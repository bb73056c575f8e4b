import { Radio } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Vm } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { volumesQuery } from '../api/queries.ts';
import { formatBytes, parseSize } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { SizeField } from '../ui/size-field.tsx';

/** A new disk (its size) or a volume that is free. */
export function AttachDisk({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const { data: volumes = [] } = useQuery(volumesQuery);
  const free = volumes.filter((volume) => volume.vm === undefined && volume.project === vm.project);
  const [isNew, setNew] = useState(true);
  const [size, setSize] = useState('10Gi');
  const [chosen, setChosen] = useState('');
  const volume = chosen || (free[0]?.name ?? '');
  const attach = () =>
    client.request('POST', `/v1/vms/${encodeURIComponent(vm.name)}/disks`, {
      body: isNew ? { size: size.trim() } : { volume },
      query: { project: vm.project },
    });

  return (
    <Dialog
      title={text.disks.add}
      description={text.disks.liveHint}
      submit={text.disks.submit}
      isDisabled={isNew ? parseSize(size) === undefined : volume === ''}
      onSubmit={attach}
      onClose={onClose}
    >
      <div role="radiogroup" aria-label={text.disks.which} className="croft-row">
        <Radio id="disk-new" name="disk-kind" label={text.disks.newDisk} isChecked={isNew} onChange={() => setNew(true)} />
        <Radio
          id="disk-existing"
          name="disk-kind"
          label={text.disks.existing}
          isChecked={!isNew}
          isDisabled={free.length === 0}
          description={free.length === 0 ? text.disks.volumeNone : undefined}
          onChange={() => setNew(false)}
        />
      </div>
      {isNew ? (
        <SizeField label={text.disks.size} value={size} onChange={setSize} />
      ) : (
        <SelectField
          label={text.disks.volume}
          pointer="/volume"
          value={volume}
          onChange={setChosen}
          options={free.map(({ name, size: bytes }) => ({ value: name, label: `${name} (${formatBytes(bytes)})` }))}
        />
      )}
    </Dialog>
  );
}
