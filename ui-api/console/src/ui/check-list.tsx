/** Some of a list: each with what is known of it, or why it can't be chosen; and one that is not in the list, by name. */
import { Button, TextInput } from '@patternfly/react-core';
import { useContext, useId, useState } from 'react';
import { text } from '../i18n/text.ts';
import { FieldErrors } from './field.tsx';
import { Legend } from './legend.tsx';

type Props = {
  legend: string;
  pointer: string;
  help: string;
  isRequired?: boolean;
  choices: readonly { name: string; detail: string; refusal: string | undefined }[];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
  /** Label of the field for one that is not in the list. */
  add: string;
};

export function CheckList({ legend, pointer, help, isRequired, choices, chosen, onChange, add }: Props) {
  const id = useId();
  const [other, setOther] = useState('');
  const complaint = Object.entries(useContext(FieldErrors)).find(([at]) => at.startsWith(pointer))?.[1];
  const toggle = (name: string, on: boolean) => onChange(on ? [...chosen, name] : chosen.filter((each) => each !== name));
  const addOther = () => {
    const name = other.trim();
    if (name !== '' && !chosen.includes(name)) onChange([...chosen, name]);
    setOther('');
  };
  return (
    <fieldset className="croft-tiles" aria-describedby={`${id}-help`}>
      <Legend isRequired={isRequired}>{legend}</Legend>
      <ul className="croft-check-list">
        {choices.map(({ name, detail, refusal }) => (
          <li key={name}>
            <input
              type="checkbox"
              id={`${id}-${name}`}
              checked={chosen.includes(name)}
              disabled={refusal !== undefined}
              aria-describedby={`${id}-${name}-detail`}
              onChange={({ target }) => toggle(name, target.checked)}
            />
            <label htmlFor={`${id}-${name}`} className="croft-mono">
              {name}
            </label>
            <span id={`${id}-${name}-detail`} className="croft-quiet croft-small">
              {refusal ?? detail}
            </span>
          </li>
        ))}
      </ul>
      <div className="croft-add-row">
        <TextInput
          aria-label={add}
          placeholder={add}
          value={other}
          onChange={(_event, value) => setOther(value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter') return;
            event.preventDefault();
            addOther();
          }}
        />
        <Button variant="secondary" size="sm" isDisabled={other.trim() === ''} onClick={addOther}>
          {text.common.add}
        </Button>
      </div>
      <div id={`${id}-help`} className={complaint ? 'croft-field-error' : 'croft-field-help'}>
        {complaint ?? help}
      </div>
    </fieldset>
  );
}
