import { useState } from 'react';
import type { Disk } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { disksQuery, queryClient } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';

/** One more disk for a replicated pool, or another in place of `old`. */
export function PutDisk({ pool, old, onClose }: { pool: string; old: Disk | undefined; onClose: () => void }) {
  const [path, setPath] = useState('');
  const [serial, setSerial] = useState('');
  async function put(): Promise<void> {
    const wish = { path: path.trim(), ...(serial.trim() === '' ? {} : { wipe: [serial.trim()] }) };
    if (old) await client.disks.act(old.id, 'replace', wish);
    else await client.disks.create({ pool, ...wish });
    await queryClient.invalidateQueries({ queryKey: disksQuery.queryKey });
  }
  return (
    <Dialog
      title={old ? text.disksOf.replaceTitle(old.name) : text.disksOf.addTitle(pool)}
      description={old ? text.disksOf.replaceHelp : text.disksOf.addHelp}
      submit={old ? text.disksOf.replaceSubmit : text.common.add}
      width="medium"
      isDisabled={!path.trim().startsWith('/')}
      onSubmit={put}
      onClose={onClose}
    >
      <TextField
        label={text.disksOf.path}
        pointer="/path"
        isRequired
        value={path}
        onChange={setPath}
        help={text.disksOf.pathHelp}
      />
      <TextField label={text.disksOf.serial} pointer="/wipe" value={serial} onChange={setSerial} help={text.disksOf.serialHelp} />
    </Dialog>
  );
}
