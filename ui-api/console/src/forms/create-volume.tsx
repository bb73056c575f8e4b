import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { client } from '../api/client.ts';
import { imagesQuery, poolsQuery } from '../api/queries.ts';
import { parseSize } from '../format.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { SizeField } from '../ui/size-field.tsx';
import { isName } from './vm-create-model.ts';

export function CreateVolume({ onClose }: { onClose: () => void }) {
  const { data: pools = [] } = useQuery(poolsQuery);
  const { data: images = [] } = useQuery(imagesQuery);
  const [name, setName] = useState('');
  const [size, setSize] = useState('10Gi');
  const [pool, setPool] = useState('');
  const [image, setImage] = useState('');
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const create = () =>
    client.volumes.create({ name, size: size.trim(), ...(pool === '' ? {} : { pool }), ...(image === '' ? {} : { image }) });
  return (
    <Dialog
      title={text.volumes.add}
      submit={text.common.create}
      isDisabled={name === '' || nameError !== undefined || parseSize(size) === undefined}
      onSubmit={create}
      onClose={onClose}
    >
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setName} error={nameError} />
      <SizeField label={text.volumes.size} value={size} onChange={setSize} />
      <SelectField
        label={text.volumes.contentLabel}
        pointer="/image"
        value={image}
        onChange={setImage}
        options={[{ value: '', label: text.volumes.blank }, ...images.map((each) => ({ value: each.name, label: each.name }))]}
      />
      {pools.length > 1 && (
        <SelectField
          label={text.volumes.pool}
          pointer="/pool"
          value={pool || (pools[0]?.name ?? '')}
          onChange={setPool}
          options={pools.map((each) => ({ value: each.name, label: each.name }))}
        />
      )}
    </Dialog>
  );
}
