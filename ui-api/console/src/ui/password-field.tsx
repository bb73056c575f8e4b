import { Button, InputGroup, InputGroupItem, TextInput } from '@patternfly/react-core';
import EyeIcon from '@patternfly/react-icons/dist/esm/icons/eye-icon';
import EyeSlashIcon from '@patternfly/react-icons/dist/esm/icons/eye-slash-icon';
import { useState } from 'react';
import { text } from '../i18n/text.ts';
import { Field } from './field.tsx';

type Props = {
  label: string;
  value: string;
  onChange: (value: string) => void;
  autoComplete: 'current-password' | 'new-password';
  help?: string;
  error?: string | undefined;
  pointer?: string;
};

/** A password that can be pasted, filled by a password manager, and looked at. */
export function PasswordField({ value, onChange, autoComplete, ...group }: Props) {
  const [isShown, setShown] = useState(false);
  return (
    <Field {...group} isRequired>
      {({ id, describedBy, validated }) => (
        <InputGroup>
          <InputGroupItem isFill>
            <TextInput
              id={id}
              type={isShown ? 'text' : 'password'}
              value={value}
              isRequired
              validated={validated}
              autoComplete={autoComplete}
              aria-describedby={describedBy}
              onChange={(_event, next) => onChange(next)}
            />
          </InputGroupItem>
          <InputGroupItem>
            <Button
              variant="control"
              aria-label={isShown ? text.setup.hide : text.setup.show}
              onClick={() => setShown(!isShown)}
              icon={isShown ? <EyeSlashIcon /> : <EyeIcon />}
            />
          </InputGroupItem>
        </InputGroup>
      )}
    </Field>
  );
}
