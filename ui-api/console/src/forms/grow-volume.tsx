import { useState } from 'react';
import { client } from '../api/client.ts';
import { formatBytes, parseSize } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';

type Growable = { name: string; project: string; size?: number | undefined };

export function GrowVolume({ volume, onClose }: { volume: Growable; onClose: () => void }) {
  const [size, setSize] = useState('');
  const bytes = parseSize(size);
  const grow = () => client.volumes.patch(volume.name, { size: size.trim() }, { project: volume.project });
  return (
    <Dialog
      title={text.volumes.growTitle(volume.name)}
      submit={text.volumes.grow}
      isDisabled={bytes === undefined || bytes <= (volume.size ?? 0)}
      onSubmit={grow}
      onClose={onClose}
    >
      <TextField
        label={text.volumes.size}
        pointer="/size"
        isRequired
        value={size}
        onChange={setSize}
        help={text.volumes.growHelp(formatBytes(volume.size))}
      />
    </Dialog>
  );
}
