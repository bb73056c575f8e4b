/** The size of a new disk: checked while it is typed. */
import { parseSize } from '../format.ts';
import { text } from '../i18n/text.ts';
import { TextField } from './field.tsx';

type Props = { label: string; value: string; onChange: (value: string) => void };

export const SizeField = ({ label, value, onChange }: Props) => (
  <TextField
    label={label}
    pointer="/size"
    isRequired
    value={value}
    onChange={onChange}
    help={text.volumes.sizeHelp}
    error={parseSize(value) === undefined ? text.create.memoryBad : undefined}
  />
);
